"""Who is billed for which load on which tariff and days: service points in time, and loads by formula."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache

from models.bill_cycles import Contract, Term
from models.calendar import epoch_day, local_day, local_midnight
from models.master import FOREVER, MasterData, Span
from schemas.tariff import BillingRules, Effective

__all__ = ["ContractBook", "contract_book", "meter_contracts"]

Seconds = tuple[int, int]


@dataclass(frozen=True)
class _Piece:
    """A load on one tariff for one account in the seconds [start, end)."""

    point: str
    start: int
    end: int
    account: str
    tariff: str | None
    cycle: int
    commodity: str

    @property
    def head(self) -> tuple[str, str | None, int]:
        """What makes it one contract with the piece before."""
        return self.account, self.tariff, self.cycle


@dataclass(frozen=True)
class ContractBook:
    """All contracts of a lake.

    Attributes:
        plain: Contracts of chains whose load is that of one meter with one interval length, by meter.
        composed: The others: several meters in turn, several interval lengths, formulas, shares.
    """

    plain: dict[str, list[Contract]]
    composed: list[Contract]

    @cached_property
    def every(self) -> list[Contract]:
        """Plain and composed ones."""
        return [contract for mine in self.plain.values() for contract in mine] + self.composed

    def meters(self, contract: Contract) -> list[str]:
        """Meters that a contract's bills depend on."""
        return [term.meter_id for term in contract.terms] if contract.terms else [contract.load]


@lru_cache(maxsize=2)
def contract_book(master: MasterData, rules: BillingRules, zone: str) -> ContractBook:
    """The contracts of all service points and loads by formula.

    A local day counts to the contract in force when it begins. Where nothing is in force before, a
    contract begins with its first whole day; where nothing follows, it ends with its last.

    Args:
        master: Service points.
        rules: Loads by formula and shares of generation.
        zone: Of the local days.
    """
    meterings: dict[str, list[_Metering]] = defaultdict(list)
    lengths: dict[str, set[int]] = defaultdict(set)
    pieces: dict[str, list[_Piece]] = defaultdict(list)
    for meter, spans in master.spans.items():
        for span in spans:
            version = span.version
            metering = max(span.start, 0), span.end, meter, version.interval_s
            meterings[version.service_point_id].append(metering)
            lengths[meter].add(version.interval_s)
            if version.role == "customer" and version.account_id:
                pieces[version.service_point_id].append(_of_span(span))
    for load in rules.loads:
        for point in load.instead_of:
            if point in pieces:
                pieces[point] = _without(pieces[point], _seconds(load.effective, zone))
    sources = _formulas(rules, zone)
    for load in rules.loads:
        start, end = _seconds(load.effective, zone)
        head = load.account, load.tariff, load.bill_cycle_day, load.commodity
        pieces[load.id].append(_Piece(load.id, start, end, *head))
    made = {point: _contracts(sorted(mine, key=lambda p: p.start), zone) for point, mine in pieces.items()}
    shares = _shares(rules, zone)
    plain: dict[str, list[Contract]] = defaultdict(list)
    composed: list[Contract] = []
    for point, contracts in made.items():
        mine = sorted(meterings.get(point, ()))
        meters = {meter for _, _, meter, _ in mine}
        if (
            point not in sources
            and point not in shares
            and len(meters) == 1
            and all(len(lengths[m]) == 1 for m in meters)
        ):
            (meter,) = meters
            plain[meter] += [replace(contract, load=meter) for contract in contracts]
            continue
        own = sources.get(point, [(0, FOREVER, point, 1, None)]) + shares.get(point, [])
        composed += [_composed(contract, own, meterings, zone) for contract in contracts]
    return ContractBook(dict(plain), composed)


def meter_contracts(meter: str, spans: Sequence[Span], zone: str) -> list[Contract]:
    """Tariffs of a meter in time, whatever else the bills of its service points count; with part days."""
    pieces = [_of_span(span) for span in spans if span.version.role == "customer" and span.version.account_id]
    by_point: list[list[_Piece]] = []
    for piece in pieces:
        if by_point and by_point[-1][-1].point == piece.point:
            by_point[-1].append(piece)
        else:
            by_point.append([piece])
    found = [contract for mine in by_point for contract in _contracts(mine, zone, part_days=True)]
    return [replace(contract, load=meter) for contract in found]


