"""Linked meters as one series a service point: joined for validation and estimation, parted again after it.

A joined row holds the slots of all meters that stood at a service point, each in its own time. A slot belongs
to the meter in force at its start; what the next meter measured of a slot in which it was put in is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.calendar import DayGrid
from models.days import to_slots
from models.edits import SlotEdits
from models.pack_days import PackDays
from models.series import (
    RULES,
    Bool,
    EventMarks,
    Findings,
    Handovers,
    Int,
    Outages,
    Reads,
    Repeats,
    SeriesFacts,
    SeriesResult,
    TouReads,
)
from models.service_time import SeriesRow

__all__ = ["Join", "join_facts"]

READ_INTERVAL = RULES.index("read_interval")


@dataclass(frozen=True)
class Join:
    """How the series of meters make joined ones; t tenures: a (meter, channel) at one service point.

    Attributes:
        names: (meter, channel) of each tenure.
        row: Joined row of each tenure, shape (t,).
        held: Slots that start in a tenure, (t, slots).
        served: Those of expected days, (t, slots).
        expected: Days of the tenure in range, (t, days).
        since, until: Seconds [since, until) of each tenure, (t,).
    """

    names: list[tuple[str, str]]
    row: Int
    held: Bool
    served: Bool
    expected: Bool
    since: Int
    until: Int

    def edits(self, edits: SlotEdits | None) -> SlotEdits | None:
        """Edits of the first tenures on the joined rows: each on the slots of its meter's own time."""
        if edits is None:
            return None
        shape = (int(self.row.max()) + 1, self.held.shape[1])
        joined = SlotEdits(
            *(np.zeros(shape, getattr(edits, name).dtype) for name in SlotEdits.__annotations__)
        )
        for name in SlotEdits.__annotations__:
            for tenure, slots in enumerate(getattr(edits, name)):
                mine = self.held[tenure]
                getattr(joined, name)[self.row[tenure], mine] = slots[mine]
        return joined

    def packs(self, packs: PackDays) -> PackDays:
        """Packs on the joined rows: on each day that of the last tenure that is expected on it."""
        of_day = np.empty((int(self.row.max()) + 1, packs.of_day.shape[1]), np.int64)
        for tenure in range(len(self.row) - 1, -1, -1):
            of_day[self.row[tenure]] = packs.of_day[tenure]
        for tenure, days in enumerate(self.expected):
            of_day[self.row[tenure], days] = packs.of_day[tenure, days]
        return PackDays(packs.packs, of_day)

    def part(
        self, facts: SeriesFacts, result: SeriesResult
    ) -> tuple[SeriesFacts, list[tuple[str, str]], SeriesResult]:
        """Joined series parted by (meter, channel): facts, names and result with a row each."""
        names = sorted(set(self.names))
        of = np.array([names.index(name) for name in self.names], np.int64)
        shape = (len(names), facts.grid.slots)
        served, expected = np.zeros(shape, np.bool_), np.zeros((len(names), facts.grid.days), np.bool_)
        columns = {
            "value": facts.value,
            "have": facts.have,
            "external": np.zeros_like(facts.have) if facts.external is None else facts.external,
        }
        made = {name: getattr(result, name) for name in ("value", "quality", "method", "flags")}
        parted = [{k: np.zeros(shape, v.dtype) for k, v in source.items()} for source in (columns, made)]
        for tenure in range(len(of)):
            mine, to, row = self.served[tenure], of[tenure], self.row[tenure]
            for target, source in zip(parted, (columns, made), strict=True):
                for name, slots in source.items():
                    target[name][to, mine] = slots[row, mine]
            served[to] |= mine
            expected[to] |= self.expected[tenure]
        first = np.array([self.names.index(name) for name in names], np.int64)
        own = SeriesFacts(
            grid=facts.grid,
            expected=expected,
            one_directional=facts.one_directional[self.row[first]],
            instantaneous=facts.instantaneous[self.row[first]],
            unserved=to_slots(expected, facts.grid) & ~served,
            value=parted[0]["value"],
            have=parted[0]["have"],
            external=parted[0]["external"],
        )
        return own, names, SeriesResult(**parted[1], findings=self._findings(result.findings, of, facts.grid))

    def _findings(self, found: Findings, of: Int, grid: DayGrid) -> Findings:
        """Findings with the row of the meter whose slot they begin with, or whose day it is.

        Between reads of two meters there is no interval, and nothing to say of it on either one's days.
        """
        series, kept = np.zeros_like(found.series), np.zeros(len(found.series), np.bool_)
        for i, (row, day, start) in enumerate(zip(found.series, found.day, found.start, strict=True)):
            tenures = np.flatnonzero((self.row == row) & self.expected[:, day])
            column = np.clip((start - grid.origin) // grid.interval_s, 0, grid.slots - 1)
            owners = tenures[self.served[tenures, column]]
            for tenure in [*owners, *tenures][:1]:
                own = self.since[tenure] <= start and found.end[i] <= self.until[tenure]
                series[i], kept[i] = of[tenure], own or found.rule[i] != READ_INTERVAL
        columns = {name: getattr(found, name)[kept] for name in Findings.__dataclass_fields__}
        return Findings.join([Findings(**{**columns, "series": series[kept]})])


def join_facts(
    facts: SeriesFacts, rows: Sequence[SeriesRow]
) -> tuple[SeriesFacts, list[tuple[str, str]], Join]:
    """Joined facts, the names of the tenures and how to part the joined series again.

    Args:
        facts: One row a tenure, with what each meter said before its own time.
        rows: The tenures, sorted by name.
    """
    grid = facts.grid
    keys = sorted({(row.point, row.name[1]) for row in rows})
    row_of = np.array([keys.index((row.point, row.name[1])) for row in rows], np.int64)
    held = np.zeros((len(rows), grid.slots), np.bool_)
    for tenure, series in enumerate(rows):
        for span in series.spans:
            low, high = (-(-(at - grid.origin) // grid.interval_s) for at in (span.start, span.end))
            held[tenure, max(low, 0) : max(min(high, grid.slots), 0)] = True
    served = to_slots(facts.expected, grid)
    if facts.unserved is not None:
        served &= ~facts.unserved
    names = [row.name for row in rows]
    since = np.array([row.spans[0].start for row in rows], np.int64)
    until = np.array([row.spans[-1].end for row in rows], np.int64)
    join = Join(names, row_of, held, served, facts.expected, since, until)
    first = np.array([row_of.tolist().index(row) for row in range(len(keys))], np.int64)

    def merged(slots: NDArray[np.bool_] | None) -> Bool | None:
        return None if slots is None else _any(slots, row_of, len(keys))

    have = _any(facts.have & held, row_of, len(keys))
    value = np.zeros((len(keys), grid.slots), np.int64)
    for tenure, row in enumerate(row_of.tolist()):
        value[row] += facts.value[tenure]
    expected = _any(facts.expected, row_of, len(keys))
    unserved = to_slots(expected, grid) & ~_any(served, row_of, len(keys))
    capacity = None
    if facts.capacity is not None:
        capacity = np.zeros((len(keys), grid.days), np.int64)
        np.maximum.at(capacity, row_of, facts.capacity)
    joined = replace(
        facts,
        value=np.where(have, value, 0),
        have=have,
        expected=expected,
        one_directional=facts.one_directional[first],
        instantaneous=facts.instantaneous[first],
        external=merged(facts.external),
        conflict=merged(facts.conflict),
        disconnected=merged(facts.disconnected),
        inactive=merged(facts.inactive),
        meter=np.cumsum([i > 0 and keys[i][0] != keys[i - 1][0] for i in range(len(keys))], dtype=np.int64),
        channels=tuple(channel for _, channel in keys),
        events=_events(facts.events, rows, row_of),
        repeats=_repeats(facts.repeats, rows, row_of),
        tou=_tou(facts.tou, row_of),
        capacity=capacity,
        outages=_outages(facts.outages, rows, row_of),
        reads=_reads(facts.reads, row_of),
        unserved=unserved if unserved.any() else None,
        handovers=_handovers(facts, rows, row_of, held),
    )
    return joined, names, join


def _any(of_tenure: Bool, row: Int, count: int) -> Bool:
    result = np.zeros((count, of_tenure.shape[1]), np.bool_)
    for tenure, of in enumerate(row.tolist()):
        result[of] |= of_tenure[tenure]
    return result


def _handovers(facts: SeriesFacts, rows: Sequence[SeriesRow], row: Int, held: Bool) -> Handovers:
    """Slots of which both the removed meter and the new one said what they saw."""
    grid, found = facts.grid, []
    for tenure, column in zip(*np.nonzero(facts.have & ~held), strict=True):
        owners = np.flatnonzero((row == row[tenure]) & held[:, column] & facts.have[:, column])
        begins = [span.start for span in rows[tenure].spans]
        inside = [at for at in begins if 0 < at - grid.origin - column * grid.interval_s < grid.interval_s]
        found += [
            (int(row[tenure] * grid.slots + column), inside[0], facts.value[owner, column])
            for owner in owners[:1]
            if inside
        ]
    return Handovers(*np.array(sorted(found), np.int64).reshape(-1, 3).T)


def _outages(outages: Outages, rows: Sequence[SeriesRow], row: Int) -> Outages:
    """Outages on the joined rows, each cut to the time of its meter."""
    found = [
        (int(row[tenure]), max(start, span.start), min(end, span.end))
        for tenure, start, end in zip(
            outages.series.tolist(), outages.start.tolist(), outages.end.tolist(), strict=True
        )
        for span in rows[tenure].spans
        if max(start, span.start) < min(end, span.end)
    ]
    table = np.array(sorted(found), np.int64).reshape(-1, 3)
    return Outages(table[:, 0], table[:, 1], table[:, 2])


def _events(events: EventMarks, rows: Sequence[SeriesRow], row: Int) -> EventMarks:
    """What events say of the time of their own meters."""
    columns = (getattr(events, name).tolist() for name in EventMarks.__dataclass_fields__)
    found = [
        (rule, int(row[tenure]), max(start, span.start), min(end, span.end))
        for rule, tenure, start, end in zip(*columns, strict=True)
        for span in rows[tenure].spans
        if max(start, span.start) < min(end, span.end)
    ]
    return EventMarks(*np.ascontiguousarray(np.array(sorted(found), np.int64).reshape(-1, 4).T))


def _repeats(repeats: Repeats, rows: Sequence[SeriesRow], row: Int) -> Repeats:
    """Repeated reads, each where its meter was by its clock."""
    found = {
        (int(row[tenure]), at)
        for of, at in zip(repeats.series.tolist(), repeats.at.tolist(), strict=True)
        for tenure, one in enumerate(rows)
        if one.name == rows[of].name and any(span.start <= at < span.end for span in one.spans)
    }
    return Repeats(*np.ascontiguousarray(np.array(sorted(found), np.int64).reshape(-1, 2).T))


def _tou(tou: TouReads, row: Int) -> TouReads:
    """Time-of-use registers, each of its own meter: those of two meters never agree."""
    series = row[tou.series]
    order = np.lexsort((tou.at, tou.series, tou.register, series))
    columns = {name: getattr(tou, name)[order] for name in TouReads.__dataclass_fields__}
    return TouReads(**{**columns, "series": series[order], "meter": tou.series[order]})


def _reads(reads: Reads, row: Int) -> Reads:
    """Reads on the joined rows in time order: at an exchange the removed meter's before the new one's.

    Versions of two meters never agree, so no interval lasts over an exchange.
    """
    series, new = row[reads.series], reads.version[:, 0] < 0
    order = np.lexsort((reads.series, new, reads.at, series))
    count = len(row)
    version = np.where(reads.version >= 0, reads.version * count + reads.series[:, None], reads.version)
    columns = {name: getattr(reads, name)[order] for name in Reads.__dataclass_fields__}
    return Reads(**{**columns, "series": series[order], "version": version[order]})
