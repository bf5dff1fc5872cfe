"""Estimates from another channel of the meter: a check meter, last year, a day of like temperature."""

from __future__ import annotations

import numpy as np

from models.gaps import Gaps
from models.series import Bool, Int, SeriesFacts
from schemas.channels import BESIDE
from schemas.estimators import CheckStep, PreviousYearStep, ProxyDayStep
from schemas.rulepack import RulePack

__all__ = ["beside_channel", "rows_beside"]


def beside_channel(
    gaps: Gaps, left: Int, step: CheckStep | PreviousYearStep | ProxyDayStep, pack: RulePack
) -> tuple[Int, Bool]:
    """The value of the same slot in the channel beside, nothing else; (k,) each.

    A check meter's must be good; those of a reference are no measurements and stand as they came, but never
    below zero.
    """
    row, column = rows_beside(gaps.facts, step.method)[gaps.series[left]], gaps.column[left]
    at = np.maximum(row, 0)
    value = gaps.facts.value[at, column]
    found = gaps.checked.good if step.method == "check" else gaps.facts.have
    return value, (row >= 0) & found[at, column] & ((value >= 0) | (step.method == "check"))


def rows_beside(facts: SeriesFacts, method: str) -> Int:
    """Row of the channel that an estimator takes beside each series, −1 where its meter has none; (n,)."""
    rows = np.full(facts.count, -1, np.int64)
    if facts.meter is None or not facts.channels:
        return rows
    place = {key: row for row, key in enumerate(zip(facts.meter.tolist(), facts.channels, strict=True))}
    for (meter, channel), row in place.items():
        rows[row] = place.get((meter, BESIDE[method].get(channel, "")), -1)
    return rows
