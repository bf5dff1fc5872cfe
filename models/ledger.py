"""The ledger of a shard: events in, in any order and at any time; rows of closed days out.

Logic and state without a runner or a clock. A stream holds one ledger a shard, hands it what arrives,
tells it which day has closed, and from time to time asks it for what changed. What it yields for a day is
what a backfill of the same events yields: both call :func:`models.shard_results.shard_results`.

State holds the raw records of the last ``hot_days`` + 36 local days (SEMANTICS, Dirty days and horizon). A
dirty day whose reach lies wholly in there is computed; any other is handed on as beyond the horizon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.assemble import Name, ShardInputs, first_readings
from models.calendar import local_midnight
from models.dirty import Days, DirtyDays, read_days
from models.feature_run import monday
from models.master import MICROS, MasterData, master_data
from models.shard_results import Prices, ShardResults, shard_results
from models.shard_run import CONTEXT_BACK, ShardRun
from models.shard_scope import EVER, Scope, closed_only, mark_new_facts, ranges_of, split
from schemas.arrow import RAW
from schemas.records import Kind
from schemas.rulepack import RulePack

__all__ = ["HELD", "Flushed", "LedgerRules", "LedgerState", "ShardLedger"]

BACK = 36
"""Days of raw kept beyond ``hot_days``: a result's own reach and the day ahead."""
OUTAGE_DAYS = 15
"""A power-down and its restore lie at most 7 days apart and act as far as 7 days: kept that much longer."""
HELD = (Kind.INTERVALS, Kind.REGISTERS, Kind.EVENTS, Kind.SERVICE_POINTS)
"""Kinds of records a ledger takes."""
FRESH = "fresh"


@dataclass(frozen=True)
class LedgerRules:
    """What holds for all shards of a stream.

    Attributes:
        zone: Time zone of the lake.
        pack: Rules in force.
        prices: Tariffs and events.
        hot_days: Local days, counted back from the last closed one, that late data may change here.
        history_from: First epoch day expected of every service point, or None.
        cells: Most slots held densely at once.
    """

    zone: str
    pack: RulePack
    prices: Prices = field(default_factory=Prices)
    hot_days: int = 35
    history_from: int | None = None
    cells: int = 1 << 21


@dataclass
class LedgerState:
    """All that a ledger remembers.

    Attributes:
        raw: Records of each kind in its raw schema, with ``fresh``: not looked at yet.
        first_readings: Second and interval length of the first reading ever of each series.
        former: Range of results of each series at the last flush.
        last_closed: Last closed epoch day; −1 before the first.
        flushed_through: Last closed epoch day at the last flush.
        floor: First epoch day whose raw is complete here; ``EVER`` while nothing was forgotten.
    """

    raw: dict[Kind, pa.Table] = field(default_factory=lambda: {kind: _nothing(kind) for kind in HELD})
    first_readings: dict[Name, tuple[int, int]] = field(default_factory=dict)
    former: dict[Name, Days] = field(default_factory=dict)
    last_closed: int = -1
    flushed_through: int = -1
    floor: int = EVER


@dataclass(frozen=True)
class Flushed:
    """What one flush yields.

    Attributes:
        scope: Days computed, of each series: keys in it without a row now have none.
        results: Their rows.
        beyond: Dirty days whose reach has left the state: for a backfill.
        ranges: Range of results of every series.
        last_closed: Last closed epoch day.
    """

    scope: Scope
    results: ShardResults
    beyond: Scope
    ranges: dict[Name, Days]
    last_closed: int


def _nothing(kind: Kind) -> pa.Table:
    return RAW[kind].empty_table().append_column(FRESH, pa.array([], pa.bool_()))


