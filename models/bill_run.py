"""Bills of many service points from their slots, each beginning with the state of the one before."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from models.bill_cycles import BillingPeriod, Contract, billing_periods
from models.bill_parts import PricedBills, bill_parts
from models.bill_prices import Prices, prices_on, version_stretches
from models.bill_sheet import MICRO_DP, Line
from models.billing import BillState, UnpriceableError, Window, price_window
from models.calendar import day_date, day_grid
from models.holding import count_slots, holding_reasons
from models.holds import Holds
from models.loads import Codes, Loads, contiguous
from models.series import Int
from models.slot_quantities import netting_of
from models.tou import classify
from schemas.quality import Quality
from schemas.tariff import Reactive, Tariff

__all__ = ["bill_loads"]


def bill_loads(
    loads: Sequence[Loads], contracts: Sequence[Contract], prices: Prices, last_closed: int, holds: Holds
) -> pa.Table:
    """Every due bill of some contracts, oldest first within each chain.

    A held bill hands on the state that it was given.

    Args:
        loads: Slots, by length of interval; they must reach back to the first bill of each contract.
        contracts: All of their chains, so that states are handed on; those without a known tariff are not
            billed.
        prices: Tariffs, events, series and limits.
        last_closed: Last closed epoch day.
        holds: Findings that hold bills.

    Returns:
        ``PARTS``, one row a (service point, account, period).
    """
    chains = {chain: row for row, chain in enumerate(dict.fromkeys(c.chain for c in contracts))}
    state = BillState.empty(len(chains))
    bills = []
    for (first, last, _, number), due in sorted(_groups(loads, contracts, prices, last_closed).items()):
        rows = np.array([each.row for each in due], np.int64)
        chained = np.array([chains[each.period.contract.chain] for each in due], np.int64)
        group = _Group(loads[number], [each.period for each in due], rows, first, last)
        priced, own = group.priced(prices, state.at(chained), holds)
        if priced is not None:
            bills.append(priced)
            issued = ~priced.held
            state.put(chained[issued], own.at(np.flatnonzero(issued)))
    return bill_parts(bills)


@dataclass(frozen=True)
class _Due:
    period: BillingPeriod
    row: int


def _groups(
    loads: Sequence[Loads], contracts: Sequence[Contract], prices: Prices, last_closed: int
) -> dict[tuple[int, int, str, int], list[_Due]]:
    """Due bills that are priced together: of equal days, tariff and length of interval."""
    groups: dict[tuple[int, int, str, int], list[_Due]] = defaultdict(list)
    for contract in contracts:
        if contract.tariff_id is None or contract.tariff_id not in prices.book:
            continue
        places = [
            (number, each.row_of[contract.load])
            for number, each in enumerate(loads)
            if contract.load in each.row_of
        ]
        first_day = min(
            (int(loads[number].first_day[row]) for number, row in places), default=last_closed + 1
        )
        for period in billing_periods(contract, first_day, last_closed):
            inside = [
                (number, row)
                for number, row in places
                if loads[number].grid.first_day <= period.first and period.last <= loads[number].grid.last_day
            ]
            if inside:
                number, row = min(inside, key=lambda place: _lost(loads, place, period))
                groups[period.first, period.last, contract.tariff_id, number].append(_Due(period, row))
    return groups


def _lost(loads: Sequence[Loads], place: tuple[int, int], period: BillingPeriod) -> float:
    """Share of a period's slots without a value; a load of one length of interval is not looked at."""
    if len(loads) == 1:
        return 0.0
    load = loads[place[0]]
    return float(
        (load.quality[place[1], _columns(load, period.first, period.last)] == Quality.MISSING).mean()
    )


def _columns(loads: Loads, first: int, last: int) -> slice:
    """Slots of epoch days first … last."""
    edges = [first - loads.grid.first_day, last + 1 - loads.grid.first_day]
    low, high = loads.grid.offsets[edges].tolist()
    return slice(low, high)


