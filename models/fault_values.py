"""Faults that days show: dead, stuck, backwards, lumps after gaps, dropouts, spikes, silence."""

from __future__ import annotations

import numpy as np

from models.behaviour import step
from models.fault_days import MICRO, Days, Fault, runs
from models.series import Bool, Int
from models.standing import nan_median, nan_quantile
from models.weekly_features import NAMES, Float

__all__ = ["value_faults"]

FEW_NEGATIVES = 8
"""Fewer negative slots than this are glitches, not a meter that runs backwards."""
FEWEST_SLOTS = 4
"""Values of a day, and at least a quarter of its slots, from which one value in all of them is a fault."""
LUMP_PEAKS = 5.0
SPIKE_PEAKS = 4.0
"""Times the usual day's peak from which a slot after a gap is its lump, and any slot is a spike."""
FEWEST_DROPPED, MOST_DROPPED = 0.05, 0.6
FEWEST_DAYS = 7
DROPPED_VARIANCE = 0.02
"""Variance of the zero share of a usual meter's days."""
SHARP_DROPPED = 2.5
LONE_VARIANCE = 0.0002
"""Variance of the share of lone zeros of a usual meter's days."""
SHARP_LONE, FEWEST_LONE, LASTING = 4.0, 0.01, 0.4
"""t of their rise, the rise itself, and the share of the later days above nine in ten of the earlier ones."""
SILENT = 0.3
SILENT_DAYS = 14


def value_faults(days: Days) -> list[Fault]:
    """All of them, in no order."""
    usual = _usual_peak(days)
    zero = days.seen & (days.total == 0) & days.used[:, None]
    return [
        *_dead(days),
        *_stuck(days),
        *runs(days, zero, "stuck_zero", 2, "error", "only zeros on a meter that measured before and after"),
        *_negative(days),
        *_lumps(days, usual),
        *_spikes(days, usual),
        *_dropouts(days),
        *_silent(days),
    ]


