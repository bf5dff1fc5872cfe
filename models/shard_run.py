"""One shard from raw records to rows: the function that a backfill and a stream share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from models.assemble import (
    Assembly,
    Group,
    Name,
    Problem,
    Problems,
    ShardInputs,
    assemble,
)
from models.calendar import DAY_S, DayGrid, local_day
from models.day_rows import day_rows, problem_finding
from models.dirty import Days
from models.edits import SlotEdits, edits_in_force, slot_edits, validate_with_edits
from models.master import MICROS
from models.outages import outages_of
from models.pack_days import PackDays, pack_days
from models.place import Account
from models.series import Bool, SeriesResult
from schemas.lake import DAYS
from schemas.rulebook import RuleBook
from schemas.rulepack import RulePack

CONTEXT_BACK = 35
"""Days of raw a result may look back (SEMANTICS, The law); one day ahead."""
WHOLE_METER = ""
"""Channel of findings about a meter as a whole."""


@dataclass(frozen=True)
class Computed:
    """One group with its result.

    Attributes:
        group, result: The series and what VEE made of them.
        packs: The rules in force for each of them.
        wanted: Expected days that were asked for; (n, days).
        asked: Days asked for of each series, expected or not; None for all.
    """

    group: Group
    result: SeriesResult
    packs: PackDays
    wanted: Bool
    asked: list[list[Days]] | None


@dataclass
class ShardRun:
    """Runs a shard group by group.

    Attributes:
        inputs: The shard's records and range.
        book: The rules in force.
        scope: Days to compute of each series; None for every expected day.
        since: First epoch day whose records are all there; the days in scope reach no further back.
        windows: Days to look at for the days in scope of each series; None for the longest possible reach.
    """

    inputs: ShardInputs
    book: RuleBook
    scope: dict[Name, list[Days]] | None = None
    since: int = -(1 << 20)
    windows: Mapping[Name, Days] | None = None

    def __post_init__(self) -> None:
        self.assembly = Assembly()
        if self.scope is not None:
            self.inputs = replace(self.inputs, windows=self._windows())

    def _windows(self) -> dict[Name, Days]:
        if self.windows is not None:
            return {name: (max(low, self.since), high) for name, (low, high) in self.windows.items()}
        back = CONTEXT_BACK + self.book.max_read_gap_days + 1
        ahead = self.book.max_read_gap_days + 2
        scope = self.scope or {}
        return {
            name: (max(days[0][0] - back, self.since), days[-1][1] + ahead)
            for name, days in scope.items()
            if days
        }

    def prepared(self) -> Iterator[tuple[Group, SlotEdits | None, PackDays]]:
        """Group by group what validation is given: facts, what edits decide, and packs of its rows."""
        edits = edits_in_force(self.inputs.edits)
        for group in assemble(self.inputs, self.assembly):
            packs = pack_days(self.book, group.names, group.facts.grid, self.inputs.master)
            decided = slot_edits(edits, group.names, group.facts.grid)
            if group.join is not None:
                packs, decided = group.join.packs(packs), group.join.edits(decided)
            yield group, decided, packs

    def groups(self) -> Iterator[Computed]:
        """Validate and estimate group by group."""
        self._homeless_records()  # before any row: a day in service in part takes them along
        for group, decided, packs in self.prepared():
            facts, names, join = group.facts, group.names, group.join
            result = validate_with_edits(facts, decided, packs)
            if join is not None:
                facts, names, result = join.part(facts, result)
                packs = pack_days(self.book, names, facts.grid, self.inputs.master)
                group = Group(facts, names)
            wanted = facts.expected & self._in_scope(group)
            asked = None if self.scope is None else [self.scope.get(name, []) for name in names]
            yield Computed(group, result, packs, wanted, asked)

    def _in_scope(self, group: Group) -> Bool:
        grid = group.facts.grid
        if self.scope is None:
            return np.ones((len(group.names), grid.days), np.bool_)
        chosen = np.zeros((len(group.names), grid.days), np.bool_)
        for i, name in enumerate(group.names):
            for first, last in self.scope.get(name, ()):
                low, high = max(first - grid.first_day, 0), min(last - grid.first_day + 1, grid.days)
                chosen[i, low : max(high, low)] = True
        return chosen

    def rows(self, computed: Computed) -> pa.Table:
        """Day rows of one group."""
        return day_rows(
            computed.group, computed.result, computed.wanted, computed.packs, self.assembly.problems
        )

    def addresses(self, meters: Sequence[str]) -> pa.Table:
        """Rows for findings that have no result beside them; call it after the last group.

        Args:
            meters: Meters of this shard that master data name.
        """
        problems = self.assembly.problems
        self._meter_problems(problems, meters)
        rows = []
        for address in problems.addresses():
            meter, channel, day = address
            found = problems.take(address)
            if channel == WHOLE_METER or self._asked((meter, channel), day):
                rows.append(
                    {
                        "meter_id": meter,
                        "channel": channel,
                        "local_day": day,
                        "findings": [problem_finding(problem, self._pack_of(address)) for problem in found],
                    }
                )
        schema = pa.schema([DAYS.schema.field(n) for n in ("meter_id", "channel", "local_day", "findings")])
        days = pa.array([row["local_day"] for row in rows], pa.int32()).cast(pa.date32())
        columns = [
            pa.array([row[f.name] for row in rows], f.type) if f.name != "local_day" else days for f in schema
        ]
        return pa.table(columns, schema=schema)

    def _pack_of(self, address: tuple[str, str, int]) -> RulePack:
        """The pack in force at an address without a result; of a meter as a whole that of its import."""
        meter, channel, day = address
        grid = DayGrid(self.inputs.zone, DAY_S, day, 1)
        name = meter, channel or "import"
        return pack_days(self.book, [name], grid, self.inputs.master).at(0, 0)

    def _asked(self, name: Name, day: int) -> bool:
        if self.scope is None:
            return day <= self.inputs.last_closed
        return any(first <= day <= last for first, last in self.scope.get(name, ()))

    def _homeless_records(self) -> None:
        """Findings from registers and events at whose time no service point was in force."""
        inputs, problems = self.inputs, self.assembly.problems
        for table, column, rule_channel in (
            (inputs.registers, "read_at", True),
            (inputs.events, "occurred_at", False),
        ):
            for meter, channel, second in _homeless(inputs, table, column, by_channel=rule_channel):
                self._add(
                    problems,
                    "no_service_point",
                    meter,
                    channel,
                    second,
                    "a record",
                    "a service point in force",
                )

    def _meter_problems(self, problems: Problems, meters: Sequence[str]) -> None:
        """Findings from events and master data."""
        inputs = self.inputs
        _, unpaired = outages_of(inputs.events, {})
        for meter, second in unpaired:
            self._add(
                problems,
                "unpaired_outage",
                meter,
                WHOLE_METER,
                second,
                "a power-down",
                "a restore within 7 days",
            )
        reported = {meter for meter, _ in inputs.first_readings}
        for meter in meters:
            if meter not in reported:
                start = inputs.master.spans[meter][0].start
                self._add(problems, "never_reported", meter, WHOLE_METER, start, "no reading", "readings")
            for second in inputs.master.contested.get(meter, ()):
                self._add(
                    problems,
                    "contested_meter",
                    meter,
                    WHOLE_METER,
                    second,
                    "two service points",
                    "one service point",
                )

    def add_problem(self, rule: str, meter: str, second: int, seen: str, expected: str) -> None:
        """Note a finding about a meter as a whole; before ``addresses``."""
        self._add(self.assembly.problems, rule, meter, WHOLE_METER, second, seen, expected)

    def _add(
        self, problems: Problems, rule: str, meter: str, channel: str, second: int, seen: str, expected: str
    ) -> None:
        day = local_day(self.inputs.zone, second)
        if day <= self.inputs.last_closed:
            problems.add(Problem(rule, meter, channel, day, second, second, seen, expected))

    @property
    def account(self) -> Account:
        """What became of the readings; complete after the last group."""
        return self.assembly.account


def _homeless(
    inputs: ShardInputs, table: pa.Table, column: str, *, by_channel: bool
) -> set[tuple[str, str, int]]:
    """(meter, channel, second) of records at whose time no service point was in force."""
    if inputs.master.empty or not table.num_rows:
        return set()
    meters = table["meter_id"].combine_chunks()
    if isinstance(meters, pa.ChunkedArray):
        meters = pa.concat_arrays(meters.chunks)
    seconds = table[column].to_numpy().astype(np.int64) // MICROS
    lost = inputs.master.in_force(meters, seconds) < 0
    if by_channel:  # a read at the very end of a version belongs to it
        lost &= inputs.master.in_force(meters, seconds - 1) < 0
    at = np.flatnonzero(lost)
    chosen = table.take(pa.array(at))
    channels = chosen["channel"].cast(pa.string()).to_pylist() if by_channel else [WHOLE_METER] * len(at)
    return set(zip(chosen["meter_id"].to_pylist(), channels, seconds[at].tolist(), strict=True))


__all__ = ["WHOLE_METER", "Computed", "ShardRun"]
