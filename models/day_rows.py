"""Results as rows of the ``days`` table: one a (meter, channel, local day), slots as lists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.assemble import Group, Problem, Problems
from models.calendar import DayGrid, day_grid
from models.days import per_day, slots_per_day, to_slots
from models.finding_text import finding_texts
from models.pack_days import PackDays
from models.series import RULES, Bool, Findings, Int, SeriesFacts, SeriesResult
from schemas.channels import CHANNELS
from schemas.findings import FINDING
from schemas.quality import Method, Quality
from schemas.rulepack import RulePack

MICRO = 1_000_000


def day_rows(
    group: Group, result: SeriesResult, wanted: Bool, packs: PackDays, problems: Problems
) -> pa.Table:
    """Rows of the wanted expected days of one group.

    Args:
        group: The series.
        result: What VEE made of them.
        wanted: Days to write, a subset of the expected ones; (n, days).
        packs: Name the severities of the findings.
        problems: Findings about readings, reads and events by address; those used are taken out.

    Returns:
        Columns of the ``days`` table without revision, run and withdrawal, sorted by row and day.
    """
    grid, facts = group.facts.grid, group.facts
    series, day = np.nonzero(wanted)
    lists = SlotLists.of(facts, series, day)
    flags = result.flags if facts.unserved is None else np.where(facts.unserved, 0, result.flags)
    flat = _picker(wanted, grid, facts.unserved)
    near = _Near.of(grid, series, day)
    mixed = near.days(_mixed(near.slots(result.quality), near.grid))
    first = result.quality[series, np.minimum(lists.column, grid.slots - 1)]
    for i in lists.partial.tolist():
        mixed[i] = (result.quality[lists.slots(i)] != first[i]).any()
    made = near.count(near.slots(result.method) != Method.NONE) > 0
    flagged = near.count(near.slots(flags) != 0) > 0
    channels = [name[1] for name in group.names]
    return pa.table(
        {
            "meter_id": _names([name[0] for name in group.names], series),
            "channel": _names(channels, series),
            "local_day": pa.array((grid.first_day + day).astype(np.int32), pa.int32()).cast(pa.date32()),
            "start": pa.array(lists.start * MICRO, pa.int64()).cast(pa.timestamp("us", "UTC")),
            "interval_s": pa.array(np.full(len(day), grid.interval_s, np.int32)),
            "unit": _names([CHANNELS[channel].unit for channel in channels], series),
            "values": _all_lists(
                np.concatenate([[0], np.cumsum(lists.length)]),
                flat(result.value),
                _absent(result.quality, flat),
            ),
            "quality": pa.array(first, mask=mixed),
            "qualities": lists.some(result.quality, mixed, pa.int8()),
            "methods": lists.some(result.method, made, pa.int8()),
            "flags": lists.some(flags, flagged, pa.int32()),
            "measured": lists.some(facts.value, made, pa.int64(), there=facts.have),
            "total": pa.array(near.days(per_day(np.add.reduce, near.slots(result.value), near.grid))),
            "estimated_slots": pa.array(near.count(_estimated(near.slots(result.quality))).astype(np.int32)),
            "findings": _findings(group, result.findings, wanted, series, day, packs, problems),
        }
    )


@dataclass(frozen=True)
class _Near:
    """The stretch of a grid from the first to the last wanted day, without what results look back on.

    Attributes:
        grid: Its days.
        columns: Its slots in the whole grid.
        at: Series and index in the stretch of each wanted day; (k,) each.
    """

    grid: DayGrid
    columns: slice
    at: tuple[Int, Int]

    @staticmethod
    def of(grid: DayGrid, series: Int, day: Int) -> _Near:
        """The stretch about some days; at least one."""
        low, high = int(day.min()), int(day.max()) + 1
        near = day_grid(grid.zone, grid.interval_s, grid.first_day + low, high - low)
        return _Near(near, slice(grid.offsets[low], grid.offsets[high]), (series, day - low))

    def slots(self, values: NDArray[Any]) -> NDArray[Any]:
        """Those of the stretch, of (n, slots) of the whole grid."""
        return values[:, self.columns]

    def days(self, values: NDArray[Any]) -> NDArray[Any]:
        """Those of the wanted days, of (n, days) of the stretch; (k,)."""
        return values[self.at]

    def count(self, hit: Bool) -> Int:
        """Slots of each wanted day that are hit, of (n, slots) of the stretch; (k,)."""
        return self.days(slots_per_day(hit, self.grid))


def _picker(wanted: Bool, grid: DayGrid, unserved: Bool | None) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Takes the slots in service of the wanted days out of (n, slots), one after the other."""
    if unserved is not None:
        served = to_slots(wanted, grid) & ~unserved
        return lambda slots: slots[served]
    days = np.flatnonzero(wanted.any(axis=0))
    if len(days) and wanted[:, days[0] : days[-1] + 1].all():  # the usual case: the same days of every series
        columns = slice(grid.offsets[days[0]], grid.offsets[days[-1] + 1])
        return lambda slots: slots[:, columns].ravel()
    mask = to_slots(wanted, grid)
    return lambda slots: slots[mask]


def _mixed(quality: NDArray[np.int8], grid: DayGrid) -> Bool:
    """Days whose slots are not all of one quality; (n, days)."""
    changed = np.empty(quality.shape, np.bool_)
    np.not_equal(quality[:, 1:], quality[:, :-1], out=changed[:, 1:])
    changed[:, grid.offsets[:-1][grid.lengths > 0]] = False
    return slots_per_day(changed, grid) > 0


