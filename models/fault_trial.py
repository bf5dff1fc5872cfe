"""Faults injected into real meters: what a broken meter, clock or path says of a known load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.calendar import DayGrid
from models.series import Bool, Int

__all__ = ["BREAKS", "OF_VALUES", "READ_EVERY", "FaultTrial", "draw_faults"]

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
    "duplicate for 5–10 days": (None, ("duplicate",)),
    "crossed meters": (None, ("crossed_meters",)),
    "crossed registers": (None, ("crossed_meters",)),
    "register stopped": (None, ("register_stopped",)),
    "register jump": (None, ("register_jump",)),
    "register rollover": (None, ("register_rollover",)),
    "export without generation": (None, ("export_without_generation",)),
    "use after closing": (None, ("use_without_contract",)),
    "battery": (None, ("battery",)),
}
"""What is done to a meter's values (None: to more than those), and the faults that count as finding it."""
OF_VALUES = tuple(BREAKS)[: list(BREAKS).index("dead") + 1]
"""Those that the values of one meter show; the others need a second meter, a register or master data."""
PAIRED = frozenset({"crossed meters", "crossed registers"})
READ_EVERY = 7
"""Days between two reads of a register."""
REGISTER_START, MODULUS = 5_000_000_000, 100_000_000_000
"""What a register showed at first, and where one of five digits passes its last [micro-kWh]."""


@dataclass(frozen=True)
class FaultTrial:
    """One draw; n homes.

    Attributes:
        said, have: What the meters say, shape (n, slots).
        kind: Name in ``BREAKS`` of each home, empty for the whole ones, length n.
        copied: Homes whose series another one was given, shape (n,).
        day: Index of the first broken day, −1 for the whole ones, shape (n,).
        register: What it shows at the start of each ``READ_EVERY``-th day, shape (n, r). [micro-kWh]
    """

    said: Int
    have: Bool
    kind: list[str]
    copied: Bool
    day: Int
    register: Int

    def broken(self, kind: str) -> list[int]:
        """Homes of one kind."""
        return [home for home, name in enumerate(self.kind) if name == kind]


def draw_faults(
    load: Int,
    have: Bool,
    grid: DayGrid,
    *,
    seed: int,
    able: Bool,
    each: int,
    kinds: Sequence[str] = tuple(BREAKS),
) -> FaultTrial:
    """Break some homes.

    Args:
        load: As measured, shape (n, slots). [micro-unit]
        have: Whether there is a value, shape (n, slots).
        grid: The days.
        seed: Everything follows from it.
        able: Homes that may be broken, shape (n,).
        each: Homes a kind of fault; fewer where there are too few homes.
        kinds: Names in ``BREAKS``.
    """
    rng = np.random.default_rng([seed, 4])
    chosen = rng.permutation(len(load))  # all, so that the draw is the same where one more or less is able
    chosen = chosen[able[chosen]]
    each = max(min(each, len(chosen) // (2 * len(kinds))), 1)
    trial = FaultTrial(
        load.copy(),
        have.copy(),
        [""] * len(load),
        np.zeros(len(load), np.bool_),
        np.full(len(load), -1),
        _registers(load, grid),
    )
    taken = 0
    for name in kinds:
        damage, _ = BREAKS[name]
        homes = chosen[taken : taken + each + (each % 2 if name in PAIRED else 0)].tolist()
        taken += len(homes)
        for place, home in enumerate(homes):
            own = np.random.default_rng([seed, 5, home])
            first = int(grid.days * own.uniform(*ONSET))
            trial.kind[home], trial.day[home] = name, first
            if damage is not None:
                low = int(grid.offsets[first])
                damage(Broken(trial.said[home], trial.have[home], grid, first, low, own))
            elif name in PAIRED:
                trial.day[home] = trial.day[homes[place & ~1]]  # a pair has one day
                _crossed(trial, load, grid, name, home, homes[place ^ 1])
            elif name.startswith("duplicate"):
                twin = int(chosen[-1 - int(own.integers(len(chosen) // 4))])
                _copied(trial, load, have, grid, home, twin, own)
            elif name.startswith("register"):
                _register(trial.register[home], name, first)
    return trial


def _registers(load: Int, grid: DayGrid) -> Int:
    starts = grid.offsets[::READ_EVERY]
    running = np.zeros((len(load), grid.slots + 1), np.int64)
    np.cumsum(np.maximum(load, 0), axis=1, out=running[:, 1:])
    registers: Int = REGISTER_START + running[:, starts]
    return registers


def _crossed(trial: FaultTrial, load: Int, grid: DayGrid, name: str, home: int, other: int) -> None:
    """From one day on the values of another home, or its register all the time."""
    if name == "crossed registers":
        trial.register[home] = _registers(load[[other]], grid)[0]
        return
    low = int(grid.offsets[trial.day[home]])
    trial.said[home, low:] = load[other, low:]


def _copied(
    trial: FaultTrial, load: Int, have: Bool, grid: DayGrid, home: int, twin: int, rng: np.random.Generator
) -> None:
    """The values of a whole home, all the time or for five to ten days."""
    low, high = 0, grid.slots
    if trial.kind[home] == "duplicate":
        trial.day[home] = 0
    else:
        last = min(int(trial.day[home]) + int(rng.integers(5, 11)), grid.days)
        low, high = int(grid.offsets[trial.day[home]]), int(grid.offsets[last])
    trial.said[home, low:high], trial.have[home, low:high] = load[twin, low:high], have[twin, low:high]
    trial.copied[twin] = True


def _register(shown: Int, name: str, first: int) -> None:
    """One register from the first read on a broken day; in place."""
    at = min(-(-first // READ_EVERY), len(shown) - 2)
    if name == "register stopped":
        shown[at:] = shown[at]
    elif name == "register jump":
        shown[at + 1 :] += 10 * (shown[-1] - shown[0]) + REGISTER_START
    else:
        shown += MODULUS - (shown[at] + shown[at + 1]) // 2
        shown %= MODULUS
