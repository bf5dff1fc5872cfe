"""Master data in time: which service-point version holds for a meter at a second."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from models.linked_meters import Claim, linked_components
from models.series import Bool, Int

FOREVER = 1 << 33
"""Second after every date in use; also the width of a meter's range in a lookup key."""
MICROS = 1_000_000
INACTIVE = frozenset({"inactive", "closed"})
DISCONNECTED = INACTIVE | {"disconnected"}


@dataclass(frozen=True)
class Version:
    """One service-point version as received; see DESIGN.md, ServicePoint."""

    service_point_id: str
    meter_id: str
    account_id: str
    role: str
    commodity: str
    tariff_id: str | None
    bill_cycle_day: int
    interval_s: int
    channels: tuple[str, ...]
    multiplier: Fraction
    dials: int | None
    capacity_kw: Fraction | None
    feeder_id: str | None
    transformer_id: str | None
    customer_class: str | None
    status: str
    valid_from: int
    valid_to: int

    @property
    def disconnected(self) -> bool:
        """Whether nothing is expected to flow."""
        return self.status.lower() in DISCONNECTED

    @property
    def inactive(self) -> bool:
        """Whether nobody is served at all."""
        return self.status.lower() in INACTIVE


@dataclass(frozen=True)
class Span:
    """Seconds [start, end) in which a version holds for its meter.

    ``metering`` counts the changes of service point, multiplier and dials before it.
    """

    start: int
    end: int
    version: Version
    metering: int


