"""The kernels against a bill reckoned slot by slot in fractions, over every kind of charge."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.bill_lines import decimal_bills
from models.billing import BillState, Window, price_window
from models.calendar import epoch_day
from models.slot_quantities import measure
from schemas.tariff import Tariff
from tests.reference_bills import SlowBill, SlowLoad, SlowState
from tests.tariff_strategies import Case, cases, series_of, tariffs


def window_of(version: Tariff, case: Case) -> Window:
    """The case as the kernels take it."""
    return Window(
        grid=case.grid,
        imported=case.imported,
        exported=case.exported,
        month=case.month,
        billed_days=case.billed_days,
        events={name: frozenset(map(epoch_day, days)) for name, days in case.events.items()},
        power_factor=case.factors,
        prices=dict.fromkeys(series_of(version), case.prices),
        stretches=case.stretches,
        reactive={"reactive_import": case.reactive},
        closes=case.closes,
    )


def load_of(version: Tariff, case: Case, row: int) -> SlowLoad:
    """One meter of the case as the reference takes it."""
    return SlowLoad(
        starts=case.grid.starts.tolist(),
        interval_s=case.grid.interval_s,
        imported=case.imported[row].tolist(),
        exported=None if case.exported is None else case.exported[row].tolist(),
        days=case.grid.days,
        billed_days=case.billed_days,
        month=case.month,
        events=case.events,
        stretches=case.stretches,
        prices=dict.fromkeys(series_of(version), case.prices),
        reactive={"reactive_import": case.reactive[row].tolist()},
        power_factor=case.factors[row],
        closes=case.closes,
    )


def first_state(version: Tariff, month: int, rng: np.random.Generator) -> tuple[BillState, list[SlowState]]:
    """Past peaks, credit, surplus and carried energy of three meters, in both forms."""
    peaks = {month - back: rng.integers(0, 10**7, 3) for back in (1, 5, 11, 12)}
    credit, surplus = rng.integers(0, 5_000, 3), rng.integers(-(10**7), 10**7, 3)
    bank = {p.id: rng.integers(0, 10**7, 3) for p in version.calendar.periods}
    own = {("demand", month - 5): rng.integers(0, 10**7, 3)}
    fast = BillState(peaks, credit, surplus, bank, own)
    slow = [
        SlowState(
            {m: int(p[i]) for m, p in peaks.items()},
            Fraction(int(credit[i]), 10**version.rounding.money_dp),
            int(surplus[i]),
            {name: int(energy[i]) for name, energy in bank.items()},
            {key: int(p[i]) for key, p in own.items()},
        )
        for i in range(3)
    ]
    return fast, slow


def exact(line: Any) -> tuple[Any, ...]:
    """A line with its numbers as fractions."""
    charge, period, tier, quantity, unit, rate, amount = line
    return charge, period, tier, Fraction(quantity), unit, rate, Fraction(amount)


@given(data=st.data(), version=tariffs(), seed=st.integers(0, 2**32))
def test_every_line_total_and_state(data: st.DataObject, version: Tariff, seed: int) -> None:
    """Two bills in a row of three meters at once equal each meter's bills reckoned alone, slot by slot."""
    case = data.draw(cases(version))
    state, slow_states = first_state(version, case.month, np.random.default_rng(seed))
    for step in range(2):
        priced = price_window(version, window_of(version, case), state)
        for row, lines in enumerate(decimal_bills(priced)):
            slow = SlowBill(version, load_of(version, case, row), slow_states[row])
            assert [exact(line) for line in lines] == slow.lines
            total = Decimal(int(priced.total[row])).scaleb(-version.rounding.money_dp)
            assert Fraction(total) == slow.total
            assert told(priced.state, row, version.rounding.money_dp) == slow_told(slow.state)
            slow_states[row] = slow.state
        state = priced.state
        if step == 0:
            case = data.draw(cases(version))


def told(state: BillState, row: int, dp: int) -> tuple[Any, ...]:
    """State of one meter, without what is empty."""
    return (
        {month: int(p[row]) for month, p in state.peaks_kw.items() if p[row] >= 0},
        Fraction(int(state.credit[row]), 10**dp),
        int(state.surplus[row]),
        {name: int(energy[row]) for name, energy in state.bank.items() if energy[row]},
        {key: int(p[row]) for key, p in state.peaks_of.items() if p[row] >= 0},
    )


def slow_told(state: SlowState) -> tuple[Any, ...]:
    """The same of the reference."""
    bank = {name: energy for name, energy in state.bank.items() if energy}
    return state.peaks, state.credit, state.surplus, bank, state.own_peaks


@given(data=st.data(), version=tariffs())
def test_registers_hold_every_slot(data: st.DataObject, version: Tariff) -> None:
    """Before rounding, Σ registers = Σ netted slots, exactly, in both directions."""
    case = data.draw(cases(version))
    found = measure(version, window_of(version, case))
    imported = case.imported.sum(axis=1)
    exported = np.zeros(3, np.int64) if case.exported is None else case.exported.sum(axis=1)
    fed = np.zeros(3, np.int64) if found.fed is None else found.fed.sum(axis=1)
    assert (found.drawn.sum(axis=1) - fed == imported - exported).all()
    assert (found.drawn >= 0).all()
    assert (found.fed is None) == (case.exported is None)
