"""Weekly profiles by half hour as clocks are judged by them: white, and what is usual in the fleet.

The square root of the energy of each half hour, its mean taken out and of length 1. What a week differs from
the next by moves slowly over the day; divided by its usual spectrum it is white, and sums of squares of what
is left are evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.series import Bool
from models.week_table import some_meters
from models.weekly_features import Float

__all__ = ["HALVES", "Fleet", "fleet", "known_weeks", "own_noise", "unit_profiles", "white"]

HALVES = 48
SHAPES = 7
"""Principal components that the usual profile of a fleet is made of."""
QUIETEST = 0.05
"""What is added to a meter's own noise, in that of a usual one: nobody lives by the minute."""


@dataclass(frozen=True)
class Fleet:
    """What the meters have in common.

    Attributes:
        noise: Usual power, by frequency, of what two weeks differ by, one week's part of it, shape (25,).
        shapes: Of white profiles, orthonormal, shape (48, ``SHAPES``).
        trust: How much the shapes tell of a meter: 1 of a large fleet, 0 where every meter has one to itself.
    """

    noise: Float
    shapes: Float
    trust: float


def unit_profiles(halves: NDArray[np.float32]) -> Float:
    """Square roots of energies (m, w, 48) with mean 0 and length 1; a week without use stays zeros."""
    unit = np.empty(halves.shape)
    for some in some_meters(len(unit)):
        root = np.sqrt(np.maximum(halves[some].astype(np.float64), 0))
        root -= root.mean(axis=2, keepdims=True)
        unit[some] = root / np.sqrt((root**2).sum(axis=2, keepdims=True) + 1e-9)
    return unit


def known_weeks(unit: Float) -> Bool:
    """Weeks with any use; (m, w)."""
    known: Bool = (unit != 0).any(axis=2)
    return known


def fleet(unit: Float) -> Fleet:
    """Of the unit profiles of all meters; (m, w, 48)."""
    power = np.concatenate([_differences(unit[some]) for some in some_meters(len(unit))])
    noise = np.maximum(np.median(power, axis=0), 1e-9)
    late = white(unit[:, unit.shape[1] // 2 :].sum(axis=1), noise)
    late /= np.sqrt((late**2).sum(axis=1, keepdims=True) + 1e-9)
    _, vectors = np.linalg.eigh(np.einsum("mi,mj->ij", late, late))
    return Fleet(noise, vectors[:, -SHAPES:], max(1 - SHAPES / len(unit), 0.0))


def _differences(unit: Float) -> Float:
    """Mean power, by frequency, of half of what neighbouring known weeks of each meter differ by; (m, 25)."""
    known = known_weeks(unit)
    both = known[:, 1:] & known[:, :-1]
    power = np.abs(np.fft.rfft(np.diff(unit, axis=1), axis=2)) ** 2 / 2
    mean: Float = (power * both[:, :, None]).sum(axis=1) / np.maximum(both.sum(axis=1), 1)[:, None]
    return mean


def white(profiles: Float, noise: Float) -> Float:
    """Profiles (…, 48) in which the usual difference of two weeks is white, one week's part of variance ½."""
    waves = np.fft.rfft(profiles, axis=-1) / np.sqrt(noise * (2 / HALVES))
    waves[..., 0] = 0
    result: Float = np.fft.irfft(waves, HALVES, axis=-1)
    return result


def own_noise(x: Float, known: Bool) -> Float:
    """Median power of what neighbouring known weeks (m, w) differ by, that of a usual meter 1, from white
    profiles (m, w, 48); (m,).
    """
    both = known[:, 1:] & known[:, :-1]
    power = np.where(both, (np.diff(x, axis=1) ** 2).mean(axis=2), np.inf)
    middle = np.maximum(both.sum(axis=1) - 1, 0) // 2
    found = np.take_along_axis(np.sort(power, axis=1), middle[:, None], axis=1)[:, 0] + QUIETEST
    noise: Float = np.where(np.isfinite(found), found, 1.0)
    return noise
