"""Pages of a view: rows in the order of its key, after the last one of the page before."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb

from pipelines.customers import Holdings
from pipelines.store.lake import Lake
from pipelines.store.views import connect
from schemas.errors import MeterbeamError

__all__ = ["MOST_ROWS", "Page", "Query", "page_of"]

MOST_ROWS = 10_000
_ORDER = {
    "readings": ("meter_id", "channel", "start"),
    "days": ("meter_id", "channel", "local_day"),
    "findings": ("meter_id", "local_day", "rule", "start", "channel"),
    "bills": ("bill_id", "revision"),
    "bill_lines": ("bill_id", "revision", "line"),
    "change_queue": ("rank", "meter_id"),
    "state_queue": ("rank", "meter_id"),
    "faults": ("meter_id", "fault", "since"),
    "runs": ("finished", "run_id"),
}
"""Views, and columns that order their rows."""
_TYPES = {"start": "TIMESTAMPTZ", "local_day": "DATE", "revision": "INTEGER"}
_UNIQUE = ("readings", "days", "bills")
"""Views whose order is a key: a page begins after the last one of the page before. The others are few, and
a page's place is a count of rows, which is the same whenever it is asked for: a past run never changes."""


@dataclass(frozen=True)
class Query:
    """What is asked for.

    Attributes:
        view: A key of the views that can be asked for.
        equal: Columns and the value that they must have.
        first: Column and its least value, inclusive; None for no limit.
        last: Column and its greatest value, exclusive for times and inclusive for days.
        accounts: Only what belongs to these accounts; None: no limit.
    """

    view: str
    equal: dict[str, Any] = field(default_factory=dict)
    first: tuple[str, Any] | None = None
    last: tuple[str, Any] | None = None
    accounts: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Page:
    """Rows, the run they are as of, and how to ask for the following ones (None at the end)."""

    rows: list[dict[str, Any]]
    run_no: int
    following: str | None


@lru_cache(maxsize=8)
def _views(lake: Path, run_no: int, last: int) -> duckdb.DuckDBPyConnection:
    """Views as of a run, over the files as they are after the last one; kept until there is another."""
    return connect(Lake.open(lake, as_of=run_no))


def page_of(lake: Lake, query: Query, *, limit: int, cursor: str | None) -> Page:
    """One page.

    Args:
        lake: Read at its last run or as of one; a cursor keeps to the run of its first page.
        query: What is asked for.
        limit: Most rows, 1 to ``MOST_ROWS``.
        cursor: From the page before.

    Raises:
        MeterbeamError: The cursor is none of ours, or there is no run yet.
    """
    order = _ORDER[query.view]
    run_no, after = (lake.run_no, None) if cursor is None else _read(cursor, query.view)
    if not run_no:
        raise MeterbeamError("the lake", "no run yet", "a backfill in it")
    where, values = _conditions(query)
    last = Lake.open(lake.path).run_no
    if query.accounts is not None:
        with _views(lake.path, last, last).cursor() as present:
            theirs, given = Holdings.of(present, query.accounts).condition(query.view)
        where += f" AND {theirs}"
        values += given
    by_key = query.view in _UNIQUE
    skipped = 0
    if by_key and after is not None:
        marks = ", ".join(f"?::{_TYPES.get(name, 'VARCHAR')}" for name in order)
        where += f" AND ({_listed(order)}) > ({marks})"
        values += after
    elif after is not None:
        skipped = int(after[0])
    ordered = _listed(order, " NULLS FIRST")
    select = f"SELECT v.* FROM {query.view} v WHERE {where} ORDER BY {ordered} LIMIT ? OFFSET ?"
    with _views(lake.path, run_no, last).cursor() as views:
        try:
            found = views.execute(select, [*values, limit + 1, skipped])
        except duckdb.ConversionException as error:
            raise MeterbeamError("cursor", "a place that is none", "`next` of a page") from error
        names = [column[0] for column in found.description]
        rows = [_plain(names, row) for row in found.fetchall()]
    following = None
    if len(rows) > limit:
        place = [rows[limit - 1][name] for name in order] if by_key else [skipped + limit]
        following = _written(run_no, place, query.view)
    return Page(rows[:limit], run_no, following)


def _listed(order: Sequence[str], how: str = "") -> str:
    return ", ".join(f'v."{name}"{how}' for name in order)


def _conditions(query: Query) -> tuple[str, list[Any]]:
    parts, values = ["true"], []
    for name, value in query.equal.items():
        parts.append(f'v."{name}" = ?')
        values.append(value)
    if query.first is not None:
        parts.append(f'v."{query.first[0]}" >= ?')
        values.append(query.first[1])
    if query.last is not None:
        name, value = query.last
        parts.append(f'v."{name}" {"<" if isinstance(value, datetime) else "<="} ?')
        values.append(value)
    return " AND ".join(parts), values


def _plain(names: Sequence[str], row: tuple[Any, ...]) -> dict[str, Any]:
    return {name: _json(cell) for name, cell in zip(names, row, strict=True)}


def _json(cell: Any) -> Any:
    """Decimals as text, so that no reader makes a float of money or energy; times in ISO 8601, UTC."""
    if isinstance(cell, Decimal):
        return format(cell, "f")
    if isinstance(cell, (date, datetime)):
        return cell.isoformat()
    if isinstance(cell, list):
        return [_json(each) for each in cell]
    return cell


def _written(run_no: int, place: list[Any], view: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([run_no, place, view]).encode()).decode().rstrip("=")


def _read(cursor: str, view: str) -> tuple[int, list[Any]]:
    """Run and place of a cursor: the key of the last row, or the number of rows before."""
    wanted = [str] * (len(_ORDER[view]) - 1) + [str if _ORDER[view][-1] != "revision" else int]
    types = wanted if view in _UNIQUE else [int]
    try:
        run_no, place, of = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if of != view or type(run_no) is not int or run_no < 1 or [type(each) for each in place] != types:
            raise ValueError(cursor)
    except (ValueError, TypeError, binascii.Error) as error:
        raise MeterbeamError("cursor", "a text that is no cursor of this view", "`next` of a page") from error
    return run_no, place
