"""Estimates from a check meter: what it measured in the same slot."""

from __future__ import annotations

import numpy as np

from models.gaps import Gaps
from models.series import Bool, Int, SeriesFacts
from schemas.channels import CHECKED_BY
from schemas.estimators import CheckStep
from schemas.rulepack import RulePack

__all__ = ["check", "check_rows"]


def check(gaps: Gaps, left: Int, step: CheckStep, pack: RulePack) -> tuple[Int, Bool]:
    """The value of the check channel where it is good, nothing else; (k,) each."""
    row, column = check_rows(gaps.facts)[gaps.series[left]], gaps.column[left]
    at = np.maximum(row, 0)
    return gaps.facts.value[at, column], (row >= 0) & gaps.checked.good[at, column]


def check_rows(facts: SeriesFacts) -> Int:
    """Row of the check channel of each series, −1 where its meter has none; (n,)."""
    rows = np.full(facts.count, -1, np.int64)
    if facts.meter is None or not facts.channels:
        return rows
    place = {key: row for row, key in enumerate(zip(facts.meter.tolist(), facts.channels, strict=True))}
    for (meter, channel), row in place.items():
        rows[row] = place.get((meter, CHECKED_BY.get(channel, "")), -1)
    return rows
