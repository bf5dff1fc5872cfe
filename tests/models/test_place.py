"""Which reading holds in a slot: the order of SEMANTICS, whatever came first."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from models.assemble import Assembly, Name, ShardInputs, assemble, first_readings
from models.calendar import day_grid
from models.dirty import Days
from models.master import MasterData
from schemas.arrow import RAW_EVENTS, RAW_INTERVALS, RAW_REGISTERS

ZONE, DAY = "Europe/Zurich", 20_600
GRID = day_grid(ZONE, 3600, DAY, 2)
HOURS = 48

BLOCK = st.tuples(
    st.integers(0, HOURS - 1),  # first slot
    st.lists(st.sampled_from([None, 0, 1, 2]), min_size=1, max_size=6),  # values
    st.sampled_from([None, 0, 5]) | st.lists(st.integers(0, 5), min_size=6, max_size=6),  # received_at
    st.sampled_from([None, 0, 1]),  # sequence
    st.sampled_from([None, 0, 8]),  # quality of all values
    st.booleans(),  # came with this run
)


def row(block: tuple[Any, ...]) -> dict[str, Any]:
    """A block as a record."""
    first, values, received, sequence, quality, fresh = block
    values = values[: HOURS - first]
    each = [2**60 + moment for moment in received[: len(values)]] if isinstance(received, list) else None
    received = min(each) if each else None if received is None else 2**60 + received
    return {
        "meter_id": "m", "channel": "import", "start": int(GRID.starts[first]), "interval_s": 3600,
        "unit": "kWh", "scaler": 0, "received_at": received, "received_each": each,
        "sequence": sequence, "source": "a", "values_int": values, "values_float": None,
        "quality": None if quality is None else [quality] * len(values), "fresh": fresh,
    }  # fmt: skip


def placed(rows: list[dict[str, Any]], windows: dict[Name, Days] | None = None) -> tuple[Any, ...]:
    """Values, presence, external and conflict of the one series, and the account."""
    table = pa.Table.from_pylist(rows, schema=RAW_INTERVALS.append(pa.field("fresh", pa.bool_())))
    inputs = ShardInputs(
        intervals=table,
        registers=RAW_REGISTERS.empty_table(),
        events=RAW_EVENTS.empty_table(),
        master=MasterData([]),
        zone=ZONE,
        last_closed=DAY + 1,
        first_readings=first_readings(table),
        history_from=DAY,
        windows=windows,
    )
    assembly = Assembly()
    groups = list(assemble(inputs, assembly))
    if not groups:
        return [], [], [], [], assembly.account
    facts = groups[0].facts
    low = int(facts.grid.offsets[max(DAY - facts.grid.first_day, 0)])
    part = slice(low, low + HOURS)
    none = np.zeros(facts.value.shape, np.bool_)
    external = none if facts.external is None else facts.external & facts.have
    conflict = none if facts.conflict is None else facts.conflict
    arrays = (facts.value, facts.have, external, conflict)
    return (*(array[0, part].tolist() for array in arrays), assembly.account)


def slowly(rows: list[dict[str, Any]]) -> tuple[Any, ...]:
    """The same, one reading at a time, as SEMANTICS words it."""
    records: dict[int, dict[tuple[int, ...], bool]] = defaultdict(dict)
    fresh = repeats = 0
    for record in rows:
        first = int((record["start"] - GRID.origin) // 3600)
        for i, value in enumerate(record["values_int"]):
            if value is None:
                continue
            received = record["received_each"][i] if record["received_each"] else record["received_at"]
            key = (
                -1 if received is None else received,
                -1 if record["sequence"] is None else record["sequence"],
                value,
                (record["quality"] or [0])[0],
            )
            fresh += record["fresh"]
            here = records[first + i]
            repeats += record["fresh"] and key in here
            here[key] = True
    value, have, external, conflict = [0] * HOURS, [False] * HOURS, [False] * HOURS, [False] * HOURS
    for slot, here in records.items():
        best = max(here)
        value[slot], have[slot], external[slot] = best[2] * 1_000_000, True, best[3] == 8
        conflict[slot] = len({key[2] for key in here}) > 1
    superseded = sum(len(here) - 1 for here in records.values())
    return value, have, external, conflict, (fresh, repeats, superseded)


@given(st.lists(BLOCK, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_greatest_record_holds_in_any_order(blocks: list[tuple[Any, ...]], chance: random.Random) -> None:
    """Values, flags and the account equal those of one reading at a time; old records are listed first."""
    rows = sorted((row(block) for block in blocks), key=lambda r: r["fresh"])
    if not any(value is not None for r in rows for value in r["values_int"]):
        return
    value, have, external, conflict, account = placed(rows)
    wanted = slowly(rows)
    assert (value, have, external, conflict) == wanted[:4]
    assert (account.fresh, account.repeats, account.superseded) == wanted[4]
    chance.shuffle(rows)
    assert placed(rows) == (value, have, external, conflict, account)


@given(st.lists(BLOCK, min_size=1, max_size=8), st.sampled_from([(DAY, DAY), (DAY + 1, DAY + 1)]))
def test_days_looked_at_change_no_reading_and_no_account(blocks: list[tuple[Any, ...]], days: Days) -> None:
    """Blocks before, behind and across the edges of the days are counted all the same."""
    rows = sorted((row(block) for block in blocks), key=lambda r: r["fresh"])
    if not any(value is not None for r in rows for value in r["values_int"]):
        return
    *whole, account = placed(rows)
    *some, again = placed(rows, {("m", "import"): days})
    assert again == account
    at = slice(24 * (days[0] - DAY), 24 * (days[0] - DAY) + 24)
    assert [part[:24] for part in some] == [part[at] for part in whole]
