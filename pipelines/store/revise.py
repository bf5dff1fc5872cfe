"""New content against the current rows of the lake: only what changed is written, as the next revision."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.assemble import Name
from models.calendar import day_date
from models.dirty import Days
from models.shard_run import WHOLE_METER
from pipelines.store.key_order import key_order, rises
from pipelines.store.lake import Lake, latest
from schemas.lake import DAYS, LakeTable

EARLIEST = 0
LATEST = 2_932_896
"""Epoch days of 1970-01-01 and 9999-12-31: dates a lake can hold."""


def revise(new: pa.Table, current: pa.Table, table: LakeTable) -> pa.Table:
    """Rows of a versioned table that differ from the current ones.

    Args:
        new: Content of every key in scope that has a row now, with ``withdrawn``.
        current: Current rows of every key in scope.
        table: A versioned table.

    Returns:
        New rows in their order, then changed ones with their next revision, and for keys that have no
        row any more a withdrawn one, by key. Empty where nothing changed.
    """
    known = _known(new, current, table)
    schema = pa.schema([field for field in table.schema if field.name != "run_no"])
    new = new.select([name for name in new.schema.names if name != "revision"])
    first = new.filter(pa.array(~known)) if known.any() else new
    first = first.append_column("revision", pa.repeat(pa.scalar(1, pa.int32()), first.num_rows))
    found = first.select(schema.names).cast(schema)
    if current.num_rows:
        changed = _compared(new.filter(pa.array(known)), current, table)
        found = pa.concat_tables([found, changed.select(schema.names).cast(schema)])
    return found


def _known(new: pa.Table, current: pa.Table, table: LakeTable) -> NDArray[np.bool_]:
    """Which rows' keys have a current row; shape (n,)."""
    if not current.num_rows:
        return np.zeros(new.num_rows, np.bool_)
    keys = list(table.key)
    both = pa.concat_tables([rows.select(keys).cast(_plain(table)) for rows in (new, current)])
    order = key_order(both, table.key)
    place = np.cumsum(rises(both, table.key, order))
    number = np.empty(both.num_rows, np.int64)
    number[order] = place
    held = np.zeros(int(place[-1]) + 1, np.bool_)
    held[number[new.num_rows :]] = True
    known: NDArray[np.bool_] = held[number[: new.num_rows]]
    return known


def _plain(table: LakeTable) -> pa.Schema:
    return pa.schema([table.schema.field(name) for name in table.key])


def _compared(new: pa.Table, current: pa.Table, table: LakeTable) -> pa.Table:
    """Rows of keys that have a current row, where the two differ, and withdrawals of those that are gone."""
    import duckdb  # a first run has nothing to compare

    keys = ", ".join(table.key)
    content = [name for name in table.content.names if name not in table.key]
    ours = ", ".join(f"n.{_quoted(name)}" for name in content)
    differs = " OR ".join(
        f"n.{_quoted(name)} IS DISTINCT FROM c.{_quoted(name)}" for name in [*content, "withdrawn"]
    )
    gone = ", ".join(f"NULL AS {_quoted(name)}" for name in content)
    filled = " OR ".join(f"c.{_quoted(name)} IS NOT NULL" for name in content)
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("new_rows", new)
        connection.register("current_rows", current.cast(table.schema))
        found: pa.Table = connection.sql(
            f"""
            SELECT {keys}, {ours}, c.revision + 1 AS revision, n.withdrawn
            FROM new_rows n JOIN current_rows c USING ({keys})
            WHERE {differs}
            UNION ALL BY NAME
            SELECT {keys}, {gone}, c.revision + 1 AS revision, true AS withdrawn
            FROM current_rows c ANTI JOIN new_rows n USING ({keys})
            WHERE {filled}
            ORDER BY {keys}
            """
        ).to_arrow_table()
    return found


def _quoted(name: str) -> str:
    return f'"{name}"'


def current_days(lake: Lake, scope: dict[Name, list[Days]], served: Callable[[str], bool]) -> pa.Table:
    """Current day rows of the addresses in scope, and of every meter as a whole.

    Args:
        lake: Read at its last complete run.
        scope: Days of each series.
        served: Whether a meter belongs to the shard.
    """
    whole = lake.current(DAYS.name, channel=WHOLE_METER)
    whole = whole.filter(pa.array([served(meter) for meter in whole["meter_id"].to_pylist()], pa.bool_()))
    return latest(pa.concat_tables([whole, current_rows(lake, DAYS, scope)]), DAYS)


def current_rows(lake: Lake, table: LakeTable, scope: dict[Name, list[Days]]) -> pa.Table:
    """Current rows of a table keyed by meter and day whose (meter, channel, day) is in scope.

    A table without channels is in scope where any channel of the meter is.
    """
    spans = [(name, _date(first), _date(last)) for name, days in scope.items() for first, last in days]
    if not spans:
        return table.schema.empty_table()
    meters = sorted({name[0] for name in scope})
    low, high = min(span[1] for span in spans), max(span[2] for span in spans)
    rows = lake.current(table.name, meters=meters, days=(low, high))
    limits = pa.table(
        {
            "meter_id": pa.array([name[0] for name, _, _ in spans], pa.string()),
            "channel": pa.array([name[1] for name, _, _ in spans], pa.string()),
            "first": pa.array([first for _, first, _ in spans], pa.date32()),
            "last": pa.array([last for _, _, last in spans], pa.date32()),
        }
    )
    import duckdb

    day = "week" if "week" in table.key else "local_day"
    same_channel = "AND l.channel = c.channel" if "channel" in table.key else ""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("current_rows", rows)
        connection.register("limits", limits)
        chosen: pa.Table = connection.sql(
            f"""
            SELECT c.* FROM current_rows c
            WHERE EXISTS (SELECT 1 FROM limits l WHERE l.meter_id = c.meter_id {same_channel}
                          AND c.{day} BETWEEN l.first AND l.last)
            """
        ).to_arrow_table()
    return latest(chosen.cast(table.schema), table)


def _date(day: int) -> date:
    return day_date(min(max(day, EARLIEST), LATEST))
