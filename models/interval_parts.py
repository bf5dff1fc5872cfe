"""Which length of slots a bill is measured in, from moment to moment."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import NamedTuple

from models.bill_cycles import BillingPeriod
from models.calendar import local_midnight

__all__ = ["IntervalPart", "interval_parts"]


class IntervalPart(NamedTuple):
    """Seconds [start, end) of a bill whose slots have one length [s]."""

    start: int
    end: int
    interval_s: int


def interval_parts(period: BillingPeriod, zone: str, known: Collection[int]) -> Sequence[IntervalPart]:
    """The parts of a bill by length of interval, in time order and without a gap.

    What no meter measures, or in a length of which there are no slots at all, goes with what is before it
    (at first, after it); where meters of several lengths count at once, the shortest is taken. Slots are
    then missing.

    Args:
        period: Of a contract with terms, or of one meter.
        zone: Of the local days.
        known: Lengths of interval of which there are slots, at least one. [s]
    """
    low, high = local_midnight(zone, period.first), local_midnight(zone, period.last + 1)
    if len(known) == 1:
        return (IntervalPart(low, high, *known),)
    terms = [term for term in period.contract.terms if term.share is None and term.interval_s in known]
    cuts = {edge for term in terms for edge in (term.start, term.end) if low < edge < high}
    parts: list[IntervalPart] = []
    for start, end in pairwise(sorted({low, high, *cuts})):
        here = [term.interval_s for term in terms if term.start <= start and end <= term.end]
        length = min(here, default=parts[-1].interval_s if parts else 0)
        if parts and parts[-1].interval_s in (0, length):
            parts[-1] = IntervalPart(parts[-1].start, end, length)
        else:
            parts.append(IntervalPart(start, end, length))
    return tuple(part if part.interval_s else part._replace(interval_s=min(known)) for part in parts)
