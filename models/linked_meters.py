"""Linked meters: meters that stand, or once were said to stand, at one service point (SEMANTICS)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

__all__ = ["Claim", "linked_components"]

Claim = tuple[int, int, str]
"""A version of a service point: seconds [start, end) and its meter."""


def linked_components(named: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The least meter of the component of every meter that is linked with another.

    Two meters are linked where any version ever received of one service point names both: what is linked
    stays linked, however master data are corrected.

    Args:
        named: (service point, meter) of every version ever received.
    """
    of_point: dict[str, set[str]] = defaultdict(set)
    for point, meter in named:
        if meter:
            of_point[point].add(meter)
    least: dict[str, str] = {}

    def root(meter: str) -> str:
        while least.setdefault(meter, meter) != meter:
            meter = least[meter]
        return meter

    for meters in of_point.values():
        if len(meters) > 1:
            roots = sorted({root(meter) for meter in meters})
            least.update(dict.fromkeys(roots, roots[0]))
    return {meter: root(meter) for meter in sorted(least)}
