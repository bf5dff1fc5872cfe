"""Bills of many service points from their slots, each beginning with the state of the one before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from models.bill_chains import Chains
from models.bill_cycles import BillingPeriod, Contract, billing_periods
from models.bill_parts import bill_parts
from models.bill_prices import Prices
from models.due_bills import DueBills, LoadPart
from models.holds import Holds
from models.interval_parts import IntervalPart, interval_parts
from models.loads import Loads

__all__ = ["bill_loads"]

Key = tuple[int, int, str, Sequence[IntervalPart]]


def bill_loads(
    loads: Sequence[Loads], contracts: Sequence[Contract], prices: Prices, last_closed: int, holds: Holds
) -> pa.Table:
    """Every due bill of some contracts, oldest first within each chain.

    A held bill hands on the state that it was given.

    Args:
        loads: Slots, by length of interval; they must reach back to the first bill of each contract.
        contracts: All of their chains, so that states are handed on; those without a known tariff are not
            billed.
        prices: Tariffs, events, series and limits.
        last_closed: Last closed epoch day.
        holds: Findings that hold bills.

    Returns:
        ``PARTS``, one row a (service point, account, period).
    """
    number = {chain: row for row, chain in enumerate(dict.fromkeys(c.chain for c in contracts))}
    chains, bills = Chains(len(number)), []
    of_length = {each.grid.interval_s: each for each in loads}
    for (*_, parts), due in sorted(_groups(of_length, contracts, prices, last_closed).items()):
        group = DueBills(
            periods=[each.period for each in due],
            chained=np.array([number[each.period.contract.chain] for each in due], np.int64),
            parts=[
                LoadPart(
                    of_length[part.interval_s],
                    np.array([each.rows[part.interval_s] for each in due], np.int64),
                    part.start,
                    part.end,
                )
                for part in parts
            ],
        )
        priced = group.priced(prices, chains, holds)
        if priced is not None:
            bills.append(priced)
    return bill_parts(bills)


@dataclass(frozen=True)
class _Due:
    """A due bill, and the row of its load by length of interval [s]."""

    period: BillingPeriod
    rows: Mapping[int, int]


def _groups(
    loads: Mapping[int, Loads], contracts: Sequence[Contract], prices: Prices, last_closed: int
) -> dict[Key, list[_Due]]:
    """Due bills that are priced together: of equal days, tariff and lengths of interval."""
    groups: dict[Key, list[_Due]] = defaultdict(list)
    for contract in contracts:
        if contract.tariff_id is None or not (contract.formula or contract.tariff_id in prices.book):
            continue
        rows = {
            length: each.row_of[contract.load]
            for length, each in loads.items()
            if contract.load in each.row_of
        }
        first_day = min((int(loads[length].first_day[row]) for length, row in rows.items()), default=None)
        for period in billing_periods(contract, first_day, last_closed) if first_day is not None else ():
            inside = [
                length
                for length in rows
                if loads[length].grid.first_day <= period.first and period.last <= loads[length].grid.last_day
            ]
            if inside:
                parts = interval_parts(period, loads[inside[0]].grid.zone, inside)
                groups[period.first, period.last, contract.tariff_id, parts].append(_Due(period, rows))
    return groups
