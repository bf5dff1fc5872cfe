"""What a queue says for and against a suspect: money by its own bills, other explanations of a fall."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from models.calendar import day_date
from models.comparison import EnergyPrice
from models.detect import detect
from models.device_events import DeviceEvents
from models.series import Int
from models.theft_loss import Prices
from tests.models.test_detection import AS_OF, CUSTOMERS, GRID, MONDAY, NAMES, fleet, homes_of

SUSPECT, SINCE = 7, 30


def fallen(share: float = 0.4, first_hour: int = 0, last_hour: int = 24) -> Int:
    """The fleet, and one home that falls to a share of its use from a day on, in some hours."""
    load = fleet()
    days = load[SUSPECT].reshape(GRID.days, 24)
    days[SINCE:, first_hour:last_hour] = days[SINCE:, first_hour:last_hour] * share
    return load


def suspect(
    load: Int,
    *,
    prices: Prices | None = None,
    events: DeviceEvents | None = None,
    fed_from: int | None = None,
) -> dict[str, Any]:
    """The row of the changed home in the change queue."""
    homes = homes_of(load)
    pieces = [homes.rows]
    if fed_from is not None:
        fed = load[SUSPECT : SUSPECT + 1] * 0
        fed[0, GRID.offsets[fed_from] :] = 100_000
        rows = homes.measured([NAMES[SUSPECT]], fed, fed >= 0)
        channel = pa.array(["export"] * rows.num_rows)
        pieces.append(rows.set_column(rows.schema.get_field_index("channel"), "channel", channel))
    found = detect(pieces, homes.weeks, CUSTOMERS, AS_OF, events, prices=prices)
    rows = found.change_queue.to_pylist()
    return next(row for row in rows if row["meter_id"] == NAMES[SUSPECT])


def test_the_loss_is_priced_as_its_bills_do() -> None:
    """Energy lost × the price of a kWh, to the cent, in the bill's currency; the reason says which price."""
    row = suspect(fallen(), prices={NAMES[SUSPECT]: EnergyPrice(Decimal("0.2512"), "CHF")})
    lost = Decimal(str(row["kwh_lost"]))
    assert row["money_lost"] == (lost * Decimal("0.2512")).quantize(Decimal("0.01"))
    assert row["currency"] == "CHF"
    assert f"{row['money_lost'].quantize(Decimal('0.01'))} CHF lost, at 0.2512 CHF a kWh" in row["reasons"]


def test_a_meter_without_bills_has_no_money() -> None:
    """Nothing is guessed: money and currency are null, and the reason speaks of energy alone."""
    row = suspect(fallen())
    assert row["kwh_lost"] > 0
    assert row["money_lost"] is row["currency"] is None
    assert "lost, at" not in row["reasons"]


def test_new_solar_speaks_against_theft() -> None:
    """Export that begins with the fall is named with its week; export from long before is not."""
    load = fallen(0.6)
    week = day_date(MONDAY + SINCE // 7 * 7)
    assert f"feeds in since the week of {week}: new solar" in suspect(load, fed_from=SINCE)["against"]
    assert "solar" not in suspect(load, fed_from=0)["against"]


def test_a_midday_dip_looks_like_solar() -> None:
    """Without an export channel, a fall in the hours around noon alone is named; one of all hours is not."""
    assert "solar behind the meter" in suspect(fallen(0.1, 10, 16))["against"]
    assert "solar" not in suspect(fallen(0.4))["against"]


@pytest.mark.parametrize(("away", "named"), [(2, True), (-25, False)])
def test_power_downs_near_the_change_are_named(away: int, named: bool) -> None:
    """An outage within two weeks may explain it; one a month before does not."""
    events = {NAMES[SUSPECT]: [(MONDAY + SINCE + away, "power_down")]}
    assert ("1 power-down events" in suspect(fallen(), events=events)["against"]) == named
