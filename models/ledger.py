"""The ledger of a shard: events in, in any order and at any time; rows of closed days out.

Logic and state without a runner or a clock. A stream holds one ledger a shard, hands it what arrives,
tells it which day has closed, and from time to time asks it for what changed. What it yields for a day is
what a backfill of the same events yields: both call :func:`models.shard_results.shard_results`.

State holds the raw records of the last ``hot_days`` + 36 local days (SEMANTICS, Dirty days and horizon). A
dirty day whose reach lies wholly in there is computed; any other is handed on as beyond the horizon.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.assemble import Name, ShardInputs, first_readings
from models.bill_prices import Prices
from models.calendar import local_days, local_midnight
from models.dirty import Days, DirtyDays, read_days
from models.feature_run import monday
from models.linked_days import linked_days
from models.master import MICROS, MasterData, master_data
from models.reach import reach_windows
from models.repeats import only, without_repeats
from models.shard_results import ShardResults, shard_results
from models.shard_run import CONTEXT_BACK, ShardRun
from models.shard_scope import (
    EVER,
    Scope,
    closed_only,
    join_scopes,
    mark_everything,
    mark_new_facts,
    ranges_of,
    series_ranges,
    series_table,
    split,
    whole_meters,
    without,
)
from schemas.arrow import RAW
from schemas.channels import HELPED
from schemas.records import Kind
from schemas.rulebook import RuleBook

__all__ = [
    "DATED",
    "HELD",
    "Flushed",
    "LedgerIndex",
    "LedgerRules",
    "LedgerState",
    "ShardLedger",
    "behind",
    "horizon",
    "leaves_with",
    "longest_stay",
]

BACK = 36
"""Days of raw kept beyond ``hot_days``: a result's own reach and the day ahead."""
OUTAGE_DAYS = 15
"""A power-down and its restore lie at most 7 days apart and act as far as 7 days: kept that much longer."""
FRESH = "fresh"
DATED = {Kind.INTERVALS: "start", Kind.REGISTERS: "read_at", Kind.EVENTS: "occurred_at"}
"""Kinds that are forgotten behind the horizon, and the column that tells when they lie there."""
PRICED = (Kind.TARIFFS, Kind.TARIFF_EVENTS)
HELD = (*DATED, Kind.SERVICE_POINTS, Kind.EDITS, *PRICED)
"""Kinds of records a ledger takes."""
KEYS = {
    Kind.INTERVALS: ["meter_id", "channel", "start"],
    Kind.REGISTERS: ["meter_id", "channel", "read_at"],
    Kind.EVENTS: ["meter_id", "event_type", "occurred_at"],
    Kind.SERVICE_POINTS: ["service_point_id", "valid_from"],
    Kind.EDITS: ["edit_id", "kind"],
    Kind.TARIFFS: ["tariff_id", "version"],
    Kind.TARIFF_EVENTS: ["event", "local_date"],
}
"""Columns in which exact repeats agree first."""


def _no_prices(tariffs: pa.Table, events: pa.Table) -> Prices:
    return Prices()


@dataclass(frozen=True)
class LedgerRules:
    """What holds for all shards of a stream.

    Attributes:
        zone: Time zone of the lake.
        book: Rules in force.
        prices: Tariffs and events from the records of the two kinds that were received.
        hot_days: Local days, counted back from the last closed one, that late data may change here.
        history_from: First epoch day expected of every service point, or None.
        cells: Most slots held densely at once.
    """

    zone: str
    book: RuleBook
    prices: Callable[[pa.Table, pa.Table], Prices] = _no_prices
    hot_days: int = 35
    history_from: int | None = None
    cells: int = 1 << 21


@dataclass
class LedgerIndex:
    """The small part of what a ledger remembers.

    Attributes:
        first_readings: Second and interval length of the first reading ever of each series, as of the
            last flush.
        last_closed: Last closed epoch day; −1 before the first.
        flushed_through: Last closed epoch day at the last flush.
        floor: First epoch day whose raw is complete here; ``EVER`` while nothing was forgotten.
    """

    first_readings: dict[Name, tuple[int, int]] = field(default_factory=dict)
    last_closed: int = -1
    flushed_through: int = -1
    floor: int = EVER


@dataclass
class LedgerState:
    """All that a ledger remembers.

    Attributes:
        raw: Records of each kind in its raw schema, with ``fresh``: not looked at yet; these stand last.
        index: The rest.
    """

    raw: dict[Kind, pa.Table] = field(default_factory=lambda: {kind: _nothing(kind) for kind in HELD})
    index: LedgerIndex = field(default_factory=LedgerIndex)

    @classmethod
    def rebuilt(cls, kept: Mapping[Kind, pa.Table], index: LedgerIndex, rules: LedgerRules) -> LedgerState:
        """State after a flush, from all that flushes ever kept; what lies behind the horizon is left out."""
        state = cls(index=replace(index, first_readings=dict(index.first_readings)))
        for kind, rows in kept.items():
            rows = rows.filter(pa.array(~behind(kind, rows, index.last_closed, rules)))
            state.raw[kind] = rows.append_column(FRESH, pa.repeat(pa.scalar(False), rows.num_rows))
        return state


