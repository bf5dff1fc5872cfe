"""Contracts and loads of a computed group, brought to the billing kernels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa

from models.bill_cycles import Contract
from models.bill_prices import Prices
from models.bill_run import bill_loads
from models.contracts import contract_book, meter_contracts
from models.determinants import daily_determinants
from models.holds import Holds
from models.loads import Codes, Loads
from models.master import MasterData, Span
from models.series import Bool, Int
from models.shard_run import Computed
from schemas.channels import BILLED, CHANNELS, REACTIVE, load_channel
from schemas.lake import DETERMINANTS
from schemas.quality import Quality

__all__ = ["bill_group", "contracts", "load_channels"]


def load_channels(names: Sequence[tuple[str, str]], master: MasterData) -> dict[str, str]:
    """The channel that each meter is billed by, of those that it measures, in order of the meters.

    Args:
        names: (meter, channel) of every series.
        master: Says which commodity a meter is for.
    """
    measured: dict[str, list[str]] = defaultdict(list)
    for meter, channel in names:
        measured[meter].append(channel)
    found = {}
    for meter, channels in measured.items():
        spans = master.spans.get(meter)
        billed = load_channel(spans[-1].version.commodity if spans else "electricity", channels)
        if billed is None and "export" in channels and _only_sells(spans or ()):
            billed = "export"
        if billed is not None:
            found[meter] = billed
    return found


def _only_sells(spans: Sequence[Span]) -> bool:
    """Whether service points say that a meter has an export channel and none of what is drawn.

    That it measured none says nothing: other days may have one.
    """
    declared = {channel for span in spans for channel in span.version.channels}
    return "export" in declared and declared.isdisjoint(BILLED)


def loads_of(computed: Computed, bought: dict[str, str]) -> Loads:
    """Final slots of the meters of a group that have a billed channel.

    Args:
        computed: The group.
        bought: The billed channel of each meter, in order.
    """
    facts, result = computed.group.facts, computed.result
    place = {name: row for row, name in enumerate(computed.group.names)}
    rows = np.array([place[meter, channel] for meter, channel in bought.items()], np.int64)
    every = len(rows) == len(result.value)
    expected = facts.expected[rows]
    quality: Codes = _within(result.quality if every else result.quality[rows], expected, facts.grid.lengths)
    imported = result.value if every else result.value[rows]
    if facts.unserved is not None:
        quality = np.where(facts.unserved[rows], np.int8(Quality.MISSING), quality).astype(np.int8)
        imported = np.where(facts.unserved[rows], 0, imported)
    sold = {row: place[meter, "export"] for row, meter in enumerate(bought) if (meter, "export") in place}
    exports = np.zeros(expected.shape, np.bool_)
    exported = None
    if sold:
        exported = np.zeros(imported.shape, np.int64)
        quality = quality.copy()
        for row, source in sold.items():
            exported[row], exports[row] = result.value[source], facts.expected[source]
            inside = np.repeat(exports[row], facts.grid.lengths)
            quality[row][inside] = np.minimum(quality[row], result.quality[source])[inside]
    imported = _without_exports(imported, bought)
    first = np.where(expected.any(axis=1), expected.argmax(axis=1), facts.grid.days) + facts.grid.first_day
    return Loads(
        grid=facts.grid,
        names=list(bought),
        units=[CHANNELS[channel].unit for channel in bought.values()],
        imported=imported,
        exported=exported,
        exports=exports,
        first_day=first,
        quality=quality,
        reactive=_reactive(computed, list(bought), place),
    )


def _within(quality: Codes, expected: Bool, lengths: Int) -> Codes:
    """MISSING outside the range."""
    if expected.all():
        return quality
    return np.where(np.repeat(expected, lengths, axis=1), quality, np.int8(Quality.MISSING)).astype(np.int8)


def _without_exports(imported: Int, bought: dict[str, str]) -> Int:
    """Nothing is drawn by meters that measure only what is fed in."""
    alone = [row for row, channel in enumerate(bought.values()) if channel == "export"]
    if alone:
        imported = imported.copy()
        imported[alone] = 0
    return imported


def _reactive(
    computed: Computed, meters: Sequence[str], place: dict[tuple[str, str], int]
) -> dict[str, tuple[Int, Codes]]:
    """Reactive energy and its quality by channel, where any of the meters measures it."""
    facts, result = computed.group.facts, computed.result
    found = {}
    for channel in REACTIVE:
        rows = {row: place[meter, channel] for row, meter in enumerate(meters) if (meter, channel) in place}
        if rows:
            energy = np.zeros((len(meters), facts.grid.slots), np.int64)
            quality = np.full(energy.shape, Quality.MISSING, np.int8)
            here, there = list(rows), list(rows.values())
            energy[here] = result.value[there]
            quality[here] = _within(result.quality[there], facts.expected[there], facts.grid.lengths)
            found[channel] = energy, quality
    return found


_KNOWN: WeakKeyDictionary[MasterData, dict[tuple[str, str], list[Contract]]] = WeakKeyDictionary()
"""Contracts by meter and zone: a stream asks for the same ones with every flush."""


def contracts(master: MasterData, meters: list[str], zone: str) -> list[Contract]:
    """Tariffs of some meters in time, in their order."""
    known = _KNOWN.setdefault(master, {})
    for meter in meters:
        if (meter, zone) not in known:
            known[meter, zone] = meter_contracts(meter, master.spans.get(meter, []), zone)
    return [contract for meter in meters for contract in known[meter, zone]]


def bill_group(
    computed: Computed,
    master: MasterData,
    zone: str,
    prices: Prices,
    last_closed: int,
    holds: Holds | None,
) -> tuple[pa.Table | None, pa.Table | None]:
    """Shares of bills and determinants of one group; None where there are none.

    Args:
        computed: The group.
        master: Service points.
        zone: Of the lake.
        prices: Tariffs.
        last_closed: Last closed epoch day.
        holds: What holds bills of these meters; None: price no bills. Priced are those of meters that are a
            load of their own; others need more groups.
    """
    names = computed.group.names
    bought = load_channels(names, master)
    if not bought:
        return None, None
    loads = loads_of(computed, bought)
    wanted = np.zeros(loads.exports.shape, np.bool_)
    for row, (meter, channel) in enumerate(names):
        if meter in bought and channel in (bought[meter], "export"):
            wanted[loads.row_of[meter]] |= computed.wanted[row]
    # A day before the billed channel's range has no determinants, whatever else is measured on it.
    place = {name: row for row, name in enumerate(names)}
    wanted &= computed.group.facts.expected[[place[item] for item in bought.items()]]
    determinants = daily_determinants(loads, contracts(master, list(bought), zone), prices.book, wanted)
    shares = None
    if holds is not None:
        plain = contract_book(master, prices.rules, zone).plain
        mine = [contract for meter in bought for contract in plain.get(meter, ())]
        shares = bill_loads([loads], mine, prices, last_closed, holds)
    return shares, determinants.cast(DETERMINANTS.content)
