"""Faults injected into real meters: what a broken meter, clock or path says of a known load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.calendar import DayGrid
from models.series import Bool, Int

__all__ = ["BREAKS", "FaultTrial", "draw_faults"]

ONSET = (0.3, 0.7)
HOUR_S = 3600


@dataclass
class Broken:
    """One meter on its way to being broken; ``said`` and ``have`` are changed in place.

    Attributes:
        low: First slot of the first broken day.
        day: That day's index.
    """

    said: Int
    have: Bool
    grid: DayGrid
    day: int
    low: int
    rng: np.random.Generator

    def until(self, fewest: int, most: int) -> int:
        """One past the last slot of a fault of some whole days."""
        last = min(self.day + int(self.rng.integers(fewest, most + 1)), self.grid.days)
        return int(self.grid.offsets[last])


def _stuck_zero(meter: Broken) -> None:
    meter.said[meter.low : meter.until(2, 7)] = 0


def _stuck_value(meter: Broken) -> None:
    before = meter.said[: meter.low]
    value = before[before > 0][-1] if (before > 0).any() else 1000
    meter.said[meter.low : meter.until(1, 5)] = value


def _times(over: int, under: int) -> Callable[[Broken], None]:
    def scale(meter: Broken) -> None:
        meter.said[meter.low :] = meter.said[meter.low :] * over // under

    return scale


def _spikes(meter: Broken) -> None:
    slots = meter.rng.integers(meter.low, len(meter.said), 5)
    meter.said[slots] += 10 * meter.said.max()


def _shifted(meter: Broken) -> None:
    slots = max(HOUR_S // meter.grid.interval_s, 1)
    meter.said[meter.low :] = np.roll(meter.said, slots)[meter.low :]


def _drifting(meter: Broken) -> None:
    after = np.arange(len(meter.said) - meter.low)
    late = 3 * HOUR_S / meter.grid.interval_s * after / max(len(after) - 1, 1)
    meter.said[meter.low :] = meter.said[np.maximum(meter.low + after - np.rint(late).astype(np.int64), 0)]


def _lump(meter: Broken) -> None:
    end = min(meter.until(1, 4), len(meter.said) - 1)
    meter.said[end] += meter.said[meter.low : end].sum()
    meter.have[meter.low : end] = False


def _dropouts(meter: Broken) -> None:
    lost = meter.rng.random(len(meter.said) - meter.low) < 0.15
    meter.said[meter.low :][lost] = 0


def _noise(meter: Broken) -> None:
    factor = meter.rng.lognormal(0, 0.5, len(meter.said) - meter.low)
    meter.said[meter.low :] = np.rint(meter.said[meter.low :] * factor)


def _dead(meter: Broken) -> None:
    meter.said[:] = 0


BREAKS: dict[str, tuple[Callable[[Broken], None] | None, tuple[str, ...]]] = {
    "stuck at zero": (_stuck_zero, ("stuck_zero",)),
    "stuck value": (_stuck_value, ("stuck_value",)),
    "multiplier ×10": (_times(10, 1), ("multiplier_x10",)),
    "multiplier ×0.5": (_times(1, 2), ("ratio_error",)),
    "unit ×1000": (_times(1000, 1), ("unit_error",)),
    "reversed CT, ×1/3": (_times(1, 3), ("reversed_ct",)),
    "reversed, negative": (_times(-1, 1), ("negative",)),
    "dead phase, ×2/3": (_times(2, 3), ("dead_phase",)),
    "gap, then lump": (_lump, ("lump_after_gap",)),
    "15 % dropouts": (_dropouts, ("dropouts",)),
    "5 spikes": (_spikes, ("spikes",)),
    "noise": (_noise, ("noise",)),
    "clock 1 h": (_shifted, ("clock_shift",)),
    "clock drift to 3 h": (_drifting, ("clock_shift", "clock_drift")),
    "duplicate": (None, ("duplicate",)),
    "dead": (_dead, ("dead_meter",)),
}
"""What is done to a meter (None: it is given another's series), and the faults that count as finding it."""


@dataclass(frozen=True)
class FaultTrial:
    """One draw; n homes.

    Attributes:
        said, have: What the meters say, shape (n, slots).
        kind: Name in ``BREAKS`` of each home, empty for the whole ones, length n.
        copied: Homes whose series another one was given, shape (n,).
        day: Index of the first broken day, −1 for the whole ones, shape (n,).
    """

    said: Int
    have: Bool
    kind: list[str]
    copied: Bool
    day: Int


def draw_faults(load: Int, have: Bool, grid: DayGrid, *, seed: int, able: Bool, each: int) -> FaultTrial:
    """Break some homes.

    Args:
        load: As measured, shape (n, slots). [micro-unit]
        have: Whether there is a value, shape (n, slots).
        grid: The days.
        seed: Everything follows from it.
        able: Homes that may be broken, shape (n,).
        each: Homes a kind of fault; fewer where there are too few homes.
    """
    rng = np.random.default_rng([seed, 4])
    chosen = rng.permutation(len(load))  # all, so that the draw is the same where one more or less is able
    chosen = chosen[able[chosen]]
    each = max(min(each, len(chosen) // (2 * len(BREAKS))), 1)
    copied = np.zeros(len(load), np.bool_)
    said, known, kind, day = load.copy(), have.copy(), [""] * len(load), np.full(len(load), -1)
    for at, (name, (damage, _)) in enumerate(BREAKS.items()):
        for home in chosen[at * each : (at + 1) * each].tolist():
            own = np.random.default_rng([seed, 5, home])
            first = int(grid.days * own.uniform(*ONSET))
            kind[home], day[home] = name, first
            if damage is None:
                twin = int(chosen[-1 - int(own.integers(len(chosen) // 4))])
                said[home], known[home], day[home] = load[twin], have[twin], 0
                copied[twin] = True
                continue
            damage(Broken(said[home], known[home], grid, first, int(grid.offsets[first]), own))
    return FaultTrial(said, known, kind, copied, day)
