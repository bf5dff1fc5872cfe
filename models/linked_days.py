"""Which days of a linked meter are for the backfill: those within reach of an exchange (SEMANTICS)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from models.calendar import local_day
from models.dirty import Days, merge
from models.linked_meters import Claim
from models.master import FOREVER
from models.runs import REACH_BACK

__all__ = ["linked_days"]


def linked_days(
    meter: str,
    claims: Mapping[str, Sequence[Claim]],
    reads: Iterable[Sequence[int]],
    zone: str,
    longest: int,
) -> list[Days]:
    """Days of a linked meter whose result may depend on another meter, or on another service point.

    A day is one when its reach d − 35 … d + 1 holds a time of the meter at a service point, and a time of
    another meter at that point or of the meter at another one; and with it every day of the read intervals
    that hold it.

    Args:
        meter: A linked one.
        claims: Of every service point that names it, in time order.
        reads: Epoch days of the reads of each of its channels, sorted.
        zone: Of the local days.
        longest: Longest usable read interval. [days]

    Returns:
        Sorted disjoint epoch days.
    """
    found: list[Days] = []
    mine = [(point, claim) for point, of_point in claims.items() for claim in of_point if claim[2] == meter]
    for point, own in mine:
        others = [claim for claim in claims[point] if claim[2] != meter]
        others += [claim for other, claim in mine if other != point]
        low, high = _reach(own, zone)
        for other in others:
            first, last = _reach(other, zone)
            found.append((max(low, first), min(high, last)))
    days = merge(span for span in found if span[0] <= span[1])
    grown = list(days)
    for of_channel in reads:
        for before, after in pairwise(of_channel):
            if after - before <= longest + 1 and any(a <= after and b >= before for a, b in days):
                grown.append((before, after))
    return merge(grown)


def _reach(claim: Claim, zone: str) -> Days:
    """Days whose reach holds a moment of the claim."""
    start, end, _ = claim
    first = local_day(zone, max(start, 0)) - 1
    return first, local_day(zone, min(end, FOREVER) - 1) + REACH_BACK
