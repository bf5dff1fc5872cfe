"""Bills in which the length of interval changes: by master data, by an exchange in mid-day, in any order."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipelines.backfill import BackfillOptions, dirty_backfill
from pipelines.store.lake import Lake
from pipelines.tariffs.explain_bill import explain_bill
from tests.pipelines.stream_messages import Sent, disorder, stream
from tests.pipelines.test_composed_bills import bills
from tests.pipelines.towns import assert_equal, run, scalar, write

ZURICH = ZoneInfo("Europe/Zurich")
FIRST = datetime(2026, 3, 1, tzinfo=ZURICH)
TARIFF = """
id: two
version: 1
effective: {from: 2026-01-01}
currency: CHF
timezone: Europe/Zurich
calendar:
  periods: [{id: peak, days: weekday, at: ["17:00", "22:00"]}, {id: off}]
charges:
  - id: energy
    type: energy
    tiers: {scope: bill_total_chronological, unit: kWh, limits: ["450.5"]}
    rates: {peak: ["0.40", "0.50"], off: ["0.20", "0.30"]}
  - {id: half, type: demand, window_min: 30, periods: [peak], rate: "2.00", ratchet: {pct: "1"}}
  - {id: hour, type: demand, window_min: 60, rate: "3.00"}
  - {id: reactive, type: reactive, free_per_kwh: "0.1", rate: "0.05"}
"""
Slots = list[tuple[datetime, int, int]]
"""Start, length [s] and Wh."""
CUTS = {"A1": datetime(2026, 3, 16, tzinfo=ZURICH), "A2": datetime(2026, 3, 18, 10, tzinfo=ZURICH)}
"""When 15 minutes take the place of an hour."""
LAST = datetime(2026, 4, 8, tzinfo=ZURICH)


def slots(account: str) -> Slots:
    """An hour, then a quarter of an hour at a time; a little more each hour, so that no rule hits."""
    found, at, cut = [], FIRST.astimezone(UTC), CUTS[account].astimezone(UTC)
    while at < LAST:
        hour = at.astimezone(ZURICH).hour
        quarter = 0 if at < cut else at.minute // 15
        wh = 1000 + 3 * hour + at.day % 7 if at < cut else 251 + hour + 2 * quarter
        found.append((at, 3600 if at < cut else 900, wh))
        at += timedelta(seconds=found[-1][1])
    return found


def blocks(account: str, meters: tuple[str, str]) -> list[dict[str, Any]]:
    """Blocks of a local day and length, and their reactive energy, a fifth of it."""
    of: dict[tuple[date, int], Slots] = defaultdict(list)
    for slot in slots(account):
        of[slot[0].astimezone(ZURICH).date(), slot[1]].append(slot)
    found = []
    for (_, length), mine in of.items():
        meter, end = meters[length == 900], mine[-1][0] + timedelta(hours=2)
        block = {"meter_id": meter, "start": mine[0][0], "interval_s": length, "received_at": end}
        values = [wh for *_, wh in mine]
        found.append({**block, "channel": "import", "values": values, "unit": "Wh"})
        lagging = [wh // 5 for wh in values]
        found.append({**block, "channel": "reactive_import", "values": lagging, "unit": "varh"})
    return found


def points() -> list[dict[str, Any]]:
    """SP1 keeps its meter, SP2's is exchanged in mid-day."""
    common = {"tariff_id": "two", "bill_cycle_day": 1, "channels": ["import", "reactive_import"]}
    found = []
    for place, meters in (("1", ("m1", "m1")), ("2", ("m2", "m3"))):
        mine = {**common, "service_point_id": f"SP{place}", "account_id": f"A{place}"}
        for meter, length, since in (
            (meters[0], 3600, datetime(2020, 1, 1, tzinfo=UTC)),
            (meters[1], 900, CUTS[f"A{place}"].astimezone(UTC)),
        ):
            found.append({**mine, "meter_id": meter, "interval_s": length, "valid_from": since})
    return found