@dataclass(frozen=True)
class Flushed:
    """What one flush yields.

    Attributes:
        scope: Days computed, of each series: keys in it without a row now have none.
        results: Their rows.
        beyond: Dirty days whose reach has left the state: for a backfill.
        ranges: Range of results of every series.
        last_closed: Last closed epoch day.
        whole_since: First epoch day whose findings about meters as a whole are all among the results.
        series: Range of results of every series, as rows of the lake's table.
        kept: Fresh records that are part of the state from now on, without repeats, in their raw schema.
        first_readings: Those of ``LedgerIndex`` that are new or moved.
    """

    scope: Scope
    results: ShardResults
    beyond: Scope
    ranges: dict[Name, Days]
    last_closed: int
    whole_since: int
    series: pa.Table
    kept: dict[Kind, pa.Table]
    first_readings: dict[Name, tuple[int, int]]


def _nothing(kind: Kind) -> pa.Table:
    return RAW[kind].empty_table().append_column(FRESH, pa.array([], pa.bool_()))


def _coded(table: pa.Table) -> pa.Table:
    """The meters as codes of one dictionary: all that asks for them tells texts apart once."""
    column = table.schema.get_field_index("meter_id")
    meters = table["meter_id"].dictionary_encode()
    return table.set_column(column, "meter_id", meters).unify_dictionaries()


def _fresh(table: pa.Table) -> pa.Table:
    """The fresh rows, not copied: they stand last."""
    count = pc.sum(table[FRESH]).as_py() or 0
    return table.slice(table.num_rows - count)


def _beside_fresh(table: pa.Table, time: str) -> NDArray[np.int64]:
    """Fresh rows, and those of the same moment: only among these are there repeats, ascending."""
    moments = pc.unique(table[time].filter(table[FRESH]))
    beside = pc.is_in(table[time], value_set=moments).to_numpy()
    return np.flatnonzero(beside)


