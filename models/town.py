"""A town of meters, made from a seed: what they truly use, and what reaches the head-end."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from models.calendar import DayGrid
from models.series import Bool, Int

Rng = np.random.Generator
KINDS = ("home", "home", "home", "home", "home", "home", "solar", "small_business")
THEFTS = ("constant_share", "capped", "evening_off", "random_share")


@dataclass(frozen=True)
class TownPlan:
    """What kind of town.

    Attributes:
        meters: Customer meters.
        seed: Everything follows from it; a meter's load from it and the meter's number alone.
        theft: Share of meters that start to steal inside the period.
        faults: Share of meters that get a fault.
        defects: Share of meter-days hurt on the way: gaps, spikes, negatives, conflicts.
        homes_a_feeder: Customers behind one feeder meter.
    """

    meters: int
    seed: int = 0
    theft: float = 0.04
    faults: float = 0.03
    defects: float = 0.01
    homes_a_feeder: int = 40


@dataclass
class TownMeter:
    """One customer's truth and what its meter says, in Wh a slot.

    Attributes:
        number: Position in the town.
        kind: One of ``KINDS``.
        used: True import, shape (slots,).
        fed: True export, shape (slots,), or None.
        said: What the meter counts, shape (slots,): the truth, less what is stolen or lost to a fault.
        arrived: Slots that reach the head-end, shape (slots,).
        sent: Values as sent, shape (slots,): ``said`` with defects on the way.
        corrected: Slots that are sent again later with the right value; columns.
        outages: (first, one past last) column of documented outages.
        theft, theft_day: Kind of theft and first day index; None and −1 for the honest.
        fault, fault_day: The same for faults.
    """

    number: int
    kind: str
    used: Int
    fed: Int | None
    said: Int
    arrived: Bool
    sent: Int
    corrected: list[int] = field(default_factory=list)
    outages: list[tuple[int, int]] = field(default_factory=list)
    theft: str | None = None
    theft_day: int = -1
    fault: str | None = None
    fault_day: int = -1


def make_meter(plan: TownPlan, number: int, grid: DayGrid) -> TownMeter:
    """One meter; the same whatever else is made.

    Args:
        plan: The town.
        number: Which meter.
        grid: The days.
    """
    rng = np.random.default_rng([plan.seed, number])
    kind = KINDS[int(rng.integers(len(KINDS)))]
    used = _load(kind, grid, rng)
    fed = None
    if kind == "solar":
        sun = _sun(grid, rng)
        used, fed = np.maximum(used - sun, 0), np.maximum(sun - used, 0)
    said = used.copy()
    meter = TownMeter(number, kind, used, fed, said, np.ones(grid.slots, np.bool_), said)
    if grid.days >= 21:
        _steal(meter, plan, grid, rng)
        _break(meter, plan, grid, rng)
    meter.sent = meter.said.copy()
    _hurt(meter, plan, grid, rng)
    return meter


def _load(kind: str, grid: DayGrid, rng: Rng) -> Int:
    """Base, morning and evening peaks, season, weekend, appliances; Wh a slot."""
    hour = grid.wall / 3600
    day = grid.day_of_slot
    scale = float(rng.lognormal(0, 0.45)) * grid.interval_s / 3600
    if kind == "small_business":
        weekday = grid.weekdays[day] < 5
        shape = 250 + 2200 * np.exp(-(((hour - 13) / 4.2) ** 4)) * np.where(weekday, 1.0, 0.25)
    else:
        morning, evening = rng.normal(7.2, 0.7), rng.normal(19.3, 0.8)
        shape = (
            float(rng.uniform(90, 220))
            + 420 * float(rng.uniform(0.4, 1.5)) * np.exp(-(((hour - morning) / 1.1) ** 2))
            + 900 * float(rng.uniform(0.5, 1.5)) * np.exp(-(((hour - evening) / 2.1) ** 2))
        )
        weekend = np.where(grid.weekdays[day] >= 5, 1 + 0.35 * np.exp(-(((hour - 13) / 3) ** 2)), 1.0)
        shape = shape * weekend
    year = (grid.first_day + day) % 365.25 / 365.25
    season = 1 + 0.22 * np.cos(2 * np.pi * (year - 0.04))
    weather = np.repeat(_weather(grid), grid.lengths)
    noise = rng.gamma(6.0, 1 / 6.0, grid.slots)
    load = shape * season * weather * noise * scale
    for _ in range(int(grid.days * rng.uniform(0.3, 1.6))):  # an oven, a dryer, a kettle
        start = int(rng.integers(grid.slots))
        load[start : start + int(rng.integers(1, 6))] += (
            float(rng.uniform(600, 2200)) * grid.interval_s / 3600
        )
    if grid.days > 60 and rng.random() < 0.3:
        away = int(rng.integers(grid.days - 14))
        low, high = int(grid.offsets[away]), int(grid.offsets[away + int(rng.integers(4, 14))])
        load[low:high] *= 0.3
    result: Int = np.maximum(np.rint(load), 1).astype(np.int64)
    return result


def _weather(grid: DayGrid) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The same mild and harsh days for the whole town; (days,)."""
    rng = np.random.default_rng(grid.first_day)
    walk = np.zeros(grid.days)
    for day in range(1, grid.days):
        walk[day] = 0.8 * walk[day - 1] + rng.normal(0, 0.05)
    return np.exp(walk)