def _absent(
    quality: NDArray[np.int8], flat: Callable[[NDArray[Any]], NDArray[Any]]
) -> NDArray[np.bool_] | None:
    missing = quality == Quality.MISSING
    return flat(missing) if missing.any() else None


def _names(texts: list[str], rows: Int) -> pa.DictionaryArray:
    distinct = sorted(set(texts))
    position = {text: number for number, text in enumerate(distinct)}
    codes = np.array([position[text] for text in texts], np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(codes[rows]), pa.array(distinct, pa.string()))


def _all_lists(offsets: Int, values: NDArray[np.generic], absent: Bool | None) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(values, mask=absent))


@dataclass(frozen=True)
class SlotLists:
    """Which slots each row lists: those of its local day that are in service; (k,) each.

    Attributes:
        series: Row of the series.
        column: Column of the first slot.
        start: UTC second of the first slot. [s]
        length: Slots.
        partial: Rows that list fewer slots than their day has.
    """

    series: Int
    column: Int
    start: Int
    length: Int
    partial: Int

    @staticmethod
    def of(facts: SeriesFacts, series: Int, day: Int) -> SlotLists:
        """The slots of some days."""
        grid = facts.grid
        column, length, partial = grid.offsets[day], grid.lengths[day], np.zeros(0, np.int64)
        if facts.unserved is not None:
            partial = np.flatnonzero(per_day(np.logical_or.reduce, facts.unserved, grid)[series, day])
            for i in partial.tolist():
                own = facts.unserved[series[i], column[i] : column[i] + length[i]]
                served = np.flatnonzero(~own)
                column[i], length[i] = column[i] + served[0], len(served)
        return SlotLists(series, column, grid.origin + column * grid.interval_s, length, partial)

    def slots(self, row: int) -> tuple[int, slice]:
        """Index of the slots of a row in an array of (series, slots)."""
        return int(self.series[row]), slice(int(self.column[row]), int(self.column[row] + self.length[row]))

    def some(
        self,
        slots: NDArray[np.generic],
        chosen: Bool,
        type_: pa.DataType,
        there: Bool | None = None,
    ) -> pa.ListArray:
        """Lists of the chosen rows, null for the others."""
        picked = np.flatnonzero(chosen)
        length = self.length[picked]
        sizes = np.zeros(len(self.series), np.int64)
        sizes[picked] = length
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        ramp = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
        column = np.repeat(self.column[picked], length) + ramp
        row = np.repeat(self.series[picked], length)
        absent = None if there is None else ~there[row, column]
        values = pa.array(slots[row, column], mask=absent).cast(type_)
        return pa.ListArray.from_arrays(pa.array(offsets), values, mask=pa.array(~chosen))


def _estimated(quality: NDArray[np.int8]) -> Bool:
    """Slots with an estimate or a substitute."""
    made: Bool = (quality == Quality.ESTIMATED) | (quality == Quality.SUBSTITUTED)
    return made


def _findings(
    group: Group,
    found: Findings,
    wanted: Bool,
    series: Int,
    day: Int,
    packs: PackDays,
    problems: Problems,
) -> pa.ListArray:
    """Findings of each row, by rule and start; null where there is none."""
    kept = wanted[found.series, found.day]
    rows: dict[tuple[int, int], list[dict[str, object]]] = defaultdict(list)
    for rule, s, d, start, end, seen, expected in zip(
        *(getattr(found, name)[kept].tolist() for name in Findings.__dataclass_fields__), strict=True
    ):
        unit = CHANNELS[group.names[s][1]].unit
        rows[s, d].append(
            _finding(
                RULES[rule], packs.at(s, d), start, end, *finding_texts(RULES[rule], seen, expected, unit)
            )
        )
    numbers = {name: i for i, name in enumerate(group.names)}
    for address in problems.addresses():
        s, d = numbers.get(address[:2], -1), address[2] - group.facts.grid.first_day
        if s >= 0 and 0 <= d < group.facts.grid.days and wanted[s, d]:
            rows[s, d] += [problem_finding(problem, packs.at(s, d)) for problem in problems.take(address)]
    if not rows:
        return pa.nulls(len(series), pa.list_(FINDING))
    addresses = sorted(rows)
    keys = np.array([s * group.facts.grid.days + d for s, d in addresses], np.int64)
    position = np.searchsorted(series * group.facts.grid.days + day, keys)
    sizes = np.zeros(len(series), np.int64)
    sizes[position] = [len(rows[address]) for address in addresses]
    items = [item for address in addresses for item in sorted(rows[address], key=_by_rule)]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(items, FINDING), mask=pa.array(sizes == 0))


def _by_rule(finding: dict[str, object]) -> tuple[str, str]:
    return str(finding["start"]), str(finding["rule"])


def _finding(rule: str, pack: RulePack, start: int, end: int, seen: str, expected: str) -> dict[str, object]:
    return {
        "rule": rule,
        "severity": pack.rules.severity(rule),
        "start": start * MICRO,
        "end": end * MICRO,
        "seen": seen,
        "expected": expected,
    }


def problem_finding(problem: Problem, pack: RulePack) -> dict[str, object]:
    """A problem as an element of the ``findings`` list."""
    return {
        "rule": problem.rule,
        "severity": pack.rules.severity(problem.rule),
        "start": problem.start * MICRO,
        "end": problem.end * MICRO,
        "seen": problem.seen,
        "expected": problem.expected,
    }
