"""What a bill takes from stretches of slots of different lengths, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np

from models.series import Int
from models.series_energy import Priceless
from models.slot_quantities import Coincident, Quantities
from models.tou import Periods

__all__ = ["join_quantities"]


def join_quantities(parts: Sequence[Quantities], first_days: Sequence[int]) -> Quantities:
    """The quantities of bills whose slots have one length after another.

    Energy adds up, in time order; the highest demand is the highest of the parts, as every window lies
    within one of them.

    Args:
        parts: Of the same bills and tariff version, in time order.
        first_days: First epoch day of each part; a day on which the length changes is in both.
    """
    if len(parts) == 1:
        return parts[0]
    feeds = any(part.fed is not None for part in parts)
    return Quantities(
        periods=_periods([part.periods for part in parts], first_days),
        drawn=np.concatenate([part.drawn for part in parts], axis=1),
        fed=np.concatenate([_fed(part) for part in parts], axis=1) if feeds else None,
        peaks=_highest([part.peaks for part in parts]),
        coincident={
            key: _coincident([part.coincident[key] for part in parts]) for key in parts[0].coincident
        },
        events={key: sum_of([part.events[key] for part in parts]) for key in parts[0].events},
        series={key: _priced([part.series[key] for part in parts]) for key in parts[0].series},
        reactive={
            key: (sum_of([p.reactive[key][0] for p in parts]), sum_of([p.reactive[key][1] for p in parts]))
            for key in parts[0].reactive
        },
    )


def sum_of(arrays: Sequence[Int]) -> Int:
    """Σ of arrays of one shape."""
    return reduce(np.add, arrays)


def _fed(part: Quantities) -> Int:
    return np.zeros_like(part.drawn) if part.fed is None else part.fed


def _periods(parts: Sequence[Periods], first_days: Sequence[int]) -> Periods:
    starts = np.cumsum([0, *(len(part.of_slot) for part in parts[:-1])]).tolist()
    return Periods(
        names=parts[0].names,
        of_slot=np.concatenate([part.of_slot for part in parts]),
        edges=np.concatenate([part.edges + start for part, start in zip(parts, starts, strict=True)]),
        run_period=np.concatenate([part.run_period for part in parts]),
        run_day=np.concatenate(
            [part.run_day + day - first_days[0] for part, day in zip(parts, first_days, strict=True)]
        ),
    )


def _highest(parts: Sequence[Mapping[tuple[str, ...], Int]]) -> dict[tuple[str, ...], Int]:
    return {key: reduce(np.maximum, [part[key] for part in parts]) for key in parts[0]}


def _coincident(parts: Sequence[Coincident]) -> Coincident:
    """The highest of each event; one that lies in two parts is still one."""
    events = sorted({event for part in parts for event in part.events})
    power = np.zeros((len(parts[0].power), len(events)), np.int64)
    for part in parts:
        at = [events.index(event) for event in part.events]
        power[:, at] = np.maximum(power[:, at], part.power)
    return Coincident(tuple(events), power)


def _priced(parts: Sequence[Priceless]) -> Priceless:
    decimals = max(part.decimals for part in parts)
    products = [[product * 10 ** (decimals - part.decimals) for product in part.products] for part in parts]
    return Priceless(
        sum_of([part.energy for part in parts]), [sum(each) for each in zip(*products, strict=True)], decimals
    )
