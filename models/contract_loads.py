"""Loads of contracts: where a meter does not simply have one, its slots are put together stay by stay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from models.bill_cycles import Contract
from models.loads import Loads
from models.series import Int

__all__ = ["contract_loads"]


def contract_loads(
    loads: Loads, contracts: Sequence[Contract]
) -> Iterator[tuple[Loads, list[Contract], list[int], list[int]]]:
    """Contracts with the loads that they are billed from.

    Args:
        loads: Slots of meters; of a contract with several, all that ever reported are among them.
        contracts: Of these meters; those of no meter with slots are left out.

    Yields:
        Loads, contracts, the row of each, and the number of what it hands on from bill to bill: the meter's,
        or the service point's where meters are joined.
    """
    row_of = {meter: row for row, meter in enumerate(loads.meters)}
    known = [
        contract
        for contract in contracts
        if contract.interval_s == loads.grid.interval_s and any(meter in row_of for meter in contract.meters)
    ]
    parted = {meter for one in known if _parted(one, loads) for meter in one.meters}
    before = -1
    while len(parted) > before:  # what hands on its state to a joined contract is joined as well
        before = len(parted)
        parted |= {m for one in known if parted.intersection(one.meters) for m in one.meters}
    plain = [contract for contract in known if not parted.intersection(contract.meters)]
    if plain:
        rows = [row_of[contract.meter_id] for contract in plain]
        yield loads, plain, rows, rows
    joined = [contract for contract in known if parted.intersection(contract.meters)]
    if joined:
        points = sorted({contract.service_point_id for contract in joined})
        states = [points.index(contract.service_point_id) for contract in joined]
        yield _joined(loads, joined, row_of), joined, list(range(len(joined))), states


def _parted(contract: Contract, loads: Loads) -> bool:
    """Whether it has several meters, or begins or ends within a day of the grid."""
    return len(contract.meters) > 1 or any(
        at not in (low, high) and loads.grid.day_starts[0] < at < loads.grid.day_starts[-1]
        for at, low, high in _edges(contract, loads)
    )


def _edges(contract: Contract, loads: Loads) -> Iterator[tuple[int, int, int]]:
    """Beginning and end, each with the midnights before and after it."""
    starts = loads.grid.day_starts
    for at in (contract.stays[0].start, contract.stays[-1].end):
        day = int(np.clip(np.searchsorted(starts, at, side="right") - 1, 0, len(starts) - 2))
        yield at, int(starts[day]), int(starts[day + 1])


def _joined(loads: Loads, contracts: Sequence[Contract], row_of: dict[str, int]) -> Loads:
    """A row a contract: of each stay the slots that start in it."""
    grid, count = loads.grid, len(contracts)
    shape = (count, grid.slots)
    imported, lost, made = np.zeros(shape, np.int64), np.ones(shape, np.bool_), np.zeros(shape, np.bool_)
    exported = None if loads.exported is None else np.zeros(shape, np.int64)
    exports = np.zeros((count, grid.days), np.bool_)
    outside = np.ones(shape, np.bool_)
    first_day: Int = np.full(count, grid.last_day + 1, np.int64)
    for i, contract in enumerate(contracts):
        for stay in contract.stays:
            low, high = (
                min(max(-(-(at - grid.origin) // grid.interval_s), 0), grid.slots)
                for at in (stay.start, stay.end)
            )
            outside[i, low:high] = False
            row = row_of.get(stay.meter_id)
            if row is None or low >= high:
                continue
            here = slice(low, high)
            imported[i, here], lost[i, here] = loads.imported[row, here], loads.lost[row, here]
            made[i, here] = loads.made[row, here]
            if exported is not None and loads.exported is not None:
                exported[i, here] = loads.exported[row, here]
            days = slice(int(grid.day_of_slot[low]), int(grid.day_of_slot[high - 1]) + 1)
            exports[i, days] |= loads.exports[row, days]
            first_day[i] = min(first_day[i], max(loads.first_day[row], grid.first_day + days.start))
    meters = [contract.meter_id for contract in contracts]
    return Loads(grid, meters, imported, exported, exports, first_day, lost & ~outside, made, outside=outside)