@dataclass(frozen=True)
class _Group:
    """Bills of one period, tariff and length of interval.

    Attributes:
        rows: Of the loads; (n,).
    """

    loads: Loads
    periods: Sequence[BillingPeriod]
    rows: Int
    first: int
    last: int

    def priced(self, prices: Prices, state: BillState, holds: Holds) -> tuple[PricedBills | None, BillState]:
        """Bills, None where no version of the tariff is in force, and the states handed on."""
        versions = prices.book[str(self.periods[0].contract.tariff_id)]
        stretches = version_stretches(versions, self.first, self.last)
        if not stretches:
            return None, state
        tariff = stretches[-1][2]
        slots = _columns(self.loads, self.first, self.last)
        counts = count_slots(self._quality(slots, [version for *_, version in stretches]))
        limits = prices.rules.holding_on(day_date(self.last))
        lines: list[tuple[Tariff, Line, int]] = []
        totals, own = np.zeros(len(self.rows), np.int64), state
        lack = self._misfit(stretches)
        try:
            for stretch in stretches if not lack else ():
                more, total, own = self._stretch(*stretch, prices, own)
                lines += more
                totals += total
        except UnpriceableError as error:
            lack = f"tariff {tariff.id}: {error}"
        if lack:
            lines, totals, own = [], np.zeros(len(self.rows), np.int64), state
        width = slots.stop - slots.start
        held = holding_reasons(counts, width, limits)
        reasons = [
            reason
            or period.contract.lack
            or lack
            or self._unit(row, stretches)
            or holds.reason(period, self.loads.grid.zone)
            for reason, period, row in zip(held, self.periods, self.rows.tolist(), strict=True)
        ]
        states = _states(own, tariff, reasons)
        done = PricedBills(self.periods, tariff, lines, totals, states, width, counts.estimated, reasons)
        return done, own

    def _quality(self, slots: slice, versions: Sequence[Tariff]) -> Codes:
        """Quality of each slot, that of reactive energy included where it is charged."""
        quality: Codes = self.loads.quality[contiguous(self.rows), slots]
        channels = {c.channel for version in versions for c in version.charges if isinstance(c, Reactive)}
        for channel in sorted(channels & set(self.loads.reactive)):
            quality = np.minimum(quality, self.loads.reactive[channel][1][contiguous(self.rows), slots])
        return quality

    def _misfit(self, stretches: Sequence[tuple[int, int, Tariff]]) -> str:
        """Why the tariff's versions cannot make one bill of these days; empty where they can."""
        tariff = stretches[-1][2]
        days = self.last - self.first + 1
        covered = sum(high - low + 1 for low, high, _ in stretches)
        if covered < days:
            return f"tariff {tariff.id}: no version on {days - covered} of {days} days, expected one on each"
        for _, _, version in stretches:
            minutes = self.loads.grid.interval_s / 60
            if minutes not in version.interval.accepts_min:
                accepted = ", ".join(map(str, version.interval.accepts_min))
                return f"tariff {tariff.id}: slots of {minutes:g} minutes, expected {accepted}"
            mine = version.currency, version.rounding.money_dp
            if mine != (tariff.currency, tariff.rounding.money_dp):
                said = f"version {version.version} in {mine[0]} with {mine[1]} decimals"
                wanted = f"{tariff.currency} with {tariff.rounding.money_dp}, as version {tariff.version}"
                return f"tariff {tariff.id}: {said}, expected {wanted}"
        return ""

    def _unit(self, row: int, stretches: Sequence[tuple[int, int, Tariff]]) -> str:
        """Why a load's unit is not what the tariff prices; empty where it is."""
        for _, _, version in stretches:
            wanted = "m3" if version.conversion is not None else version.unit
            if self.loads.units[row] != wanted:
                return f"tariff {version.id}: a load in {self.loads.units[row]}, expected {wanted}"
        return ""

    def _stretch(
        self, low: int, high: int, tariff: Tariff, prices: Prices, state: BillState
    ) -> tuple[list[tuple[Tariff, Line, int]], Int, BillState]:
        """Lines, totals [10^-6] and new state of the days under one version."""
        priced = price_window(tariff, self._window(low, high, tariff, prices), state)
        dp = tariff.rounding.money_dp if tariff.rounding.money_at == "line" else MICRO_DP
        total = priced.total * 10 ** (MICRO_DP - tariff.rounding.money_dp)
        return [(tariff, line, dp) for line in priced.lines], total, priced.state

    def _window(self, low: int, high: int, tariff: Tariff, prices: Prices) -> Window:
        loads, chosen = self.loads, contiguous(self.rows)
        slots = _columns(loads, low, high)
        edges = [low - loads.grid.first_day, high + 1 - loads.grid.first_day]
        first_run, last_run = np.searchsorted(classify(tariff, loads.grid).run_day, edges).tolist()
        fed = loads.fed_in(netted=netting_of(tariff) != "none")
        grid = day_grid(loads.grid.zone, loads.grid.interval_s, low, high - low + 1)
        ends = day_date(self.last)
        return Window(
            grid=grid,
            imported=loads.imported[chosen, slots],
            exported=None if fed is None else fed[chosen, slots],
            runs=loads.runs(tariff, self.rows)[:, first_run:last_run] if fed is None else None,
            month=ends.year * 12 + ends.month - 1,
            billed_days=self.last - self.first + 1,
            events=prices.events,
            prices=prices_on(tariff, grid, prices.series),
            reactive={channel: energy[chosen, slots] for channel, (energy, _) in loads.reactive.items()},
            closes=high == self.last,
        )


def _states(own: BillState, tariff: Tariff, reasons: Sequence[str]) -> list[str | None]:
    """State after each bill as JSON text; None where nothing is carried, or the bill is held."""
    dp = tariff.rounding.money_dp
    carried = own.carried().tolist()
    return [
        json.dumps(own.fields(row, dp)) if carried[row] and not reason else None
        for row, reason in enumerate(reasons)
    ]