def _of_span(span: Span) -> _Piece:
    version = span.version
    head = version.account_id, version.tariff_id, version.bill_cycle_day, version.commodity
    return _Piece(version.service_point_id, max(span.start, 0), span.end, *head)


def _seconds(effective: Effective, zone: str) -> Seconds:
    """First and last day in force as seconds [start, end)."""
    start = local_midnight(zone, epoch_day(effective.from_))
    return start, FOREVER if effective.to is None else local_midnight(zone, epoch_day(effective.to) + 1)


def _without(pieces: list[_Piece], gap: Seconds) -> list[_Piece]:
    """What is left of pieces outside some seconds."""
    left = []
    for piece in pieces:
        for start, end in ((piece.start, min(piece.end, gap[0])), (max(piece.start, gap[1]), piece.end)):
            if start < end:
                left.append(replace(piece, start=start, end=end))
    return left


_Source = tuple[int, int, str, int, tuple[Fraction, Fraction] | None]
"""Seconds [start, end) in which the meters of a service point count, with sign or share."""
_Metering = tuple[int, int, str, int]
"""Seconds [start, end) in which a meter is at a service point, the meter, and the length of its slots."""


def _formulas(rules: BillingRules, zone: str) -> dict[str, list[_Source]]:
    found: dict[str, list[_Source]] = defaultdict(list)
    for load in rules.loads:
        for point, sign in load.terms:
            found[load.id].append((*_seconds(load.effective, zone), point, sign, None))
    return found


def _shares(rules: BillingRules, zone: str) -> dict[str, list[_Source]]:
    found: dict[str, list[_Source]] = defaultdict(list)
    for sharing in rules.shares:
        below = Fraction(0)
        for point, share in sharing.to:
            edges = below, below + Fraction(share)
            found[point].append((*_seconds(sharing.effective, zone), sharing.service_point, 1, edges))
            below = edges[1]
    return found


def _contracts(pieces: Sequence[_Piece], zone: str, *, part_days: bool = False) -> list[Contract]:
    """Contracts of one service point; pieces that touch and change nothing about billing are one.

    With ``part_days`` those begin and end with a day of which only a part is theirs.
    """
    found: list[Contract] = []
    before: _Piece | None = None
    for piece in pieces:
        touches = before is not None and before.end == piece.start
        first = local_day(zone, piece.start)
        first += local_midnight(zone, first) < piece.start and (touches or not part_days)
        last = None if piece.end >= FOREVER else local_day(zone, piece.end - part_days) - (not part_days)
        if touches and before is not None and found and before.head == piece.head:
            found[-1] = replace(found[-1], last_day=last)
        else:
            if touches and found and found[-1].last_day is not None:
                found[-1] = replace(found[-1], last_day=first - 1)
            head = piece.account, "", piece.commodity, piece.tariff, piece.cycle
            found.append(Contract(piece.point, *head, first, last))
        before = piece
    return [c for c in found if c.last_day is None or c.last_day >= c.first_day]


def _composed(
    contract: Contract,
    sources: Sequence[_Source],
    meterings: dict[str, list[_Metering]],
    zone: str,
) -> Contract:
    """A contract with the meters that make up its load."""
    low = local_midnight(zone, contract.first_day)
    high = FOREVER if contract.last_day is None else local_midnight(zone, contract.last_day + 1)
    terms, lost = [], set()
    for start, end, point, sign, share in sources:
        if point not in meterings and start < high and low < end:
            lost.add(point)
        for since, until, meter, interval in sorted(meterings.get(point, ())):
            first, last = max(start, since, low), min(end, until, high)
            if first < last:
                terms.append(Term(point, meter, first, last, interval, sign, share))
    lack = f"no service point {', '.join(sorted(lost))}, expected one with a meter" if lost else ""
    name = f"{contract.service_point_id}\n{contract.account_id}"
    formula = contract.service_point_id not in meterings
    return replace(contract, load=name, terms=tuple(terms), lack=lack, formula=formula)
