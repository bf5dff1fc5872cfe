"""Bills of equal days, tariff and lengths of interval, priced together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.bill_chains import Chains
from models.bill_cycles import BillingPeriod
from models.bill_parts import PricedBills
from models.bill_prices import Prices, prices_on, version_stretches
from models.bill_sheet import MICRO_DP, Line
from models.billing import BillState, UnpriceableError, Window, price_quantities
from models.calendar import day_date, day_grid, local_day
from models.holding import SlotCounts, count_slots, holding_reasons
from models.holds import Holds
from models.join_quantities import join_quantities, sum_of
from models.loads import Codes, Loads, contiguous
from models.series import Int
from models.slot_quantities import measure, netting_of
from models.tou import classify
from schemas.quality import Quality
from schemas.tariff import Demand, Holding, Tariff, charged_channel

__all__ = ["DueBills", "LoadPart"]

KVARH = "reactive_import"
"""Channel that a power factor is measured by."""


@dataclass(frozen=True)
class LoadPart:
    """The slots of one length of n bills.

    Attributes:
        loads: Hold them.
        rows: Of the loads; (n,).
        start, end: Seconds [start, end) in which they count.
    """

    loads: Loads
    rows: Int
    start: int
    end: int

    @property
    def days(self) -> tuple[int, int]:
        """First and last epoch day that the part touches."""
        zone = self.loads.grid.zone
        return local_day(zone, self.start), local_day(zone, self.end - 1)

    @property
    def slots(self) -> slice:
        """Columns of the slots that count."""
        grid = self.loads.grid
        low, high = (-(-(second - grid.origin) // grid.interval_s) for second in (self.start, self.end))
        return slice(max(low, 0), max(high, 0))

    def quality(self, channel: str | None = None) -> Codes:
        """Quality of the slots that count, or of one channel of reactive energy; (n, slots)."""
        if channel is None:
            return self.loads.quality[contiguous(self.rows), self.slots]
        if channel not in self.loads.reactive:
            width = self.slots.stop - self.slots.start
            return np.full((len(self.rows), width), Quality.MISSING, np.int8)
        return self.loads.reactive[channel][1][contiguous(self.rows), self.slots]

    def kvarh(self, channel: str, columns: slice) -> Int:
        """Reactive energy; zeros where no load has any."""
        if channel not in self.loads.reactive:
            return np.zeros((len(self.rows), columns.stop - columns.start), np.int64)
        energy: Int = self.loads.reactive[channel][0][contiguous(self.rows), columns]
        return energy


@dataclass(frozen=True)
class DueBills:
    """Bills of one period, tariff and lengths of interval.

    Attributes:
        periods: n of them.
        chained: Chain of each; (n,).
        parts: In time order.
    """

    periods: Sequence[BillingPeriod]
    chained: Int
    parts: Sequence[LoadPart]

    def priced(self, prices: Prices, chains: Chains, holds: Holds) -> PricedBills | None:
        """Price the bills, each from the state of the one before; issued ones hand on their own.

        Args:
            prices: Tariffs, events, series and limits.
            chains: Take over the new states.
            holds: Findings that hold bills.

        Returns:
            None where no version of the tariff is in force.
        """
        name = str(self.periods[0].contract.tariff_id)
        if name not in prices.book:
            return self._without_tariff(name)
        stretches = version_stretches(prices.book[name], self._first, self._last)
        if not stretches:
            return None
        tariff, versions = stretches[-1][2], [version for *_, version in stretches]
        state, foreign = chains.begin(self.chained, tariff)
        limits = prices.rules.holding_on(day_date(self._last))
        counts, width = _counts([part.quality() for part in self.parts])
        lines: list[tuple[Tariff, Line, int]] = []
        totals, own = np.zeros(len(self.periods), np.int64), state
        lack = self._misfit(stretches)
        try:
            for stretch in stretches if not lack else ():
                more, total, own = self._stretch(*stretch, prices, own)
                lines += more
                totals += total
        except UnpriceableError as error:
            lack = f"tariff {tariff.id}: {error}"
        if lack:
            lines, totals, own = [], np.zeros(len(self.periods), np.int64), state
        reasons = [
            reason
            or period.contract.lack
            or lack
            or self._unit(place, versions)
            or beside
            or credit
            or holds.reason(period, self._zone)
            for place, (period, reason, beside, credit) in enumerate(
                zip(
                    self.periods,
                    holding_reasons(counts, width, limits),
                    self._reactive_reasons(versions, limits),
                    foreign,
                    strict=True,
                )
            )
        ]
        states = _states(own, tariff, reasons)
        done = PricedBills(self.periods, tariff, lines, totals, states, width, counts.estimated, reasons)
        issued = ~done.held
        chains.end(self.chained[issued], own.at(np.flatnonzero(issued)), tariff)
        return done

    @property
    def _first(self) -> int:
        return self.periods[0].first

    @property
    def _last(self) -> int:
        return self.periods[0].last

    @property
    def _zone(self) -> str:
        return self.parts[0].loads.grid.zone

    def _without_tariff(self, name: str) -> PricedBills:
        """Bills of loads by formula on a tariff that is not known: held, as no finding tells of them."""
        none = np.zeros(len(self.periods), np.int64)
        width = sum(part.slots.stop - part.slots.start for part in self.parts)
        reasons = [f"no tariff {name}, expected a known one"] * len(self.periods)
        return PricedBills(self.periods, None, [], none, [None] * len(reasons), width, none, reasons)

    def _reactive_reasons(self, versions: Sequence[Tariff], limits: Holding) -> list[str]:
        """Why bills are held for their reactive energy, where it counts; empty where they are not."""
        reasons = [""] * len(self.periods)
        charged = _charged(versions)
        for channel in [*charged, *([KVARH] if _factored(versions) and KVARH not in charged else ())]:
            codes = [part.quality(channel) for part in self.parts]
            never = np.logical_and.reduce([(c == Quality.MISSING).all(axis=1) for c in codes]).tolist()
            held = holding_reasons(*_counts(codes), limits)
            for i, (none, reason) in enumerate(zip(never, held, strict=True)):
                if none:
                    reason = "none, which the tariff charges" if channel in charged else ""
                reasons[i] = reasons[i] or (reason and f"{channel}: {reason}")
        return reasons

    def _misfit(self, stretches: Sequence[tuple[int, int, Tariff]]) -> str:
        """Why the tariff's versions cannot make one bill of these days; empty where they can."""
        tariff = stretches[-1][2]
        days = self._last - self._first + 1
        covered = sum(high - low + 1 for low, high, _ in stretches)
        if covered < days:
            return f"tariff {tariff.id}: no version on {days - covered} of {days} days, expected one on each"
        for low, high, version in stretches:
            for part in self.parts:
                minutes = part.loads.grid.interval_s / 60
                touches = part.days[0] <= high and low <= part.days[1]
                if touches and minutes not in version.interval.accepts_min:
                    accepted = ", ".join(map(str, version.interval.accepts_min))
                    return f"tariff {tariff.id}: slots of {minutes:g} minutes, expected {accepted}"
            mine = version.currency, version.rounding.money_dp
            if mine != (tariff.currency, tariff.rounding.money_dp):
                said = f"version {version.version} in {mine[0]} with {mine[1]} decimals"
                wanted = f"{tariff.currency} with {tariff.rounding.money_dp}, as version {tariff.version}"
                return f"tariff {tariff.id}: {said}, expected {wanted}"
        return ""

    def _unit(self, place: int, versions: Sequence[Tariff]) -> str:
        """Why a load's unit is not what the tariff prices; empty where it is."""
        for version in versions:
            wanted = "m3" if version.conversion is not None else version.unit
            for part in self.parts:
                found = part.loads.units[int(part.rows[place])]
                if found != wanted:
                    return f"tariff {version.id}: a load in {found}, expected {wanted}"
        return ""

    def _stretch(
        self, low: int, high: int, tariff: Tariff, prices: Prices, state: BillState
    ) -> tuple[list[tuple[Tariff, Line, int]], Int, BillState]:
        """Lines, totals [10^-6] and new state of the days under one version."""
        windows = [
            self._window(part, max(low, part.days[0]), min(high, part.days[1]), tariff, prices)
            for part in self.parts
            if part.days[0] <= high and low <= part.days[1]
        ]
        first_days = [window.grid.first_day for window in windows]
        quantities = join_quantities([measure(tariff, window) for window in windows], first_days)
        grid = day_grid(self._zone, windows[0].grid.interval_s, low, high - low + 1)
        priced = price_quantities(tariff, replace(windows[0], grid=grid), quantities, state)
        dp = tariff.rounding.money_dp if tariff.rounding.money_at == "line" else MICRO_DP
        total = priced.total * 10 ** (MICRO_DP - tariff.rounding.money_dp)
        return [(tariff, line, dp) for line in priced.lines], total, priced.state

    def _window(self, part: LoadPart, low: int, high: int, tariff: Tariff, prices: Prices) -> Window:
        """Days of one part; slots that do not count are zero in its loads."""
        loads, chosen = part.loads, contiguous(part.rows)
        edges = [low - loads.grid.first_day, high + 1 - loads.grid.first_day]
        slots = slice(*loads.grid.offsets[edges].tolist())
        first_run, last_run = np.searchsorted(classify(tariff, loads.grid).run_day, edges).tolist()
        fed = loads.fed_in(netted=netting_of(tariff) != "none")
        grid = day_grid(loads.grid.zone, loads.grid.interval_s, low, high - low + 1)
        ends = day_date(self._last)
        return Window(
            grid=grid,
            imported=loads.imported[chosen, slots],
            exported=None if fed is None else fed[chosen, slots],
            runs=loads.runs(tariff, part.rows)[:, first_run:last_run] if fed is None else None,
            month=ends.year * 12 + ends.month - 1,
            billed_days=self._last - self._first + 1,
            events=prices.events,
            of_bill=self._of_bill() if _factored([tariff]) else None,
            prices=prices_on(tariff, grid, prices.series),
            reactive={channel: part.kvarh(channel, slots) for channel in _charged([tariff])},
            closes=high == self._last,
        )

    def _of_bill(self) -> tuple[Int, Int]:
        """Energy drawn and reactive energy drawn in the whole bill; the latter −1 where none is measured."""
        never = np.logical_and.reduce(
            [(part.quality(KVARH) == Quality.MISSING).all(axis=1) for part in self.parts]
        )
        active = [part.loads.imported[contiguous(part.rows), part.slots].sum(axis=1) for part in self.parts]
        reactive = sum_of([part.kvarh(KVARH, part.slots).sum(axis=1) for part in self.parts])
        return sum_of(active), np.where(never, -1, reactive)