class ShardLedger:
    """One shard's ledger.

    Args:
        rules: Of the stream.
        state: To go on from; a new one where None.
        serves: Whether a meter belongs to this shard; master data may name others.
    """

    def __init__(
        self,
        rules: LedgerRules,
        state: LedgerState | None = None,
        serves: Callable[[str], bool] = lambda meter: True,
    ) -> None:
        self.rules = rules
        self.state = state or LedgerState()
        self.serves = serves
        # What the last flush had, found again from state where there is none: a ledger just loaded.
        self._ranges: dict[Name, Days] | None = None
        self._known: tuple[pa.Table, MasterData] | None = None

    def take(self, kind: Kind, rows: pa.Table) -> None:
        """Append arrivals; nothing is computed.

        Args:
            kind: One of ``HELD``.
            rows: In its raw schema. Of service points every version of each point that ever named a
                meter of this shard must come, whichever shard the version's own meter lies in, and the
                lake's first one, whosever it is: it ends the time in which every meter counts as served.
                Edits, tariffs and their events go to every shard.
        """
        if rows.num_rows:
            rows = rows.append_column(FRESH, pa.repeat(pa.scalar(True), rows.num_rows))
            self.state.raw[kind] = pa.concat_tables([self.state.raw[kind], rows])

    def close(self, through: int) -> None:
        """Close the local days up to an epoch day; days never open again."""
        self.state.index.last_closed = max(self.state.index.last_closed, through)

    @property
    def restless(self) -> bool:
        """Whether a flush could yield anything."""
        index = self.state.index
        fresh = any(pc.any(table[FRESH]).as_py() for table in self.state.raw.values())
        return fresh or index.last_closed > index.flushed_through

    def flush(self) -> Flushed:
        """Compute the closed days that new facts can reach, and forget what lies behind the horizon."""
        raw, index, rules = self.state.raw, self.state.index, self.rules
        for kind, table in raw.items():
            if pc.any(table[FRESH]).as_py():
                among = _beside_fresh(table, DATED[kind]) if kind in DATED else None
                raw[kind] = without_repeats(table, KEYS[kind], (FRESH, "source"), among)
        former = self._former_ranges()
        new = self._new_first_readings()
        index.first_readings |= new
        inputs = self._inputs(index.last_closed)
        by_length = series_ranges(inputs)
        ranges = ranges_of(by_length)
        touched = whole_meters(self._dirty(inputs, ranges, former), {*ranges, *index.first_readings})
        wanted = closed_only(touched, index.last_closed)
        scope, beyond = split(wanted, self._computable(wanted, inputs))
        scope, linked = without(scope, self._linked(scope, inputs))
        beyond = join_scopes([beyond, linked])
        prices = rules.prices(*(raw[kind].drop_columns([FRESH]) for kind in PRICED))
        run = ShardRun(inputs, rules.book, scope, since=index.floor, windows=self._windows(scope, inputs))
        meters = sorted(filter(self.serves, inputs.master.spans))
        results = self._whole_weeks(shard_results(run, meters, prices, bills=False))
        whole_since = index.floor if index.floor == EVER else index.floor + 1
        kept = self._settle()
        index.flushed_through = index.last_closed
        self._ranges = ranges
        return Flushed(
            scope,
            results,
            beyond,
            ranges,
            index.last_closed,
            whole_since,
            series_table(by_length),
            kept,
            new,
        )

    def _new_first_readings(self) -> dict[Name, tuple[int, int]]:
        """First readings of the fresh records that come before those known."""
        known = self.state.index.first_readings
        found = first_readings(_fresh(self.state.raw[Kind.INTERVALS]))
        return {name: first for name, first in found.items() if name not in known or first < known[name]}

    def _former_ranges(self) -> dict[Name, Days]:
        """Ranges of results as of the last flush."""
        if self._ranges is None:
            former = self._inputs(self.state.index.flushed_through, settled=True)
            self._ranges = ranges_of(series_ranges(former))
        return self._ranges

    def _windows(self, scope: Scope, inputs: ShardInputs) -> dict[Name, Days]:
        longest = self.rules.book.max_read_gap_days
        registers = inputs.registers
        tou = registers["meter_id"].filter(registers["tou_register"].is_valid())
        helped = {meter for meter, channel in scope if channel in HELPED}
        return reach_windows(
            scope,
            registers,
            inputs.master,
            inputs.zone,
            back=CONTEXT_BACK,
            longest=longest,
            wide={*pc.unique(tou).to_pylist(), *inputs.master.linked, *helped},
        )

    def _dirty(self, inputs: ShardInputs, ranges: dict[Name, Days], former: dict[Name, Days]) -> Scope:
        """Days that new facts can reach."""
        dirty = DirtyDays()
        longest = self.rules.book.max_read_gap_days
        points = self.state.raw[Kind.SERVICE_POINTS][FRESH]
        mark_new_facts(
            dirty,
            inputs,
            ranges,
            former,
            self._touched(),
            longest,
            closed_since=self.state.index.flushed_through,
            first_master=len(points) > 0 and bool(pc.all(points).as_py()),
        )
        if any(pc.any(self.state.raw[kind][FRESH]).as_py() for kind in PRICED):
            mark_everything(dirty, inputs, ranges)
        return dirty.merged()

    def _inputs(self, last_closed: int, *, settled: bool = False) -> ShardInputs:
        """The shard's records; ``settled``: as they were at the last flush, master data and range only."""
        raw, rules = self.state.raw, self.rules
        points = raw[Kind.SERVICE_POINTS]
        if settled:
            points = points.filter(pc.invert(points[FRESH]))
        tables = {kind: _nothing(kind) if settled else _coded(raw[kind]) for kind in DATED}
        return ShardInputs(
            intervals=tables[Kind.INTERVALS],
            registers=tables[Kind.REGISTERS],
            events=tables[Kind.EVENTS],
            master=self._master(points),
            zone=rules.zone,
            last_closed=last_closed,
            first_readings=self.state.index.first_readings,
            history_from=rules.history_from,
            cells=rules.cells,
            edits=_nothing(Kind.EDITS) if settled else raw[Kind.EDITS],
            counted=False,
        )

    def _master(self, points: pa.Table) -> MasterData:
        points = points.drop_columns([FRESH])
        if self._known is None or not self._known[0].equals(points):
            self._known = points, master_data(points)
        return self._known[1]

    def _touched(self) -> set[str]:
        """Meters of the service points that came anew."""
        table = self.state.raw[Kind.SERVICE_POINTS]
        points = table.filter(table[FRESH])["service_point_id"]
        chosen = table.filter(pc.is_in(table["service_point_id"], points.combine_chunks()))
        return set(chosen["meter_id"].to_pylist()) - {None}

    def _computable(self, wanted: Scope, inputs: ShardInputs) -> Mapping[Name, Days]:
        """Days of each series whose whole reach, read intervals included, lies in state."""
        floor, last = self.state.index.floor, self.state.index.last_closed
        if floor == EVER:
            return dict.fromkeys(wanted, (EVER, last))
        longest = self.rules.book.max_read_gap_days
        low = dict.fromkeys(wanted, floor + CONTEXT_BACK)
        for name, days in read_days(inputs.registers, inputs.zone).items():
            if name not in low:
                continue
            for first, second in pairwise(days):
                if second - first <= longest + 1 and first - CONTEXT_BACK < floor and second >= low[name]:
                    low[name] = second + 1
        of_meter: dict[str, int] = {}
        for (meter, _), day in low.items():
            of_meter[meter] = max(of_meter.get(meter, day), day)
        return {name: (of_meter[name[0]], last) for name in low}

    def _linked(self, wanted: Scope, inputs: ShardInputs) -> dict[Name, list[Days]]:
        """Days on which a meter is linked with others: they lie in other shards, if anywhere."""
        master, longest = inputs.master, self.rules.book.max_read_gap_days
        meters = {meter for meter, _ in wanted} & master.linked.keys()
        if not meters:
            return {}
        reads = read_days(inputs.registers, inputs.zone)
        days = {
            meter: linked_days(
                meter,
                {point: c for point, c in master.claims.items() if any(claim[2] == meter for claim in c)},
                [of_channel for name, of_channel in reads.items() if name[0] == meter],
                inputs.zone,
                longest,
            )
            for meter in sorted(meters)
        }
        return {name: days[name[0]] for name in wanted if name[0] in days}

    def _whole_weeks(self, results: ShardResults) -> ShardResults:
        """Features of weeks that lie wholly in state; of others some measured days may be forgotten."""
        if self.state.index.floor == EVER or not results.features.num_rows:
            return results
        first = monday(self.state.index.floor + 6)
        weeks = results.features["week"].cast(pa.int32())
        return replace(results, features=results.features.filter(pc.greater_equal(weeks, first)))

    def _settle(self) -> dict[Kind, pa.Table]:
        """Forget what lies behind the horizon; nothing is fresh any more. Returns what was, and stays."""
        raw, index = self.state.raw, self.state.index
        kept = {}
        for kind, table in raw.items():
            old = behind(kind, table, index.last_closed, self.rules)
            if old.any():
                table = only(table, ~old)
                index.floor = max(index.floor, horizon(index.last_closed, self.rules))
            fresh = _fresh(table)
            if fresh.num_rows:
                kept[kind] = fresh.drop_columns([FRESH])
            settled = pa.repeat(pa.scalar(False), table.num_rows)
            raw[kind] = table.set_column(table.schema.get_field_index(FRESH), FRESH, settled).combine_chunks()
        return kept


