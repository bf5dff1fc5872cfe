"""Loads that several meters make up: one after the other, by formula, or with a share of generation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from models.bill_cycles import Contract, Term
from models.calendar import local_day
from models.loads import Loads
from models.series import Int
from schemas.quality import Quality

__all__ = ["compose", "share_of"]

NOTHING = np.iinfo(np.int8).max
"""Quality of a slot that no meter counts in."""
FITS = 1 << 62


def compose(loads: Loads, contracts: Sequence[Contract]) -> Loads:
    """The loads of contracts with terms, from those of their meters.

    A slot is the exact sum of its terms, and its quality that of the worst of them. A slot in which no term
    counts, or one whose meter is not among the loads, is MISSING.

    Args:
        loads: Of meters, of one interval length.
        contracts: Those without a meter among the loads are left out.

    Returns:
        A row a chain of contracts.
    """
    terms: dict[str, list[Term]] = defaultdict(list)
    for contract in contracts:
        terms[contract.load] += contract.terms
    terms = {name: mine for name, mine in terms.items() if any(t.meter_id in loads.row_of for t in mine)}
    shape = len(terms), loads.grid.slots
    made = Loads(
        grid=loads.grid,
        names=list(terms),
        units=[_unit(loads, mine) for mine in terms.values()],
        imported=np.zeros(shape, np.int64),
        exported=None if loads.exported is None else np.zeros(shape, np.int64),
        exports=np.zeros((len(terms), loads.grid.days), np.bool_),
        first_day=np.array([_first_day(loads, mine) for mine in terms.values()], np.int64),
        quality=np.full(shape, NOTHING, np.int8),
        reactive={
            channel: (np.zeros(shape, np.int64), np.full(shape, NOTHING, np.int8))
            for channel in loads.reactive
        },
    )
    for row, mine in enumerate(terms.values()):
        for term in mine:
            _add(made, row, loads, term)
    for quality in (made.quality, *(codes for _, codes in made.reactive.values())):
        quality[quality == NOTHING] = Quality.MISSING
    return made


def _add(made: Loads, row: int, loads: Loads, term: Term) -> None:
    low, high = _columns(loads, term)
    source = loads.row_of.get(term.meter_id)
    quality = made.quality[row, low:high]
    if source is None:
        quality[:] = Quality.MISSING
        return
    np.minimum(quality, loads.quality[source, low:high], out=quality)
    fed = None if loads.exported is None else loads.exported[source, low:high]
    if fed is not None and made.exported is not None:
        made.exported[row, low:high] += term.sign * (fed if term.share is None else _part(fed, *term.share))
        made.exports[row] |= loads.exports[source]
    if term.share is not None:
        return
    made.imported[row, low:high] += term.sign * loads.imported[source, low:high]
    for channel, (energy, codes) in loads.reactive.items():
        mine, worst = made.reactive[channel]
        mine[row, low:high] += term.sign * energy[source, low:high]
        np.minimum(worst[row, low:high], codes[source, low:high], out=worst[row, low:high])


def _columns(loads: Loads, term: Term) -> tuple[int, int]:
    """Slots of the grid that start in a term's seconds, [first, end)."""
    grid = loads.grid
    first, end = (-(-(second - grid.origin) // grid.interval_s) for second in (term.start, term.end))
    return min(max(first, 0), grid.slots), min(max(end, 0), grid.slots)


def _part(fed: Int, low: Fraction, high: Fraction) -> Int:
    """``share_of`` each slot."""
    if int(np.abs(fed).max(initial=0)) * max(low.numerator, high.numerator, 1) >= FITS:
        return np.array([share_of(e, low, high) for e in fed.tolist()], np.int64)
    part: Int = share_of(fed, low, high)
    return part


def share_of(energy: Any, low: Fraction, high: Fraction) -> Any:
    """Whole micro-units between two edges of a share: parts whose edges meet leave nothing over.

    Args:
        energy: An integer, or an array of them whose products fit 64 bits.
        low: Lower edge, 0 to 1.
        high: Upper edge.
    """
    return energy * high.numerator // high.denominator - energy * low.numerator // low.denominator


def _first_day(loads: Loads, terms: Sequence[Term]) -> int:
    """First epoch day of a load's range: that of the member whose range begins last.

    A member's begins with that of its first meter; later ones may leave a gap, which is no end of range.
    """
    of_point: dict[str, Term] = {}
    for term in terms:
        if term.share is None and term.meter_id in loads.row_of:
            known = of_point.setdefault(term.point, term)
            of_point[term.point] = min(known, term, key=lambda t: (t.start, t.meter_id))
    days = [
        max(int(loads.first_day[loads.row_of[term.meter_id]]), local_day(loads.grid.zone, term.start))
        for term in of_point.values()
    ]
    return max(days, default=loads.grid.first_day)


def _unit(loads: Loads, terms: Sequence[Term]) -> str:
    """Unit of what is drawn; where meters measure several, all of them."""
    found = {
        loads.units[loads.row_of[term.meter_id]]
        for term in terms
        if term.share is None and term.meter_id in loads.row_of
    }
    return " and ".join(sorted(found))