def expected(account: str) -> list[tuple[str, str | None, Decimal, Decimal]]:
    """Charge, period, quantity and amount of each line of March, slot by slot."""
    energy: dict[tuple[str, int], Fraction] = defaultdict(Fraction)
    windows: dict[tuple[int, datetime], Fraction] = defaultdict(Fraction)
    in_peak: dict[datetime, bool] = {}
    total, reactive, limit = Fraction(0), Fraction(0), Fraction("450.5")
    for at, length, wh in slots(account):
        local = at.astimezone(ZURICH)
        if local.month != 3:
            continue
        kwh = Fraction(wh, 1000)
        name = "peak" if local.weekday() < 5 and 17 <= local.hour < 22 else "off"
        below = max(min(kwh, limit - total), Fraction(0))
        energy[name, 1] += below
        energy[name, 2] += kwh - below
        total += kwh
        reactive += Fraction(wh // 5, 1000)
        for minutes in (30, 60):
            width = max(minutes * 60, length)
            begin = at - timedelta(seconds=at.timestamp() % width)
            windows[minutes, begin] += kwh * 3600 / width
            in_peak[begin] = name == "peak"
    half = max(kw for (minutes, begin), kw in windows.items() if minutes == 30 and in_peak[begin])
    hour = max(kw for (minutes, _), kw in windows.items() if minutes == 60)
    rates = {("off", 1): "0.20", ("off", 2): "0.30", ("peak", 1): "0.40", ("peak", 2): "0.50"}
    rows: list[tuple[str, str | None, Fraction, int, str]]
    rows = [("energy", name, energy[name, tier], 3, rates[name, tier]) for name, tier in sorted(rates)]
    rows += [("reactive", None, reactive - total / 10, 3, "0.05")]
    rows += [("half", None, half, 2, "2.00"), ("hour", None, hour, 2, "3.00")]
    found = []
    for charge, period, quantity, dp, rate in rows:
        shown = Decimal(int(quantity * 10**dp + Fraction(1, 2))).scaleb(-dp)
        amount = Decimal(int(Fraction(shown) * Fraction(rate) * 100 + Fraction(1, 2))).scaleb(-2)
        found.append((charge, period, shown, amount))
    return found


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """March, with the day of 23 hours, and the first days of April."""
    folder = tmp_path_factory.mktemp("changed")
    write(folder / "in" / "points.avro", "ServicePoint", points())
    write(folder / "in" / "m1.avro", "IntervalBlock", blocks("A1", ("m1", "m1")))
    write(folder / "in" / "m2.avro", "IntervalBlock", blocks("A2", ("m2", "m3")))
    (folder / "tariffs").mkdir()
    (folder / "tariffs" / "two.yaml").write_text(TARIFF)
    run(folder / "lake", folder / "in", tariffs=folder / "tariffs", timezone="Europe/Zurich")
    return folder / "lake"


@pytest.mark.parametrize("account", ["A1", "A2"])
def test_every_part_by_its_own_length(lake: Path, account: str) -> None:
    """Tiers fill on across the change, the windows of both parts make one demand, kvarh count once."""
    bill = bills(lake)[account, "2026-03-01"]
    assert (bill["status"], f"{bill['last']}") == ("active", "2026-03-31")
    wanted = expected(account)
    assert [(charge, kwh, money) for charge, kwh, money in bill["lines"]] == [
        (charge, quantity, amount) for charge, _, quantity, amount in wanted
    ]
    assert all(quantity > 0 for _, _, quantity, _ in wanted)


@pytest.mark.parametrize("account", ["A1", "A2"])
def test_each_line_back_to_its_slots(lake: Path, account: str) -> None:
    """The days of each energy line sum to it, over both lengths; demand names its window's slots."""
    bill = scalar(
        lake,
        f"SELECT bill_id FROM bills WHERE account_id = '{account}' AND period_start = '2026-03-01'",
    )
    told = explain_bill(Lake.open(lake), bill, each=True)
    for line in told["lines"][:4]:
        assert sum(Decimal(day["quantity"]) for day in line["days"]) == Decimal(line["quantity"])
    half, hour = (line for line in told["lines"] if line["charge"] in ("half", "hour"))
    of = {at: (length, wh) for at, length, wh in slots(account)}
    for line, minutes in ((half, 30), (hour, 60)):
        mine = [datetime.fromisoformat(slot["start"]) for slot in line["days"][0]["each"]]
        length = of[mine[0]][0]
        assert len(mine) == max(minutes * 60 // length, 1)
        kwh = Fraction(sum(of[at][1] for at in mine), 1000)
        assert Fraction(line["measured_kw"]) == kwh * 3600 / max(minutes * 60, length)
    meters = {meter for line in told["lines"][:4] for day in line["days"] for meter in day["meters"]}
    assert meters == ({"m1"} if account == "A1" else {"m2", "m3"})


def test_any_order_ends_in_the_same_bills(lake: Path, tmp_path: Path) -> None:
    """A stream of the same records in disorder, with late corrections on each side of the change.

    The exchange may become known late: what then lies behind the stream's horizon is a dirty backfill's.
    """
    rows = [*blocks("A1", ("m1", "m1")), *blocks("A2", ("m2", "m3"))]
    late = [row for row in rows if row["channel"] == "import"]
    fixes = [
        {**row, "values": [wh + 7 for wh in row["values"]], "received_at": LAST - timedelta(days=3)}
        for row in (late[4], late[26], late[48], late[53])
    ]
    sent: list[Sent] = [("ServicePoint", row) for row in points()]
    sent += [("IntervalBlock", row) for row in [*rows, *fixes]]
    through = date(2026, 4, 6)
    options: dict[str, Any] = {"tariffs": lake.parent / "tariffs", "timezone": "Europe/Zurich"}
    stream(tmp_path / "stream", disorder(sent, random.Random(5), through, 6), shards=2, **options)
    dirty_backfill(BackfillOptions((), tmp_path / "stream", workers=0, detect=False))
    write(tmp_path / "in" / "points.avro", "ServicePoint", points())
    write(tmp_path / "in" / "rows.avro", "IntervalBlock", [*rows, *fixes])
    run(tmp_path / "backfill", tmp_path / "in", detect=False, through=through, **options)
    assert_equal(tmp_path / "backfill", tmp_path / "stream")
    found = bills(tmp_path / "stream")
    assert {key: bill["status"] for key, bill in found.items()} == dict.fromkeys(
        [("A1", "2026-03-01"), ("A2", "2026-03-01")], "active"
    )
    assert found["A1", "2026-03-01"]["lines"] != bills(lake)["A1", "2026-03-01"]["lines"]