class ShardLedger:
    """One shard's ledger.

    Args:
        rules: Of the stream.
        state: To go on from; a new one where None.
    """

    def __init__(self, rules: LedgerRules, state: LedgerState | None = None) -> None:
        self.rules = rules
        self.state = state or LedgerState()

    def take(self, kind: Kind, rows: pa.Table) -> None:
        """Append arrivals; nothing is computed.

        Args:
            kind: One of ``HELD``.
            rows: In its raw schema. Of service points every version of each point that ever named a
                meter of this shard must come, whichever shard the version's own meter lies in.
        """
        if not rows.num_rows:
            return
        rows = rows.append_column(FRESH, pa.repeat(pa.scalar(True), rows.num_rows))
        self.state.raw[kind] = pa.concat_tables([self.state.raw[kind], rows])
        if kind is Kind.INTERVALS:
            for name, first in first_readings(rows).items():
                held = self.state.first_readings.get(name)
                self.state.first_readings[name] = min(first, held) if held else first

    def close(self, through: int) -> None:
        """Close the local days up to an epoch day; days never open again."""
        self.state.last_closed = max(self.state.last_closed, through)

    @property
    def restless(self) -> bool:
        """Whether a flush could yield anything."""
        state = self.state
        fresh = any(pc.any(table[FRESH]).as_py() for table in state.raw.values())
        return fresh or state.last_closed > state.flushed_through

    def flush(self) -> Flushed:
        """Compute the closed days that new facts can reach, and forget what lies behind the horizon."""
        state, rules = self.state, self.rules
        self._drop_repeats()
        master = master_data(state.raw[Kind.SERVICE_POINTS].drop_columns([FRESH]))
        inputs = self._inputs(master)
        ranges = ranges_of(inputs)
        dirty = DirtyDays()
        longest = rules.pack.registers.max_read_gap_days
        mark_new_facts(
            dirty, inputs, ranges, state.former, self._touched(), longest, closed_since=state.flushed_through
        )
        wanted = closed_only(dirty.merged(), state.last_closed)
        scope, beyond = split(wanted, self._computable(wanted, inputs))
        run = ShardRun(inputs, rules.pack, scope)
        results = shard_results(run, sorted(master.spans), rules.prices, bills=False)
        state.former, state.flushed_through = ranges, state.last_closed
        self._settle()
        return Flushed(scope, self._whole_weeks(results, scope), beyond, ranges, state.last_closed)

    def _inputs(self, master: MasterData) -> ShardInputs:
        state, rules = self.state, self.rules
        return ShardInputs(
            intervals=state.raw[Kind.INTERVALS].unify_dictionaries(),
            registers=state.raw[Kind.REGISTERS].unify_dictionaries(),
            events=state.raw[Kind.EVENTS].unify_dictionaries(),
            master=master,
            zone=rules.zone,
            last_closed=state.last_closed,
            first_readings=state.first_readings,
            history_from=rules.history_from,
            cells=rules.cells,
        )

    def _touched(self) -> set[str]:
        """Meters of the service points that came anew."""
        table = self.state.raw[Kind.SERVICE_POINTS]
        points = table.filter(table[FRESH])["service_point_id"]
        chosen = table.filter(pc.is_in(table["service_point_id"], points.combine_chunks()))
        return set(chosen["meter_id"].to_pylist()) - {None}

    def _computable(self, wanted: Scope, inputs: ShardInputs) -> Mapping[Name, Days]:
        """Days of each series whose whole reach, read intervals included, lies in state."""
        floor, last = self.state.floor, self.state.last_closed
        if floor == EVER:
            return dict.fromkeys(wanted, (EVER, last))
        longest = self.rules.pack.registers.max_read_gap_days
        low = dict.fromkeys(wanted, floor + CONTEXT_BACK)
        for name, days in read_days(inputs.registers, inputs.zone).items():
            if name not in low:
                continue
            for first, second in pairwise(days):
                if second - first <= longest + 1 and first - CONTEXT_BACK < floor and second >= low[name]:
                    low[name] = second + 1
        return {name: (day, last) for name, day in low.items()}

    def _whole_weeks(self, results: ShardResults, scope: Scope) -> ShardResults:
        """Features of weeks that lie wholly in state; of others some measured days may be forgotten."""
        if self.state.floor == EVER or not results.features.num_rows:
            return results
        first = monday(self.state.floor + 6)
        weeks = results.features["week"].cast(pa.int32())
        return replace(results, features=results.features.filter(pc.greater_equal(weeks, first)))

    def _settle(self) -> None:
        """Nothing is fresh any more; forget what lies behind the horizon."""
        state = self.state
        floor = state.last_closed - (self.rules.hot_days + BACK) + 1
        starts = {
            Kind.INTERVALS: floor,
            Kind.REGISTERS: floor - self.rules.pack.registers.max_read_gap_days - 2,
            Kind.EVENTS: floor - OUTAGE_DAYS,
        }
        for kind, table in state.raw.items():
            if kind in starts:
                old = self._ends(kind, table) <= local_midnight(self.rules.zone, max(starts[kind], 0))
                if old.any():
                    table = table.filter(pa.array(~old))
                    state.floor = max(state.floor, floor)
            settled = pa.repeat(pa.scalar(False), table.num_rows)
            table = table.set_column(table.schema.get_field_index(FRESH), FRESH, settled)
            state.raw[kind] = table.combine_chunks()

    def _ends(self, kind: Kind, table: pa.Table) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """First second after each record."""
        if kind is not Kind.INTERVALS:
            column = "read_at" if kind is Kind.REGISTERS else "occurred_at"
            ends: np.ndarray[tuple[int, ...], np.dtype[np.int64]] = table[column].to_numpy() // MICROS + 1
            return ends
        lengths = [
            pc.fill_null(pc.list_value_length(table[name]), 0).to_numpy()
            for name in ("values_int", "values_float")
        ]
        count = np.maximum(np.maximum(*lengths), 1).astype(np.int64)
        return np.asarray(table["start"].to_numpy() + count * table["interval_s"].to_numpy())

    def _drop_repeats(self) -> None:
        """Drop fresh records that state already holds word for word: they change nothing."""
        keys = {
            Kind.INTERVALS: ["meter_id", "channel", "start"],
            Kind.REGISTERS: ["meter_id", "channel", "read_at"],
            Kind.EVENTS: ["meter_id", "event_type", "occurred_at"],
            Kind.SERVICE_POINTS: ["service_point_id", "valid_from"],
        }
        for kind, key in keys.items():
            table = self.state.raw[kind]
            repeated = _repeats(table, key)
            if repeated:
                kept = np.ones(table.num_rows, np.bool_)
                kept[repeated] = False
                self.state.raw[kind] = table.filter(pa.array(kept))


def _repeats(table: pa.Table, key: list[str]) -> list[int]:
    """Rows equal to an earlier one in every column but ``fresh``."""
    if table.num_rows < 2 or not pc.any(table[FRESH]).as_py():
        return []
    plain = pa.table([_plain(table[name]) for name in key], names=key)
    plain = plain.append_column("row", pa.array(np.arange(table.num_rows)))
    groups = plain.group_by(key, use_threads=False).aggregate([("row", "list")])["row_list"]
    shared = groups.filter(pc.greater(pc.list_value_length(groups), 1))
    found: list[int] = []
    content = table.drop_columns([FRESH])
    for rows in shared.to_pylist():
        seen: list[str] = []
        for row, record in zip(rows, content.take(pa.array(rows)).to_pylist(), strict=True):
            text = repr(record)  # NaN equals itself here
            if text in seen:
                found.append(row)
            seen.append(text)
    return found


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