class MasterData:
    """The service-point versions that hold, by meter and second.

    Args:
        versions: All versions ever received (repeats and corrections included), any order.

    Attributes:
        spans: Spans of each meter in time order.
        contested: Seconds from which two service points claim a meter.
        claims: Times of linked meters at each service point by the versions that hold, in time order.
        linked: The least meter of the component of each linked meter.
    """

    def __init__(self, versions: list[tuple[tuple[Any, ...], Version]]) -> None:
        self.empty = not versions
        held: dict[tuple[str, int], tuple[tuple[Any, ...], Version]] = {}
        for order, version in versions:
            key = version.service_point_id, version.valid_from
            if key not in held or held[key][0] < order:
                held[key] = order, version
        self.versions = [version for _, version in sorted(held.values(), key=lambda item: _key(item[1]))]
        self.spans: dict[str, list[Span]] = {}
        self.contested: dict[str, list[int]] = defaultdict(list)
        self.linked = linked_components(
            (version.service_point_id, version.meter_id) for _, version in versions
        )
        self.claims: dict[str, list[Claim]] = defaultdict(list)
        claims: dict[str, list[tuple[int, int, Version]]] = defaultdict(list)
        for number, here in enumerate(self.versions):
            end = here.valid_to
            following = self.versions[number + 1] if number + 1 < len(self.versions) else None
            if following is not None and following.service_point_id == here.service_point_id:
                end = min(end, following.valid_from)
            if end > here.valid_from and here.meter_id:
                claims[here.meter_id].append((here.valid_from, end, here))
                if here.meter_id in self.linked:
                    self.claims[here.service_point_id].append((here.valid_from, end, here.meter_id))
        for meter, mine in claims.items():
            self.spans[meter] = self._timeline(meter, mine)

    def _timeline(self, meter: str, claims: list[tuple[int, int, Version]]) -> list[Span]:
        """Cut overlapping claims: the greatest (valid_from, service_point_id) holds."""
        if len(claims) == 1:
            return [Span(*claims[0], metering=0)]
        edges = sorted({edge for start, end, _ in claims for edge in (start, end)})
        spans: list[Span] = []
        for start, end in pairwise(edges):
            over = [claim for claim in claims if claim[0] <= start and claim[1] >= end]
            if len({claim[2].service_point_id for claim in over}) > 1:
                self.contested[meter].append(start)
            if not over:
                continue
            version = max(over, key=lambda claim: (claim[0], claim[2].service_point_id))[2]
            metering = 0
            if spans:
                last = spans[-1].version
                same = (last.service_point_id, last.multiplier, last.dials) == (
                    version.service_point_id,
                    version.multiplier,
                    version.dials,
                )
                metering = spans[-1].metering + (not same or spans[-1].end != start)
            if spans and spans[-1].version is version and spans[-1].end == start:
                spans[-1] = Span(spans[-1].start, end, version, spans[-1].metering)
            else:
                spans.append(Span(start, end, version, metering))
        return spans

    @cached_property
    def _index(self) -> tuple[dict[str, int], Int, Int, list[Span]]:
        meters = {meter: number for number, meter in enumerate(sorted(self.spans))}
        flat = [(number, span) for meter, number in meters.items() for span in self.spans[meter]]
        starts = np.array([number * FOREVER + max(span.start, 0) for number, span in flat], np.int64)
        ends = np.array([number * FOREVER + min(span.end, FOREVER - 1) for number, span in flat], np.int64)
        return meters, starts, ends, [span for _, span in flat]

    @cached_property
    def _one_each(self) -> bool:
        return all(len(spans) == 1 for spans in self.spans.values())

    @property
    def all_spans(self) -> list[Span]:
        """Every span; ``in_force`` answers with positions in this list."""
        return self._index[3]

    @cached_property
    def meterings(self) -> tuple[list[tuple[Fraction, int]], Int]:
        """Distinct (multiplier, dials), and the number of each span's; the last is (1, 0), for no span."""
        of_span = [(span.version.multiplier, span.version.dials or 0) for span in self.all_spans]
        number = {metering: i for i, metering in enumerate(dict.fromkeys([*of_span, (Fraction(1), 0)]))}
        codes = np.array([number[metering] for metering in [*of_span, (Fraction(1), 0)]], np.int64)
        return list(number), codes

    @cached_property
    def point_numbers(self) -> dict[str, int]:
        """Number of each service point."""
        points = {span.version.service_point_id for span in self.all_spans}
        return {point: number for number, point in enumerate(sorted(points))}

    @cached_property
    def points(self) -> Int:
        """Number of the service point of each span; −1 at the end, for no span."""
        of_span = [self.point_numbers[span.version.service_point_id] for span in self.all_spans]
        return np.array([*of_span, -1], np.int64)

    @cached_property
    def _ends(self) -> dict[tuple[str, int], str]:
        return {(point, end): meter for point, claims in self.claims.items() for _, end, meter in claims}

    def taken_over(self, span: Span) -> bool:
        """Whether a span begins where another meter's time at its service point ends."""
        former = self._ends.get((span.version.service_point_id, span.start))
        return former is not None and former != span.version.meter_id

    @cached_property
    def exchanges(self) -> Bool:
        """Spans whose meter came in another one's place; False at the end, for no span."""
        return np.array(
            [*(bool(self.linked) and self.taken_over(s) for s in self.all_spans), False], np.bool_
        )

    @cached_property
    def tenures(self) -> dict[str, list[Span]]:
        """Spans at each service point that linked meters were at, in time order."""
        found: dict[str, list[Span]] = defaultdict(list)
        for meter in self.linked:
            for span in self.spans.get(meter, ()):
                found[span.version.service_point_id].append(span)
        return {point: sorted(spans, key=lambda span: span.start) for point, spans in found.items()}

    @cached_property
    def interval_lengths(self) -> Int:
        """Interval length [s] of each span; 0 at the end, for no span."""
        return np.array([*(span.version.interval_s for span in self.all_spans), 0], np.int64)

    @cached_property
    def metering_changes(self) -> Int:
        """``Span.metering`` of each span; 0 at the end."""
        return np.array([*(span.metering for span in self.all_spans), 0], np.int64)

    def in_force(self, meters: pa.Array | pa.DictionaryArray, seconds: Int) -> Int:
        """Position in ``all_spans`` of the span that holds, −1 where none does; (k,).

        Args:
            meters: Meter ids, dictionary-encoded or plain, shape (k,).
            seconds: UTC seconds, shape (k,).
        """
        known, starts, ends, _ = self._index
        if not len(starts):
            return np.full(len(seconds), -1, np.int64)
        encoded = meters if isinstance(meters, pa.DictionaryArray) else meters.dictionary_encode()
        of_dictionary = np.array([known.get(m, -1) for m in encoded.dictionary.to_pylist()], np.int64)
        number = of_dictionary[encoded.indices.to_numpy(zero_copy_only=False)]
        key = number * FOREVER + np.clip(seconds, 0, FOREVER - 1)
        if self._one_each:  # as usual: nothing to look for
            return np.where((number >= 0) & (starts[number] <= key) & (key < ends[number]), number, -1)
        position = np.searchsorted(starts, key, side="right") - 1
        at = np.maximum(position, 0)
        inside: Bool = (number >= 0) & (position >= 0) & (key < ends[at]) & (starts[at] // FOREVER == number)
        return np.where(inside, position, -1)


def _key(version: Version) -> tuple[str, int]:
    return version.service_point_id, version.valid_from


def master_data(table: pa.Table | None) -> MasterData:
    """Master data from a RAW_SERVICE_POINTS table; None or no rows means there is none in the lake."""
    if table is None or not table.num_rows:
        return MasterData([])
    return MasterData([(_order(row), _version(row)) for row in table.to_pylist()])


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    """SEMANTICS: (received_at or −∞, sequence or −1, canonical bytes without source)."""
    received, sequence = row.get("received_at"), row.get("sequence")
    return (
        -(1 << 63) if received is None else received,
        -1 if sequence is None else sequence,
        _Content(row),
    )


class _Content:
    """Canonical text of a row without source and order; made when two rows are compared, which is seldom."""

    __slots__ = ("row",)

    def __init__(self, row: dict[str, Any]) -> None:
        self.row = row

    def __str__(self) -> str:
        held = sorted(
            (k, repr(v)) for k, v in self.row.items() if k not in ("source", "received_at", "sequence")
        )
        return repr(held)

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __lt__(self, other: _Content) -> bool:
        return str(self) < str(other)

    __hash__ = None  # type: ignore[assignment]


_fraction = lru_cache(maxsize=4096)(Fraction)
"""Multipliers and sizes are few."""


def _version(row: dict[str, Any]) -> Version:
    valid_to = row.get("valid_to")
    capacity = row.get("capacity_kw")
    return Version(
        service_point_id=row["service_point_id"],
        meter_id=row["meter_id"],
        account_id=row["account_id"],
        role=row["role"],
        commodity=row["commodity"],
        tariff_id=row.get("tariff_id"),
        bill_cycle_day=row["bill_cycle_day"],
        interval_s=row["interval_s"],
        channels=tuple(row["channels"] or ()),
        multiplier=_fraction(str(row["multiplier"] or "1")),
        dials=row.get("dials"),
        capacity_kw=None if capacity is None else _fraction(str(capacity)),
        feeder_id=row.get("feeder_id"),
        transformer_id=row.get("transformer_id"),
        customer_class=row.get("customer_class"),
        status=row["status"] or "active",
        valid_from=-(-row["valid_from"] // MICROS),
        valid_to=FOREVER if valid_to is None else -(-valid_to // MICROS),
    )
