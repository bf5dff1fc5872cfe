"""What every section starts from: one pass over ``days`` into a small table, and the fleet's key figures.

``report_days`` (temporary, dropped at the end) has a row per (meter, channel, local day) with its slots by
quality. Only *odd* days, those that hold anything but validated values, are ever looked at slot by slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

QUALITIES = (
    "VERIFIED",
    "VALIDATED",
    "MEASURED",
    "EDITED",
    "QUESTIONABLE",
    "ESTIMATED",
    "SUBSTITUTED",
    "FAILED",
    "MISSING",
)
"""Best first, as shown."""

MEASURED = ("VERIFIED", "VALIDATED", "MEASURED", "QUESTIONABLE")
"""Qualities of a slot that holds what the meter measured."""

MADE = ("ESTIMATED", "SUBSTITUTED", "EDITED")
"""Qualities of a slot whose value was made after the fact."""

NONE_LEFT = ("FAILED", "MISSING")
"""Qualities of a slot with no value to bill."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """The connection and the figures several sections share.

    Attributes:
        slots: Slots by quality over all channels.
        channel: The channel of load profile, bills and suspects: ``import`` where present, else the
            most frequent.
        unit: Billing unit of that channel.
        timezone: Of local days, as told by the caller; only shown.
    """

    connection: duckdb.DuckDBPyConnection
    timezone: str | None
    meters: int
    service_points: int
    first_day: date | None
    last_day: date | None
    slots: dict[str, int]
    channel: str | None
    unit: str

    @property
    def expected(self) -> int:
        """All slots."""
        return sum(self.slots.values())

    def share_of(self, qualities: Sequence[str]) -> int:
        """Slots with one of these qualities."""
        return sum(self.slots.get(quality, 0) for quality in qualities)

    def rows(self, sql: str, *parameters: object) -> list[Row]:
        """A query's rows by column name."""
        cursor = self.connection.execute(sql, list(parameters))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]

    def one(self, sql: str, *parameters: object) -> Row:
        """A query's only row."""
        (row,) = self.rows(sql, *parameters)
        return row

    def count(self, view: str, where: str = "true") -> int:
        """Rows of a view."""
        return int(self.one(f"select count(*) as n from {view} where {where}")["n"])


@contextmanager
def gathered(connection: duckdb.DuckDBPyConnection, timezone: str | None) -> Iterator[Facts]:
    """Facts with the temporary table behind them, which is dropped afterwards."""
    counts = ", ".join(
        f"coalesce(map_extract_value(h, '{name}'), 0)::integer as {name.lower()}" for name in QUALITIES
    )
    connection.execute(
        "create or replace temp table report_days as select meter_id, channel, local_day, interval_s, "
        "total, "
        f"estimated_share, {counts} from (select meter_id, channel, local_day, interval_s, total, "
        "estimated_share, "
        f"list_aggregate(qualities, 'histogram') as h from days)"
    )
    try:
        yield _facts(connection, timezone)
    finally:
        connection.execute("drop table if exists temp.report_days")


def quality_sums() -> str:
    """SQL: every quality's slots summed, under the quality's name."""
    return ", ".join(f"coalesce(sum({name}), 0)::bigint as {name}" for name in QUALITIES)


def sum_of(qualities: Sequence[str]) -> str:
    """SQL: slots with one of these qualities in a row of ``report_days``."""
    return "(" + " + ".join(name.lower() for name in qualities) + ")"


def _facts(connection: duckdb.DuckDBPyConnection, timezone: str | None) -> Facts:
    blank = Facts(connection, timezone, 0, 0, None, None, {}, None, "")
    fleet = blank.one(
        "select count(distinct meter_id) as meters, min(local_day) as first, max(local_day) as last, "
        f"{quality_sums()} "
        "from report_days"
    )
    top = blank.rows(
        "select channel from report_days group by channel order by channel = 'import' desc, count(*) "
        "desc, channel limit 1"
    )
    channel = top[0]["channel"] if top else None
    unit = blank.rows("select unit from readings where channel = ? limit 1", channel) if channel else []
    return Facts(
        connection=connection,
        timezone=timezone,
        meters=fleet["meters"],
        service_points=int(
            blank.one("select count(distinct service_point_id) as n from service_points")["n"]
        ),
        first_day=fleet["first"],
        last_day=fleet["last"],
        slots={name: int(fleet[name]) for name in QUALITIES},
        channel=channel,
        unit=unit[0]["unit"] if unit else "",
    )


def weeks_or_days(facts: Facts) -> tuple[str, str]:
    """How to group time so that a plot has some dozens of bars: (SQL over local_day, word)."""
    if facts.first_day is None or facts.last_day is None or (facts.last_day - facts.first_day).days <= 100:
        return "local_day", "day"
    return "date_trunc('week', local_day)::date", "week"
