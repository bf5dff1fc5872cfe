"""Which bills are held for what their slots are worth, and why."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

import numpy as np

from models.loads import Codes
from models.series import Int
from schemas.quality import Quality
from schemas.tariff import Holding

__all__ = ["SlotCounts", "count_slots", "holding_reasons"]

SAID = {
    "missing": "slots have no value",
    "failed": "slots failed and were not replaced",
    "estimated": "slots are estimated",
    "edited": "slots are edited",
}


@dataclass(frozen=True)
class SlotCounts:
    """Slots of n bills by what they are worth; (n,) each."""

    missing: Int
    failed: Int
    estimated: Int
    edited: Int


def count_slots(quality: Codes) -> SlotCounts:
    """Count slots of bills.

    Args:
        quality: ``Quality`` of each slot; (n, slots).
    """

    def of(*codes: Quality) -> Int:
        found: Int = sum(
            ((quality == code).sum(axis=1) for code in codes), start=np.zeros(len(quality), np.int64)
        )
        return found

    return SlotCounts(
        missing=of(Quality.MISSING),
        failed=of(Quality.FAILED),
        estimated=of(Quality.ESTIMATED, Quality.SUBSTITUTED),
        edited=of(Quality.EDITED),
    )


def holding_reasons(counts: SlotCounts, slots: int, limits: Holding) -> list[str]:
    """Why each bill is held, with figure and limit; empty where it is not.

    Args:
        counts: Of n bills.
        slots: Of each.
        limits: Greatest shares of the slots; a bill at the limit is not held.
    """
    reasons: list[list[str]] = [[] for _ in range(len(counts.missing))]
    for name, said in SAID.items():
        limit: Decimal = getattr(limits, name)
        numbers: Int = getattr(counts, name)
        for row in np.flatnonzero(numbers).tolist():
            number = int(numbers[row])
            if number > limit * slots:
                share = (Decimal(100 * number) / slots).quantize(Decimal("0.01"), ROUND_HALF_UP)
                most = f"{(100 * limit).normalize():f}"
                reasons[row].append(f"{number} of {slots} {said}: {share} %, at most {most} %")
    return ["; ".join(each) for each in reasons]