def _counts(quality: Sequence[Codes]) -> tuple[SlotCounts, int]:
    """Slots of the parts of n bills by what they are worth, and how many a bill has."""
    counts = [count_slots(codes) for codes in quality]
    return SlotCounts(
        missing=sum_of([count.missing for count in counts]),
        failed=sum_of([count.failed for count in counts]),
        estimated=sum_of([count.estimated for count in counts]),
        edited=sum_of([count.edited for count in counts]),
    ), sum(codes.shape[1] for codes in quality)


def _charged(versions: Sequence[Tariff]) -> list[str]:
    """Channels of reactive energy that a tariff charges."""
    found = {charged_channel(charge) for version in versions for charge in version.charges}
    return sorted(channel for channel in found if channel is not None)


def _factored(versions: Sequence[Tariff]) -> bool:
    """Whether a tariff raises demand for the power factor."""
    return any(
        isinstance(charge, Demand) and charge.pf is not None
        for version in versions
        for charge in version.charges
    )


def _states(own: BillState, tariff: Tariff, reasons: Sequence[str]) -> list[str | None]:
    """State after each bill as JSON text; None where nothing is carried, or the bill is held."""
    dp = tariff.rounding.money_dp
    carried = own.carried().tolist()
    return [
        json.dumps(own.fields(row, dp)) if carried[row] and not reason else None
        for row, reason in enumerate(reasons)
    ]
