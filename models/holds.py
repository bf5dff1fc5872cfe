"""Bills that a finding holds: a rule of severity ``hold-billing`` hit a day of their period (docs/vee.md)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from models.bill_cycles import BillingPeriod, Contract
from models.calendar import day_date, local_day

__all__ = ["Holds", "holds_of"]


@dataclass(frozen=True)
class Holds:
    """Findings that hold bills.

    Attributes:
        of_meter: (epoch day, rule) of each meter that has any, sorted.
    """

    of_meter: Mapping[str, Sequence[tuple[int, str]]] = field(default_factory=dict)

    def reason(self, period: BillingPeriod, zone: str) -> str:
        """Rule and day that hold a bill first; empty where none does."""
        holds = [
            hold
            for meter, first, last in _meters(period.contract, zone)
            for hold in self.of_meter.get(meter, ())
            if max(first, period.first) <= hold[0] <= min(last, period.last)
        ]
        if not holds:
            return ""
        day, rule = min(holds)
        return f"held by the rule {rule} on {day_date(day)}"


def holds_of(days: pa.Table) -> Holds:
    """Days and rules that hold bills.

    Args:
        days: Rows of the ``days`` table, at least its key and ``findings``.
    """
    found = days["findings"].combine_chunks()
    found = pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found
    items = found.flatten()
    if not len(items):
        return Holds()
    holding = pc.equal(items.field("severity"), "hold-billing")
    rows = pc.list_parent_indices(found).filter(holding)
    meters = days["meter_id"].cast(pa.string()).take(rows).to_pylist()
    numbers = days["local_day"].cast(pa.int32()).take(rows).to_pylist()
    of_meter: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for meter, day, rule in zip(
        meters, numbers, items.field("rule").filter(holding).to_pylist(), strict=True
    ):
        of_meter[meter].add((day, rule))
    return Holds({meter: sorted(mine) for meter, mine in of_meter.items()})


def _meters(contract: Contract, zone: str) -> Iterator[tuple[str, int, int]]:
    """Meters of a load and the first and last epoch day on which each counts."""
    if not contract.terms:
        yield contract.load, contract.first_day, contract.first_day + (1 << 40)
    for term in contract.terms:
        yield term.meter_id, local_day(zone, term.start), local_day(zone, term.end - 1)