def horizon(last_closed: int, rules: LedgerRules) -> int:
    """First epoch day whose raw a ledger keeps."""
    return last_closed - (rules.hot_days + BACK) + 1


def behind(kind: Kind, rows: pa.Table, last_closed: int, rules: LedgerRules) -> NDArray[np.bool_]:
    """Records that lie wholly behind the horizon; shape (n,).

    Reads are kept as much longer as a read interval may last, events as an outage may act.
    """
    if kind not in DATED or not rows.num_rows:
        return np.zeros(rows.num_rows, np.bool_)
    first = max(horizon(last_closed, rules) - _longer(kind, rules), 0)
    old: NDArray[np.bool_] = _ends(kind, rows) <= local_midnight(rules.zone, first)
    return old


def leaves_with(kind: Kind, rows: pa.Table, rules: LedgerRules) -> NDArray[np.int64]:
    """Epoch day with whose close each record falls behind the horizon; shape (n,).

    Args:
        kind: One of those that are forgotten behind the horizon.
        rows: In its raw schema.
        rules: Of the stream.
    """
    last = local_days(rules.zone, _ends(kind, rows) - 1)
    return last + rules.hot_days + BACK + _longer(kind, rules)


def longest_stay(rules: LedgerRules) -> int:
    """Most days between a record's own day and the close with which it falls behind the horizon."""
    return rules.hot_days + BACK + max(_longer(kind, rules) for kind in DATED)


def _longer(kind: Kind, rules: LedgerRules) -> int:
    longer = {Kind.REGISTERS: rules.book.max_read_gap_days + 2, Kind.EVENTS: OUTAGE_DAYS}
    return longer.get(kind, 0)


def _ends(kind: Kind, table: pa.Table) -> NDArray[np.int64]:
    """First second after each record; shape (n,)."""
    at: NDArray[np.int64] = table[DATED[kind]].to_numpy()
    if kind is not Kind.INTERVALS:
        return at // MICROS + 1
    lengths = [
        pc.fill_null(pc.list_value_length(table[name]), 0).to_numpy()
        for name in ("values_int", "values_float")
    ]
    count = np.maximum(np.maximum(*lengths), 1).astype(np.int64)
    ends: NDArray[np.int64] = at + count * table["interval_s"].to_numpy()
    return ends
