"""Estimates moved to what the time-of-use registers of their meter counted (docs/vee.md, Registers)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.calendar import DayGrid
from models.registers import ReadIntervals
from models.series import Int, SeriesFacts
from models.some_days import some_days
from models.tou_registers import register_code, tou_advances
from schemas.rulepack import RulePack

__all__ = ["TouTargets", "register_of_slots", "tou_targets"]


@dataclass(frozen=True)
class TouTargets:
    """What the estimates of a register of a read interval have to sum to; one row each, shape (k,).

    Attributes:
        number: Of the interval.
        register: Code of the register.
        advance: Of the register. [micro-unit]
        target: Its advance less what is measured in its slots. [micro-unit]
        part: Row of each estimate, −1 where its interval is not split; as many as estimates.
    """

    number: Int
    register: Int
    advance: Int
    target: Int
    part: Int


def register_of_slots(pack: RulePack, grid: DayGrid, holidays: frozenset[int]) -> Int:
    """Code of the time-of-use register that counts each slot, 0 for none; (slots,)."""
    found = np.zeros(grid.slots, np.int64)
    minute = grid.wall // 60
    for part in reversed(pack.registers.tou):
        low, high = part.at
        inside = (minute >= low) & (minute < high) if low < high else (minute >= low) | (minute < high)
        here = some_days(part, grid, holidays)[grid.day_of_slot]
        found[here & inside] = register_code(part.name)
    return found


def tou_targets(
    facts: SeriesFacts,
    intervals: ReadIntervals,
    pack: RulePack,
    *,
    slot: Int,
    holder: Int,
    fixed: Int,
    target: Int,
) -> TouTargets:
    """Targets of the registers of every read interval that they split soundly.

    An interval is split when its reads lie between slots, its registers can be judged
    (:func:`models.tou_registers.tou_advances`), every estimate in it belongs to one of them, none of these
    measured more than it advanced by more than its own step, and their targets together differ from the
    interval's by no more than a step of every register.

    Args:
        facts: The series.
        intervals: Of the total register.
        pack: Says when each register counts.
        slot: Flat slots of the estimates that are to be scaled, increasing, shape (k,).
        holder: Interval of each, shape (k,).
        fixed: Values of all slots, 0 in those of the estimates; flat. [micro-unit]
        target: Of each interval by the total register, shape (m,). [micro-unit]
    """
    none, part = np.zeros(0, np.int64), np.full(len(slot), -1, np.int64)
    if not pack.registers.tou or not len(slot):
        return TouTargets(none, none, none, none, part)
    found, grid = tou_advances(intervals, facts.tou), facts.grid
    between = [(at - grid.origin) % grid.interval_s == 0 for at in (intervals.start, intervals.end)]
    of_slot = register_of_slots(pack, grid, facts.holidays)
    rows: list[tuple[int, int, int, int]] = []
    for number in np.intersect1d(found.number[np.logical_and(*between)[found.number]], holder).tolist():
        own = slice(*np.searchsorted(holder, [number, number + 1]).tolist())
        mine = slice(*np.searchsorted(found.number, [number, number + 1]).tolist())
        registers, told = np.unique(of_slot[slot[own] % grid.slots], return_inverse=True)
        columns = np.arange(intervals.first[number], intervals.last[number])
        values = fixed[intervals.series[number] * grid.slots + columns]
        counted = np.array([values[of_slot[columns] == code].sum() for code in registers.tolist()])
        split = _left(registers, counted, found.register[mine], found.advance[mine], found.step[mine])
        allowed = int(found.step[mine].sum()) + int(intervals.resolution[number])
        if split is None or abs(int(split[1].sum()) - int(target[number])) > allowed:
            continue
        part[own] = len(rows) + told
        rows += zip([number] * len(registers), registers, *split, strict=True)
    numbers, registers, advances, due = np.ascontiguousarray(np.array(rows, np.int64).reshape(-1, 4).T)
    return TouTargets(numbers, registers, advances, due, part)


def _left(registers: Int, counted: Int, known: Int, advance: Int, step: Int) -> tuple[Int, Int] | None:
    """Advance of some registers, and what is left of it for their estimates; None where that cannot be.

    Args:
        registers: Codes, ascending, shape (k,).
        counted: What their other slots hold, shape (k,). [micro-unit]
        known: Codes of the registers that were read, ascending, shape (m,).
        advance: Of these, shape (m,). [micro-unit]
        step: Their smallest steps, shape (m,). [micro-unit]
    """
    if not np.isin(registers, known).all():
        return None
    at = np.searchsorted(known, registers)
    left = advance[at] - counted
    return None if (left < -step[at]).any() else (advance[at], np.maximum(left, 0))
