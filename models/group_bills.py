"""Contracts and loads of a computed group, brought to the billing kernels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from models.bill_cycles import Contract, contracts_of
from models.bill_prices import Prices
from models.bill_run import bill_loads, daily_determinants
from models.days import slots_per_day
from models.loads import Loads
from models.master import MasterData
from models.shard_run import Computed
from schemas.lake import DETERMINANTS
from schemas.quality import Quality

BILLED = ("import", "volume", "heat", "cold")


def loads_of(computed: Computed, bought: dict[str, int]) -> Loads:
    """Final slots of the meters of a group that have a billed channel.

    Args:
        computed: The group.
        bought: Row of the billed channel of each meter, in order.
    """
    facts, result, names = computed.group.facts, computed.result, computed.group.names
    meters = list(bought)
    rows = np.array(list(bought.values()), np.int64)
    sold = {name[0]: i for i, name in enumerate(names) if name[1] == "export" and name[0] in bought}
    exports = np.zeros((len(meters), facts.grid.days), np.bool_)
    exported = None
    if sold:
        exported = np.zeros((len(meters), facts.grid.slots), np.int64)
        for position, meter in enumerate(meters):
            if meter in sold:
                exported[position] = result.value[sold[meter]]
                exports[position] = facts.expected[sold[meter]]
    quality = result.quality if len(rows) == len(result.quality) else result.quality[rows]
    lost = (quality == Quality.MISSING) | (quality == Quality.FAILED)
    made = (quality == Quality.ESTIMATED) | (quality == Quality.SUBSTITUTED)
    expected = facts.expected[rows]
    missing = slots_per_day(lost, facts.grid)
    first = np.where(expected.any(axis=1), expected.argmax(axis=1), facts.grid.days) + facts.grid.first_day
    return Loads(
        grid=facts.grid,
        meters=meters,
        imported=result.value if len(rows) == len(result.value) else result.value[rows],
        exported=exported,
        exports=exports,
        first_day=first,
        missing=np.where(expected, missing, facts.grid.lengths),
        estimated=slots_per_day(made, facts.grid),
    )


def contracts(master: MasterData, meters: list[str], zone: str) -> list[Contract]:
    """Contracts of some meters, in their order."""
    return [c for meter in meters for c in contracts_of(meter, master.spans.get(meter, []), zone)]


def bill_group(
    computed: Computed, master: MasterData, zone: str, prices: Prices, last_closed: int
) -> tuple[pa.Table | None, pa.Table | None]:
    """Shares of bills and determinants of one group; None where nothing is billed."""
    names = computed.group.names
    bought = {meter: row for row, (meter, channel) in enumerate(names) if channel in BILLED}
    if not bought:
        return None, None
    loads = loads_of(computed, bought)
    mine = contracts(master, list(bought), zone)
    wanted = computed.wanted[np.array(list(bought.values()), np.int64)].copy()
    position = {meter: i for i, meter in enumerate(bought)}
    for row, (meter, channel) in enumerate(names):
        if channel == "export" and meter in position:
            wanted[position[meter]] |= computed.wanted[row]
    # A day before the billed channel's range has no determinants, whatever else is measured on it.
    wanted &= computed.group.facts.expected[np.array(list(bought.values()), np.int64)]
    determinants = daily_determinants(loads, mine, prices.book, wanted)
    return bill_loads(loads, mine, prices, last_closed), determinants.cast(DETERMINANTS.content)
