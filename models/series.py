"""Dense facts and results of many series on one day grid: what the VEE kernels read and write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calendar import DayGrid

Int = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Outages:
    """Outage windows: a power-down and its restore, one row each.

    Attributes:
        series: Row of the series, shape (k,).
        start, end: First second and first second after, UTC, shape (k,). [s]
    """

    series: Int
    start: Int
    end: Int

    @staticmethod
    def none() -> Outages:
        """No outage at all."""
        empty = np.zeros(0, np.int64)
        return Outages(empty, empty, empty)


@dataclass(frozen=True)
class Reads:
    """Total-register reads, sorted by (series, at), one a moment.

    Attributes:
        series: Row of the series, shape (k,).
        at: When it was read, UTC, whole seconds, shape (k,). [s]
        value: Cumulative register, multiplier applied, shape (k,). [micro-unit]
        modulus: Where the register wraps to zero, 0 = unknown, shape (k,). [micro-unit]
        resolution: Smallest step of the register, multiplier applied, shape (k,). [micro-unit]
        version: Number of the service-point version in force just before and just after the read,
            shape (k, 2): an interval needs the *after* of its first read equal the *before* of its last.
    """

    series: Int
    at: Int
    value: Int
    modulus: Int
    resolution: Int
    version: Int

    @staticmethod
    def none() -> Reads:
        """No read at all."""
        empty = np.zeros(0, np.int64)
        return Reads(empty, empty, empty, empty, empty, np.zeros((0, 2), np.int64))

    def until(self, second: int) -> Reads:
        """Those taken up to a second."""
        kept = self.at <= second
        return Reads(*(getattr(self, name)[kept] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Handovers:
    """Slots within which one meter took another one's place and both said what they saw; (k,) each.

    Attributes:
        slot: Flat slot, ascending.
        at: When, UTC. [s]
        before: What the removed meter saw of the slot. [micro-unit]
    """

    slot: Int
    at: Int
    before: Int

    @staticmethod
    def none() -> Handovers:
        """No such slot."""
        empty = np.zeros(0, np.int64)
        return Handovers(empty, empty, empty)

    def seen(self, value: Int, slot: Int, second: Int, start: Int, interval_s: int) -> Int:
        """What slots of some values give to the time before a second within them: by seconds, if not told.

        Args:
            value: Of each slot, shape (k,). [micro-unit]
            slot: Flat, shape (k,).
            second: Within each slot or at its end, UTC, shape (k,). [s]
            start: Of each slot, UTC, shape (k,). [s]
            interval_s: Slot length. [s]
        """
        part: Int = value * (second - start) // interval_s
        if len(self.slot):
            at = np.minimum(np.searchsorted(self.slot, slot), len(self.slot) - 1)
            part = np.where((self.slot[at] == slot) & (self.at[at] == second), self.before[at], part)
        return part


@dataclass(frozen=True)
class EventMarks:
    """What device events say about the slots of their meters, one row a series and event.

    Attributes:
        rule: Position in ``EVENT_RULES``, shape (k,).
        series: Row of the series, shape (k,).
        start, end: First second and first second after, UTC; a single moment has end = start + 1. [s]
    """

    rule: Int
    series: Int
    start: Int
    end: Int

    @staticmethod
    def none() -> EventMarks:
        """No event at all."""
        empty = np.zeros(0, np.int64)
        return EventMarks(empty, empty, empty, empty)


@dataclass(frozen=True)
class Repeats:
    """Reads that came again with the register and the clock of the read before, long after it.

    Attributes:
        series: Row of the series, shape (k,).
        at: The clock they show, UTC, whole seconds, shape (k,). [s]
    """

    series: Int
    at: Int

    @staticmethod
    def none() -> Repeats:
        """No repeat at all."""
        empty = np.zeros(0, np.int64)
        return Repeats(empty, empty)


@dataclass(frozen=True)
class TouReads:
    """Reads of time-of-use registers, sorted by (series, register, meter, at), one a moment.

    Attributes:
        series: Row of the series, shape (k,).
        register: ``register_code`` of the register's name, shape (k,).
        meter: Which of the meters of the series has the register, shape (k,).
        at, value, modulus, resolution: As in ``Reads``; a value that cannot be one is −1.
    """

    series: Int
    register: Int
    meter: Int
    at: Int
    value: Int
    modulus: Int
    resolution: Int

    @staticmethod
    def none() -> TouReads:
        """No read at all."""
        empty = np.zeros(0, np.int64)
        return TouReads(empty, empty, empty, empty, empty, empty, empty)


@dataclass(frozen=True)
class SeriesFacts:
    """Everything VEE may know of n series of one interval length.

    Attributes:
        grid: The days; the first 35 (and more where reads reach back) and the last are context.
        value: Value that holds, multiplier applied, 0 where there is none; (n, slots). [micro-unit]
        have: Whether there is a value; (n, slots).
        external: Head-end estimates; (n, slots), or None where there are none.
        conflict: Slots in which two distinct values were seen; (n, slots), or None.
        expected: Days in range; (n, days).
        disconnected: Days on which the service is disconnected; (n, days), or None.
        capacity: Service size, 0 = not stated; (n, days), or None. [micro-unit a slot]
        one_directional: Series whose values cannot be negative; (n,).
        instantaneous: Voltages, currents: screened, never estimated; (n,).
        holidays: Epoch days that count as holidays.
        edited: Slots whose value a person decided, also marked external: no rule judges them; (n, slots),
            or None.
        meter: Number of the meter of each row, rows of one meter side by side; (n,), or None: each row is a
            meter of its own.
        channels: Channel of each row; empty where it is not known.
        inactive: Days on which the service is inactive or closed, disconnected ones all; (n, days), or None.
        events: What device events say.
        repeats: Reads that only repeat an earlier one.
        tou: Reads of time-of-use registers.
        forced: Estimator that a person asked for, ``schemas.quality.Method``, 0 = none; (n, slots), or None.
        unserved: Slots of expected days that are not expected: no service point is in force; (n, slots), or
            None.
        handovers: Exchanges of meters within a slot.
    """

    grid: DayGrid
    value: Int
    have: Bool
    expected: Bool
    one_directional: Bool
    instantaneous: Bool
    external: Bool | None = None
    conflict: Bool | None = None
    disconnected: Bool | None = None
    capacity: Int | None = None
    outages: Outages = field(default_factory=Outages.none)
    reads: Reads = field(default_factory=Reads.none)
    holidays: frozenset[int] = frozenset()
    edited: Bool | None = None
    forced: NDArray[np.int8] | None = None
    unserved: Bool | None = None
    handovers: Handovers = field(default_factory=Handovers.none)
    meter: Int | None = None
    channels: tuple[str, ...] = ()
    inactive: Bool | None = None
    events: EventMarks = field(default_factory=EventMarks.none)
    repeats: Repeats = field(default_factory=Repeats.none)
    tou: TouReads = field(default_factory=TouReads.none)

    @property
    def count(self) -> int:
        """Number of series."""
        return int(self.value.shape[0])

    def rows(self, rows: Int) -> SeriesFacts:
        """Some series, whole meters; ``rows`` increase."""
        changed: dict[str, Any] = {}
        for part in fields(self):
            held = getattr(self, part.name)
            if isinstance(held, np.ndarray):
                changed[part.name] = held[rows]
            elif hasattr(held, "series"):
                mine = np.isin(held.series, rows)
                columns = {column.name: getattr(held, column.name)[mine] for column in fields(held)}
                columns["series"] = np.searchsorted(rows, columns["series"])
                changed[part.name] = type(held)(**columns)
        series, column = np.divmod(self.handovers.slot, self.grid.slots)
        mine = np.isin(series, rows)
        slot = np.searchsorted(rows, series[mine]) * self.grid.slots + column[mine]
        changed["handovers"] = Handovers(slot, self.handovers.at[mine], self.handovers.before[mine])
        channels = tuple(self.channels[row] for row in rows.tolist()) if self.channels else ()
        return replace(self, **changed, channels=channels)


@dataclass(frozen=True)
class Findings:
    """Rule hits with their address, sorted by (series, day, rule, start); one row each, shape (k,).

    Attributes:
        rule: Index into ``RULES``.
        series, day: Row of the series; index of the local day in the grid.
        start, end: First second and first second after the last slot, UTC. [s]
        seen, expected: Quantities behind the rule. [micro-unit, or as the rule says]
    """

    rule: Int
    series: Int
    day: Int
    start: Int
    end: Int
    seen: Int
    expected: Int

    @staticmethod
    def join(parts: list[Findings]) -> Findings:
        """All parts as one, sorted."""
        columns = [
            np.concatenate([getattr(p, name) for p in parts] or [np.zeros(0, np.int64)])
            for name in ("rule", "series", "day", "start", "end", "seen", "expected")
        ]
        order = np.lexsort((columns[3], columns[0], columns[2], columns[1]))
        return Findings(*(column[order] for column in columns))


RULES = (
    "missing",
    "conflict",
    "negative",
    "over_capacity",
    "spike",
    "zero_run",
    "flat_line",
    "high_usage",
    "low_usage",
    "prolonged_estimation",
    "read_interval",
    "sum_check",
    "register_decreased",
    "tou_registers",
    "stale_snapshot",
    "test_mode",
    "meter_id_mismatch",
    "pulse_overflow",
    "reverse_rotation",
    "clock_changed",
    "power_failure",
    "reactive_without_active",
    "disconnected_usage",
    "inactive_usage",
    "sibling_missing",
    "historical_max",
    "high_slot",
    "leak",
)
"""Rules in the order of their codes."""
EVENT_RULES = ("test_mode", "meter_id_mismatch", "pulse_overflow", "reverse_rotation", "clock_changed")
"""Rules about the slots in which device events occur."""


@dataclass(frozen=True)
class SeriesResult:
    """What VEE made of the same n series.

    Attributes:
        value: Final value, 0 where there is none; (n, slots). [micro-unit]
        quality: schemas.quality.Quality; (n, slots).
        method: schemas.quality.Method; (n, slots).
        flags: schemas.quality.Flag bits; (n, slots).
        findings: Of expected days.
    """

    value: Int
    quality: NDArray[np.int8]
    method: NDArray[np.int8]
    flags: NDArray[np.int32]
    findings: Findings

    @staticmethod
    def join(parts: Sequence[SeriesResult], rows: Sequence[Int]) -> SeriesResult:
        """Results of disjoint series as one; ``rows`` says which each part's are."""
        dense: dict[str, Any] = {}
        count = sum(len(part) for part in rows)
        for name in ("value", "quality", "method", "flags"):
            first = getattr(parts[0], name)
            dense[name] = np.empty((count, first.shape[1]), first.dtype)
            for part, own in zip(parts, rows, strict=True):
                dense[name][own] = getattr(part, name)
        found = [
            replace(part.findings, series=own[part.findings.series])
            for part, own in zip(parts, rows, strict=True)
        ]
        return SeriesResult(**dense, findings=Findings.join(found))
