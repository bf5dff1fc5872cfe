"""From which day on an account is priced anew: where nothing was handed on, earlier bills do not matter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from models.bill_cycles import Contract
from models.calendar import epoch_day
from models.shard_scope import EVER
from pipelines.store.lake import Lake
from schemas.lake import BILLS

__all__ = ["Reach", "bill_starts", "first_states", "reaches"]


@dataclass(frozen=True)
class Reach:
    """What is known of a meter's results.

    Attributes:
        first, last: Days, inclusive, that all of its channels have results on; epoch days.
        lengths: How many interval lengths it has had.
    """

    first: int
    last: int
    lengths: int


NOTHING = Reach(0, EVER, 0)


def reaches(series: pa.Table) -> dict[str, Reach]:
    """What is known of each meter.

    Args:
        series: Range of results of every series: the table of that name.
    """
    columns = (series[name].to_pylist() for name in ("meter_id", "first_day", "last_day", "interval_s"))
    of: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for meter, first, last, interval in zip(*columns, strict=True):
        of[meter].append((epoch_day(first), epoch_day(last), interval))
    return {
        meter: Reach(max(r[0] for r in mine), min(r[1] for r in mine), len({r[2] for r in mine}))
        for meter, mine in of.items()
    }


def bill_starts(
    wanted: Mapping[str, int],
    contracts: Collection[Contract],
    meters: Mapping[str, Reach],
    states: Mapping[str, int],
    last: int,
) -> dict[int, set[str]]:
    """Accounts by the epoch day from which their bills are priced; ``EVER`` for all of them.

    An account begins with the first period that is due or changed, if each of its loads is one meter that has
    results on every day from there to ``last``, and if no bill before has a state to hand on. (A held bill
    hands on what it was given and tells no state, so it is not enough to look at the last one.)

    Args:
        wanted: First day of the first period to price of each account; ``EVER`` for all.
        contracts: Of these accounts.
        meters: What is known of each meter.
        states: First day of the first bill with a state, of each account that has one.
        last: Last closed epoch day.
    """
    found: dict[str, int] = dict(wanted)
    for contract in contracts:
        reach = meters.get(contract.load, NOTHING)
        covered = reach.first <= wanted[contract.account_id] and last <= reach.last and reach.lengths == 1
        if contract.terms or contract.formula or not covered:
            found[contract.account_id] = EVER
    starts: dict[int, set[str]] = defaultdict(set)
    for account, start in sorted(found.items()):
        starts[EVER if states.get(account, start) < start else start].add(account)
    return dict(sorted(starts.items()))


def first_states(lake: Lake) -> dict[str, int]:
    """First day of the first bill with a state to hand on, of each account that has one."""
    bills = lake.current(BILLS.name, columns=["account_id", "period_start", "state"])
    held = bills.filter(pc.is_valid(bills["state"])).select(["account_id", "period_start"])
    least = held.group_by("account_id", use_threads=False).aggregate([("period_start", "min")])
    days = map(epoch_day, least["period_start_min"].to_pylist())
    return dict(zip(least["account_id"].to_pylist(), days, strict=True))