def _sun(grid: DayGrid, rng: Rng) -> Int:
    hour = grid.wall / 3600
    clouds = np.repeat(rng.uniform(0.2, 1.0, grid.days), grid.lengths)
    peak = float(rng.uniform(2500, 7000)) * grid.interval_s / 3600
    sun: Int = np.rint(peak * clouds * np.maximum(np.cos((hour - 13) / 5.5 * np.pi / 2), 0) ** 1.5).astype(
        np.int64
    )
    sun[(hour < 7.5) | (hour > 18.5)] = 0
    return sun


def _steal(meter: TownMeter, plan: TownPlan, grid: DayGrid, rng: Rng) -> None:
    """Theft that starts between 35 and 65 % of the period and stays."""
    if rng.random() >= plan.theft:
        return
    meter.theft = THEFTS[int(rng.integers(len(THEFTS)))]
    meter.theft_day = int(grid.days * rng.uniform(0.35, 0.65))
    at = slice(int(grid.offsets[meter.theft_day]), None)
    part = meter.said[at]
    if meter.theft == "constant_share":
        stolen = part * rng.uniform(0.2, 0.6)
    elif meter.theft == "capped":
        stolen = np.minimum(part, np.quantile(part, rng.uniform(0.3, 0.7)))
    elif meter.theft == "evening_off":
        hour = grid.wall[at] // 3600
        stolen = np.where((hour >= 17) & (hour < 23), 0, part)
    else:
        stolen = part * rng.uniform(0.2, 0.8, len(part))
    meter.said[at] = np.rint(stolen).astype(np.int64)


def _break(meter: TownMeter, plan: TownPlan, grid: DayGrid, rng: Rng) -> None:
    """A meter fault somewhere in the period."""
    if meter.theft is not None or rng.random() >= plan.faults:
        return
    meter.fault = ("stuck_value", "stuck_zero", "multiplier_x10", "dead_phase")[int(rng.integers(4))]
    meter.fault_day = int(rng.integers(grid.days // 4, grid.days - 8))
    low = int(grid.offsets[meter.fault_day])
    short = int(grid.offsets[min(meter.fault_day + int(rng.integers(2, 6)), grid.days)])
    if meter.fault == "stuck_value":
        meter.said[low:short] = meter.said[low]
    elif meter.fault == "stuck_zero":
        meter.said[low:short] = 0
    elif meter.fault == "multiplier_x10":
        meter.said[low:] *= 10
    else:
        meter.said[low:] = meter.said[low:] * 2 // 3


def _hurt(meter: TownMeter, plan: TownPlan, grid: DayGrid, rng: Rng) -> None:
    """Gaps, spikes, negative values, corrections and outages on the way to the head-end."""
    for _ in range(rng.poisson(plan.defects * grid.days)):
        start = int(rng.integers(grid.slots))
        what = rng.random()
        if what < 0.6:
            long = rng.random() < 0.3
            meter.arrived[start : start + int(rng.integers(9, 200) if long else rng.integers(1, 9))] = False
        elif what < 0.72:
            meter.sent[start] = meter.sent[start] * 40 + 4000
        elif what < 0.8:
            meter.sent[start] = -meter.sent[start]
        elif what < 0.92:
            meter.sent[start] += 7
            meter.corrected.append(start)
        else:
            end = min(start + int(rng.integers(4, 40)), grid.slots)
            meter.outages.append((start, end))
            meter.used[start:end] = meter.said[start:end] = meter.sent[start:end] = 0
            meter.arrived[start:end] = False
