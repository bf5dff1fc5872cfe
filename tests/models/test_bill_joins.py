"""Power factors, bills whose slots change their length, and credit in another money."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bill_chains import Chains
from models.bill_cycles import BillingPeriod, Contract, Term
from models.bill_state import BillState
from models.bill_window import Window
from models.calendar import day_grid, epoch_day, local_midnight
from models.interval_parts import interval_parts
from models.join_quantities import join_quantities
from models.money import Mode
from models.power_factor import power_factors
from models.slot_quantities import measure
from schemas.tariff import Demand, Tariff, parse_tariff
from tests.models.test_billing_reference import window_of
from tests.tariff_strategies import MODES, cases, tariffs

ZONE = "Europe/Zurich"


@given(st.integers(1, 10**15), st.integers(0, 10**15), st.integers(1, 6), st.sampled_from(MODES))
def test_a_power_factor_is_the_nearest_to_the_root(kwh: int, kvarh: int, dp: int, mode: Mode) -> None:
    """Against the definition in squares: no other number of so many decimals is nearer."""
    (found,) = power_factors(np.array([kwh]), np.array([kvarh]), dp, mode)
    assert found is not None
    square = Fraction(kwh * kwh, kwh * kwh + kvarh * kvarh)
    step, mine = Fraction(1, 10**dp), Fraction(found)
    if mode in ("half_up", "half_even"):
        assert (mine - step / 2) ** 2 <= square or mine == step
        assert square <= (mine + step / 2) ** 2
    elif mode == "down":
        assert mine**2 <= square < (mine + step) ** 2 or mine == step
    else:
        assert (mine - step) ** 2 < square <= mine**2


def test_power_factors_by_hand() -> None:
    """3-4-5 and 4-3-5 triangles; nothing drawn, nothing measured; never zero."""
    kwh = np.array([3, 4, 0, 5, 1]) * 10**6
    kvarh = np.array([4, 3, 7, -1, 10**6]) * 10**6
    found = power_factors(kwh, kvarh, 2)
    assert found == [Decimal("0.60"), Decimal("0.80"), None, None, Decimal("0.01")]
    with localcontext(prec=50):
        exact = Decimal(9) / (Decimal(81) + Decimal(25)).sqrt()
    assert power_factors(np.array([9]), np.array([5]), 6) == [round(exact, 6)]


def _cut(window: Window, day: int) -> list[Window]:
    """A window as two, at a midnight."""
    grid = window.grid
    column = int(grid.offsets[day])
    halves = []
    for first, days, slots in ((0, day, slice(column)), (day, grid.days - day, slice(column, None))):
        halves.append(
            replace(
                window,
                grid=day_grid(grid.zone, grid.interval_s, grid.first_day + first, days),
                imported=window.imported[:, slots],
                exported=None if window.exported is None else window.exported[:, slots],
                prices={name: of[slots] for name, of in window.prices.items()},
                reactive={name: of[:, slots] for name, of in window.reactive.items()},
            )
        )
    return halves


@given(data=st.data(), version=tariffs())
def test_two_parts_of_one_length_are_the_whole(data: st.DataObject, version: Tariff) -> None:
    """Cut at any midnight, everything adds up to what the uncut window gives; blocks have the same peak."""
    case = data.draw(cases(version, days=3))
    window = window_of(version, case)
    halves = _cut(window, data.draw(st.integers(1, 2)))
    whole = measure(version, window)
    joined = join_quantities(
        [measure(version, half) for half in halves], [half.grid.first_day for half in halves]
    )
    for name in ("of_slot", "edges", "run_period", "run_day"):
        assert (getattr(joined.periods, name) == getattr(whole.periods, name)).all()
    assert (joined.drawn == whole.drawn).all()
    assert (joined.fed is None) == (whole.fed is None)
    assert joined.fed is None or (joined.fed == whole.fed).all()
    blocks = {c.id for c in version.charges if isinstance(c, Demand) and c.method == "block"}
    for key, peak in whole.peaks.items():
        assert (joined.peaks[key] <= peak).all()
        assert key[0] not in blocks or (joined.peaks[key] == peak).all()
    for charge, energy in whole.events.items():
        assert (joined.events[charge] == energy).all()
    for charge, pair in whole.reactive.items():
        assert all((mine == its).all() for mine, its in zip(joined.reactive[charge], pair, strict=True))
    for charge, priced in whole.series.items():
        mine = joined.series[charge]
        assert (mine.energy == priced.energy).all()
        scales = Fraction(1, 10**mine.decimals), Fraction(1, 10**priced.decimals)
        assert [p * scales[0] for p in mine.products] == [p * scales[1] for p in priced.products]


def test_parts_of_a_bill_by_length_of_interval() -> None:
    """A change in mid-day, a gap, a length without slots, and two lengths at once; never a gap or overlap."""
    first, last = epoch_day(date(2026, 3, 1)), epoch_day(date(2026, 3, 31))
    low, high = local_midnight(ZONE, first), local_midnight(ZONE, last + 1)

    def parts(*terms: tuple[int, int, int], known: tuple[int, ...]) -> list[tuple[int, ...]]:
        made = tuple(Term("P", "m", start, end, length) for start, end, length in terms)
        contract = Contract("P", "A", "P\nA", "electricity", "t", 1, first, None, made)
        return [tuple(part) for part in interval_parts(BillingPeriod(contract, first, last), ZONE, known)]

    noon = low + 9 * 86_400 + 43_200
    change = (low - 500, noon, 3600), (noon, high + 500, 900)
    assert parts(*change, known=(900, 3600)) == [(low, noon, 3600), (noon, high, 900)]
    assert parts(*change, known=(900,)) == [(low, high, 900)]
    gap = (low, noon, 3600), (noon + 7200, high, 900)
    assert parts(*gap, known=(900, 3600)) == [(low, noon + 7200, 3600), (noon + 7200, high, 900)]
    late = (noon, noon + 3600, 3600), (noon + 3600, high, 900)
    assert parts(*late, known=(900, 3600)) == [(low, noon + 3600, 3600), (noon + 3600, high, 900)]
    assert parts((low, high, 3600), (noon, high, 900), known=(900, 3600)) == [
        (low, noon, 3600), (noon, high, 900),
    ]  # fmt: skip
    assert parts(known=(900, 3600)) == [(low, high, 900)]


def _tariff(currency: str, dp: int) -> Tariff:
    return parse_tariff(
        f"""