def _stuck(days: Days) -> list[Fault]:
    """Days of one value; where a day has so few slots that this says little, days equal to the one before."""
    flat = days.seen & (days.peak > 0) & (days.peak == days.low)
    told = flat & (days.have >= np.maximum(FEWEST_SLOTS, days.slots[:, None] // 4))
    again = np.zeros_like(flat)
    again[:, 1:] = flat[:, 1:] & flat[:, :-1] & (days.total[:, 1:] == days.total[:, :-1])
    again &= days.slots[:, None] < FEWEST_SLOTS
    return [
        *runs(days, told, "stuck_value", 1, "error", "every slot of the day has the same value"),
        *runs(days, again, "stuck_value", 2, "error", "the same value as the day before"),
    ]


def _usual_peak(days: Days) -> Float:
    """Ninth decile of the peaks of whole days, 0 with fewer than seven of them; (m,)."""
    whole = (days.have == days.slots[:, None]) & days.seen
    peaks = np.sort(np.where(whole, days.peak, np.inf), axis=1)
    number = whole.sum(axis=1)
    place = np.maximum((number * 9) // 10 - 1, 0)
    usual = np.take_along_axis(peaks, place[:, None], axis=1)[:, 0] if days.count else np.zeros(len(peaks))
    return np.where(number >= FEWEST_DAYS, usual, 0.0)


def _dead(days: Days) -> list[Fault]:
    dead = (days.seen.sum(axis=1) >= FEWEST_DAYS) & (days.total == 0).all(axis=1)
    return [
        Fault(row, "dead_meter", days.day(0), None, "error", "it reports, but never measured anything")
        for row in np.flatnonzero(dead).tolist()
    ]


def _negative(days: Days) -> list[Fault]:
    """Negative slots; a meter that has many of them runs backwards and leaves the population."""
    found, table = [], days.table
    for row in np.flatnonzero(table.negatives.sum(axis=1) > 0).tolist():
        weeks = np.flatnonzero(table.negatives[row])
        count, lowest = int(table.negatives[row].sum()), int(days.low[row].min())
        name, severity = ("negative", "error") if count >= FEW_NEGATIVES else ("negative_values", "warning")
        evidence = f"{count} negative slots, down to {lowest / MICRO:.3f}"
        since, until = int(table.weeks[weeks[0]]), int(table.weeks[weeks[-1]]) + 6
        found.append(Fault(row, name, since, until, severity, evidence))
    return found


def _after_gap(days: Days) -> tuple[Bool, Bool]:
    """Days that miss slots or are mostly zero, and days on which a lump after one may stand; (m, d)."""
    slots = days.slots[:, None]
    gap = (days.have < slots) | (days.zero > slots // 2)
    after = gap.copy()
    after[:, 1:] |= gap[:, :-1]
    return gap, after


def _lumps(days: Days, usual: Float) -> list[Fault]:
    """A gap whose use comes back in one slot."""
    gap, after = _after_gap(days)
    high = after & (days.peak > LUMP_PEAKS * usual[:, None]) & (usual[:, None] > 0)
    found = []
    for row, day in zip(*(part.tolist() for part in np.nonzero(high)), strict=True):
        if gap[row, day] and day + 1 < days.count and high[row, day + 1]:
            continue  # the lump is told once, on its own day
        since = day if gap[row, day] else day - 1
        told = f"one slot of {days.peak[row, day] / MICRO:.2f} after missing or zero slots"
        evidence = f"{told}, {days.peak[row, day] / usual[row]:.0f} times the usual peak"
        found.append(Fault(row, "lump_after_gap", days.day(since), days.day(day), "warning", evidence))
    return found


def _spikes(days: Days, usual: Float) -> list[Fault]:
    """Days whose highest slot stands far above every usual day's, while the rest of the day is as ever."""
    _, after = _after_gap(days)
    rest = days.total - days.peak
    typical = nan_median(np.where(days.seen, rest.astype(np.float64), np.nan), 1)[:, None]
    high = days.seen & ~after & (days.peak > SPIKE_PEAKS * usual[:, None]) & (usual[:, None] > 0)
    high &= rest < 3 * typical
    found = []
    for row in np.flatnonzero(high.any(axis=1)).tolist():
        hits = np.flatnonzero(high[row])
        highest = days.peak[row][hits].max()
        told = f"{len(hits)} days with a slot up to {highest / MICRO:.2f}"
        evidence = f"{told}, {highest / usual[row]:.0f} times the usual peak"
        since, until = days.day(int(hits[0])), days.day(int(hits[-1]))
        found.append(Fault(row, "spikes", since, until, "warning", evidence))
    return found


def _dropouts(days: Days) -> list[Fault]:
    """Zeros strewn over the days from one day on: amid use, or with the other slots as before."""
    at, before, after = _amid_use(days)
    strewn, was, now = _strewn(days)
    found = []
    for row in np.flatnonzero((at >= 0) | (strewn >= 0)).tolist():
        day = int(at[row] if at[row] >= 0 else strewn[row])
        evidence = f"lone zeros amid use rose from {before[row]:.1%} to {after[row]:.1%} of the slots"
        if at[row] < 0:
            evidence = (
                f"zeros rose from {was[row]:.0%} to {now[row]:.0%} of the day, the other slots as before"
            )
        until = days.day(days.last_seen(row))
        found.append(Fault(row, "dropouts", days.day(day), until, "warning", evidence))
    return found


def _amid_use(days: Days) -> tuple[Int, Float, Float]:
    """Days from which zeros between two slots in use are more common, −1 without; usual share before and from
    then on; (m,) each.
    """
    used = days.seen & (days.total > 0)
    share = np.where(used, days.lone / np.maximum(days.have, 1), np.nan)
    sharp, rise, at = step(share, LONE_VARIANCE)
    index = np.arange(days.count)[None, :] - at[:, None]
    before, after = np.where(index < 0, share, np.nan), np.where(index >= 0, share, np.nan)
    higher = (after > nan_quantile(before, 0.9, 1)[:, None]).sum(axis=1)
    lasts = higher > LASTING * np.isfinite(after).sum(axis=1)
    hit = (sharp >= SHARP_LONE) & (rise > FEWEST_LONE) & lasts
    return np.where(hit, at, -1), nan_median(before, 1), nan_median(after, 1)


def _strewn(days: Days) -> tuple[Int, Float, Float]:
    """The same by all zeros of a day, while the other slots keep their level and roughness."""
    share = np.where(days.seen & (days.total > 0), days.zero_share, np.nan)
    sharp, rise, at = step(share, DROPPED_VARIANCE)
    rest = np.where(np.isfinite(share), days.total / np.maximum(days.have - days.zero, 1), np.nan)
    rough = days.table.features[:, :, NAMES.index("roughness")].astype(np.float64)
    found, was, now = np.full(len(share), -1), np.zeros(len(share)), np.zeros(len(share))
    hit = (sharp >= SHARP_DROPPED) & (rise > FEWEST_DROPPED) & (rise < MOST_DROPPED)
    for row in np.flatnonzero(hit).tolist():
        day = int(at[row])
        level = np.nanmedian(rest[row, day:]) / max(float(np.nanmedian(rest[row, :day])), 1.0)
        former = float(np.nanmedian(rough[row, : day // 7]))
        rougher = float(np.nanmedian(rough[row, -(-day // 7) :])) / max(former, 1e-9)
        was[row], now[row] = np.nanmedian(share[row, :day]), np.nanmedian(share[row, day:])
        strewn = float(np.nanmean(share[row, day:] > was[row] + FEWEST_DROPPED / 2))
        enough = rougher > (0.8 if was[row] < FEWEST_DROPPED / 2 else 1.0)
        if was[row] < 0.65 and strewn > 0.7 and 0.6 < level < 1.7 and enough:
            found[row] = day
    return found, was, now


def _silent(days: Days) -> list[Fault]:
    """A meter of which many slots never arrive, to the last day seen: the path to it is bad."""
    if days.count < SILENT_DAYS:
        return []
    tail = days.have[:, -SILENT_DAYS:]
    share = 1 - tail.sum(axis=1) / np.maximum(days.slots * SILENT_DAYS, 1)
    bad = days.used & (share > SILENT) & (tail[:, -1] > 0)
    return [
        Fault(
            row, "communication", days.day(days.count - SILENT_DAYS), None, "warning",
            f"{share[row]:.0%} of the last {SILENT_DAYS} days' slots never arrived",
        )
        for row in np.flatnonzero(bad).tolist()
    ]  # fmt: skip
