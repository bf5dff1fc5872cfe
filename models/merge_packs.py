"""Several packs in force on the days of the same series: what each says of its own days, as one.

Flat slot numbers are series · slots + column. A pack is given the whole series, so that its averages, runs
and references reach over days on which another pack is in force; what it says is taken for its own days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from models.calendar import DayGrid
from models.days import to_slots
from models.estimate import Estimates
from models.pack_days import PackDays, with_holidays
from models.registers import ReadIntervals
from models.runs import DayHits
from models.scale import Settled
from models.screen import Screen
from models.series import Bool, Int, SeriesFacts
from models.usage import SlotHits
from schemas.rulepack import RulePack

__all__ = ["InForce", "in_force", "merge_estimates", "merge_screens", "merge_settled"]

_FLAT = ("absent", "suspects", "zeroed", "negative", "over_capacity")
_DENSE = ("good", "touched")
_DAYS = ("eligible", "any_good")


@dataclass(frozen=True)
class InForce:
    """A pack and the days it is in force on.

    Attributes:
        pack: The pack.
        facts: Of all days, with its holidays.
        where: Its days, (n, days); None for every day.
    """

    pack: RulePack
    facts: SeriesFacts
    where: Bool | None

    def flat(self, flat: Int) -> Bool:
        """Which flat slots lie on its days; (k,)."""
        if self.where is None:
            return np.ones(len(flat), np.bool_)
        grid = self.facts.grid
        return self.where[flat // grid.slots, grid.day_of_slot[flat % grid.slots]]

    def days(self, hits: Mapping[str, DayHits]) -> dict[str, DayHits]:
        """Hits on its days."""
        if self.where is None:
            return dict(hits)
        return {name: hit.where(self.where[hit.series, hit.day]) for name, hit in hits.items()}

    def slots(self, hits: Mapping[str, SlotHits]) -> dict[str, SlotHits]:
        """Hits on its days."""
        kept = {name: self.flat(hit.flat) for name, hit in hits.items()}
        return {name: SlotHits(hit.flat[kept[name]], hit.limit[kept[name]]) for name, hit in hits.items()}

    def screen(self, checked: Screen) -> Screen:
        """Verdicts on its days; sums of days and what explains absent slots stay whole."""
        if self.where is None:
            return checked
        changed: dict[str, object] = {
            name: getattr(checked, name)[self.flat(getattr(checked, name))] for name in _FLAT
        }
        spike = self.flat(checked.spike)
        changed |= {"spike": checked.spike[spike], "third_peak": checked.third_peak[spike]}
        marks = {name: flat[self.flat(flat)] for name, flat in checked.marks.items()}
        changed["marks"] = {name: flat for name, flat in marks.items() if len(flat)}
        slots = to_slots(self.where, self.facts.grid)
        changed |= {n: None if getattr(checked, n) is None else getattr(checked, n) & slots for n in _DENSE}
        changed |= {name: getattr(checked, name) & self.where for name in _DAYS}
        return replace(checked, **changed)  # type: ignore[arg-type]


def in_force(facts: SeriesFacts, packs: PackDays) -> list[InForce]:
    """Every pack of ``packs``, by its number."""
    several = len(packs.packs) > 1
    return [
        InForce(
            pack, with_holidays(facts, pack) if packs.named else facts, packs.of_day == i if several else None
        )
        for i, pack in enumerate(packs.packs)
    ]


def merge_screens(parts: Sequence[Screen]) -> Screen:
    """Screens of disjoint days as one."""
    if len(parts) == 1:
        return parts[0]
    changed: dict[str, object] = {
        name: np.sort(np.concatenate([getattr(part, name) for part in parts])) for name in _FLAT
    }
    spike = np.concatenate([part.spike for part in parts])
    order = np.argsort(spike)
    third = np.concatenate([part.third_peak for part in parts])
    changed |= {"spike": spike[order], "third_peak": third[order]}
    names = sorted({name for part in parts for name in part.marks})
    changed["marks"] = {
        name: np.sort(np.concatenate([part.marks[name] for part in parts if name in part.marks]))
        for name in names
    }
    for name in (*_DENSE, *_DAYS):
        held = [getattr(part, name) for part in parts]
        changed[name] = None if held[0] is None else np.logical_or.reduce(held)
    return replace(parts[0], **changed)  # type: ignore[arg-type]


def merge_estimates(parts: Sequence[Estimates], of_day: Int, grid: DayGrid) -> Estimates:
    """Of each slot the estimate of its day's pack.

    Args:
        parts: Of the same slots, a pack each.
        of_day: Number of the pack of each day; (n, days).
        grid: The slots.
    """
    if len(parts) == 1:
        return parts[0]
    slot = parts[0].slot
    mine = of_day[slot // grid.slots, grid.day_of_slot[slot % grid.slots]]
    at = np.arange(len(mine))
    value = np.stack([part.value for part in parts])[mine, at]
    method = np.stack([part.method for part in parts])[mine, at]
    return Estimates(parts[0].slot, value, method)


def merge_settled(
    parts: Sequence[Settled], of_day: Int, of_interval: Int, intervals: ReadIntervals, grid: DayGrid
) -> Settled:
    """Of each slot and read interval what the pack that settles it makes of it.

    Args:
        parts: A pack each, of all slots; every pack saw only its own intervals as usable.
        of_day: Number of the pack of each day; (n, days).
        of_interval: Of each interval; (m,).
        intervals: The intervals.
        grid: The slots.
    """
    if len(parts) == 1:
        return parts[0]
    owner = _slot_owner(of_day, of_interval, intervals, grid)
    slots = [owner[part.estimates.slot] == number for number, part in enumerate(parts)]
    slot = np.concatenate([part.estimates.slot[kept] for part, kept in zip(parts, slots, strict=True)])
    order = np.argsort(slot)
    columns = [
        np.concatenate(
            [getattr(part.estimates, field.name)[kept] for part, kept in zip(parts, slots, strict=True)]
        )[order]
        for field in fields(Estimates)
    ]
    final = parts[0].final.copy()
    for number, part in enumerate(parts[1:], 1):
        mine = owner == number
        final.ravel()[mine] = part.final.ravel()[mine]

    def of(name: str, keys: Int) -> Int:
        held = [getattr(part, name) for part in parts]
        return np.sort(np.concatenate([k[keys[k] == number] for number, k in enumerate(held)]))

    return Settled(
        final=final,
        estimates=Estimates(*columns),
        kept=of("kept", owner),
        verified=of("verified", of_interval),
        rejected=of("rejected", of_interval),
        rejected_whole=of("rejected_whole", of_interval),
        seen=np.stack([part.seen for part in parts])[of_interval, np.arange(len(of_interval))],
    )


def _slot_owner(of_day: Int, of_interval: Int, intervals: ReadIntervals, grid: DayGrid) -> Int:
    """Number of the pack that settles each slot: of the usable interval it lies whole in, or its day."""
    owner = to_slots(of_day, grid)
    for number in np.flatnonzero(intervals.usable).tolist():
        columns = slice(int(intervals.first[number]), int(intervals.last[number]))
        owner[int(intervals.series[number]), columns] = of_interval[number]
    flat: Int = owner.ravel()
    return flat
