"""Golden vectors through the kernels: from what people write to facts, and from results to differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.calendar import DayGrid, day_date, epoch_day
from models.series import RULES, Reads, SeriesFacts, SeriesResult
from models.vee import validate_and_estimate
from schemas.channels import BESIDE, CHANNELS
from schemas.quality import Method, Quality
from schemas.rulepack import RulePack
from schemas.vectors import Expected, Vector, micro, tokens

MICRO = 1_000_000


@dataclass(frozen=True)
class Difference:
    """Where a result is not what a vector expects.

    Attributes:
        where: Day and slot, or day and what.
        found, expected: Both sides.
    """

    where: str
    found: str
    expected: str


@dataclass(frozen=True)
class MisfitDay:
    """A day of a vector that does not have as many slots as it lists."""

    where: str
    found: int
    expected: int


def misfits(vector: Vector) -> list[MisfitDay]:
    """Days whose slots are not as many as the clock gives them: 23 and 25 hours where it changes."""
    grid = _grid(vector)
    found = []
    for given in vector.days:
        days = range(epoch_day(given.day), epoch_day(given.through or given.day) + 1)
        told = (given.slots, *(given.beside(method) for method in BESIDE))
        texts = [text for text in told if text is not None]
        found += [_misfit(f"days, {day_date(day)}", day, text, grid) for day in days for text in texts]
    for wanted in vector.expect:
        day = epoch_day(wanted.day)
        lists = {"slots": wanted.slots, "quality": wanted.quality, "method": wanted.method}
        found += [
            _misfit(f"expect, {wanted.day}, {name}", day, text, grid)
            for name, text in lists.items()
            if text is not None
        ]
    return [misfit for misfit in found if misfit is not None]


def _misfit(where: str, day: int, text: str, grid: DayGrid) -> MisfitDay | None:
    count, right = len(tokens(text)), int(grid.lengths[day - grid.first_day])
    return None if count == right else MisfitDay(where, count, right)


def _grid(vector: Vector) -> DayGrid:
    first = min(epoch_day(given.day) for given in vector.days)
    last = max(epoch_day(given.through or given.day) for given in vector.days)
    return DayGrid(vector.zone, vector.interval_minutes * 60, first, last - first + 1)


def facts_of(vector: Vector, pack: RulePack) -> SeriesFacts:
    """The series of a vector, and those of the channels beside it that it has.

    Days between those given have no reading, registers no known size.
    """
    grid = _grid(vector)
    beside = [method for method in BESIDE if any(given.beside(method) is not None for given in vector.days)]
    channels = [CHANNELS[name] for name in (vector.channel, *(BESIDE[m][vector.channel] for m in beside))]
    value = np.zeros((len(channels), grid.slots), np.int64)
    have = np.zeros(value.shape, np.bool_)
    for given in vector.days:
        for row, text in enumerate((given.slots, *(given.beside(method) for method in beside))):
            if text is not None:
                numbers = [micro(word) for word in tokens(text)]
                for day in range(epoch_day(given.day), epoch_day(given.through or given.day) + 1):
                    here = slice(grid.offsets[day - grid.first_day], grid.offsets[day - grid.first_day + 1])
                    value[row, here] = [number or 0 for number in numbers]
                    have[row, here] = [number is not None for number in numbers]
    reads = sorted((int(read.at.timestamp()), micro(read.value) or 0) for read in vector.registers)
    column = np.array(reads, np.int64).reshape(len(reads), 2)
    nothing = np.zeros(len(reads), np.int64)
    return SeriesFacts(
        grid=grid,
        value=value,
        have=have,
        expected=np.repeat([[not channel.reference] for channel in channels], grid.days, axis=1),
        one_directional=np.array([channel.one_directional for channel in channels]),
        instantaneous=np.array([channel.instantaneous for channel in channels]),
        meter=np.zeros(len(channels), np.int64),
        channels=tuple(channel.name for channel in channels),
        reads=Reads(
            nothing, column[:, 0], column[:, 1], nothing, nothing + 1, np.zeros((len(reads), 2), np.int64)
        ),
        holidays=frozenset(epoch_day(day) for day in pack.holidays),
    )


def compare(vector: Vector, pack: RulePack) -> list[Difference]:
    """What a pack makes of a vector, where it is not what the vector expects."""
    facts = facts_of(vector, pack)
    result = validate_and_estimate(facts, pack)
    return [difference for wanted in vector.expect for difference in _day(facts, result, wanted)]


def _day(facts: SeriesFacts, result: SeriesResult, wanted: Expected) -> list[Difference]:
    """Differences of one day: slot by slot, then its findings."""
    grid = facts.grid
    day = epoch_day(wanted.day) - grid.first_day
    here = slice(int(grid.offsets[day]), int(grid.offsets[day + 1]))
    qualities = [Quality(code).name for code in result.quality[0, here].tolist()]
    methods = [Method(code).name for code in result.method[0, here].tolist()]
    values = [
        "_" if quality == Quality.MISSING.name else _units(number)
        for number, quality in zip(result.value[0, here].tolist(), qualities, strict=True)
    ]
    wanted_values = [_units(number) for number in map(micro, tokens(wanted.slots or ""))]
    found = [
        Difference(f"{wanted.day}, slot {number}", seen, expected)
        for shown, words in (
            (values, wanted_values),
            (qualities, tokens(wanted.quality or "")),
            (methods, tokens(wanted.method or "")),
        )
        for number, (seen, expected) in enumerate(zip(shown, words, strict=False))
        if seen != expected
    ]
    of_day = (result.findings.day == day) & (result.findings.series == 0)
    rules = sorted({RULES[rule] for rule in result.findings.rule[of_day].tolist()})
    if wanted.findings is not None and rules != sorted(set(wanted.findings)):
        expected_rules = ", ".join(wanted.findings) or "none"
        found.append(Difference(f"{wanted.day}, findings", ", ".join(rules) or "none", expected_rules))
    return found


def _units(number: int | None) -> str:
    """Micro-units as a decimal of the billing unit, ``_`` for none."""
    if number is None:
        return "_"
    whole, rest = divmod(abs(number), MICRO)
    return ("-" if number < 0 else "") + f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