id: money
version: 1
effective: {{from: 2026-01-01}}
currency: {currency}
timezone: {ZONE}
rounding: {{money_dp: {dp}}}
calendar: {{periods: [{{id: all}}]}}
charges: [{{id: energy, type: energy, rates: {{all: "1"}}}}]
""",
        "money",
    )


@pytest.mark.parametrize(
    ("credit", "currency", "dp", "left", "reason"),
    [
        pytest.param(500, "CHF", 2, 500, "", id="same"),
        pytest.param(500, "CHF", 4, 50_000, "", id="finer"),
        pytest.param(500, "CHF", 0, 5, "", id="coarser-whole"),
        pytest.param(505, "CHF", 0, 0, "a credit of 5.05 CHF from the bill before, expected one in CHF",
                     id="coarser"),
        pytest.param(505, "EUR", 2, 0, "a credit of 5.05 CHF from the bill before, expected one in EUR",
                     id="currency"),
        pytest.param(0, "EUR", 2, 0, "", id="nothing"),
    ],
)  # fmt: skip
def test_a_credit_keeps_its_money(credit: int, currency: str, dp: int, left: int, reason: str) -> None:
    """It is the same amount under any decimals, and never counts as another currency."""
    chains, rows = Chains(3), np.array([1, 2])
    state = BillState({}, np.array([credit, 0]), np.array([7, 8]))
    chains.end(rows, state, _tariff("CHF", 2))
    found, reasons = chains.begin(np.array([2, 1]), _tariff(currency, dp))
    assert (found.credit.tolist(), found.surplus.tolist()) == ([0, left], [8, 7])
    assert reasons[0] == ""
    assert reason in reasons[1]
    assert bool(reasons[1]) == bool(reason)
