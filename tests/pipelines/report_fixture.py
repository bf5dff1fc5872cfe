"""A lake as the report sees it: tables named like the views of the output contract, filled by hand.

``empty()`` has every view and no row; see ``report_town`` for a full one. Nothing here reads Meterbeam's
own code.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb

FIRST_DAY = date(2026, 1, 5)
"""A Monday."""

VIEWS: dict[str, str] = {
    "slot_days": "meter_id varchar, channel varchar, local_day date, start timestamp, interval_s integer, "
    '"values" decimal(18,6)[], measured decimal(18,6)[], unit varchar, qualities varchar[], methods '
    "varchar[], "
    "flags varchar[], total decimal(18,6), estimated_share double, revision integer",
    "service_points": "service_point_id varchar, meter_id varchar, account_id varchar, role varchar, "
    "commodity varchar, tariff_id varchar, feeder_id varchar, customer_class varchar, status varchar, "
    "capacity_kw double, valid_from timestamp, valid_to timestamp",
    "findings": "rule varchar, severity varchar, meter_id varchar, channel varchar, local_day date, "
    'start timestamp, "end" timestamp, seen varchar, expected varchar, revision integer',
    "determinants": "meter_id varchar, local_day date, tariff_id varchar, period varchar, direction varchar, "
    "quantity decimal(18,6), unit varchar",
    "bills": "bill_id varchar, account_id varchar, period_start date, period_end date, revision integer, "
    "status varchar, total decimal(18,4), currency varchar, estimated_share double, reason varchar",
    "bill_lines": "bill_id varchar, revision integer, line integer, charge varchar, tariff_id varchar, "
    "tariff_version integer, period varchar, tier integer, quantity decimal(18,6), unit varchar, "
    "rate decimal(18,6), amount decimal(18,4)",
    "change_queue": "meter_id varchar, rank integer, score double, first_week date, kwh_lost double, "
    "reasons varchar, against varchar, as_of timestamp, money_lost decimal(24,6), currency varchar, "
    "model varchar",
    "state_queue": "meter_id varchar, rank integer, score double, first_week date, kwh_lost double, "
    "reasons varchar, against varchar, as_of timestamp, money_lost decimal(24,6), currency varchar, "
    "model varchar",
    "faults": "meter_id varchar, fault varchar, since timestamp, until timestamp, severity varchar, "
    "evidence varchar",
    "feeder_balance": "feeder_id varchar, rank integer, days integer, through_kwh double, "
    "reported_kwh double, technical_kwh double, hidden_kwh double, hidden_share double, as_of date",
    "settlement": "feeder_id varchar, supplier varchar, local_day date, start timestamp, "
    "interval_s integer, points bigint, drawn decimal(26,6), fed decimal(26,6), estimated bigint, "
    "missing bigint, through decimal(26,6), losses decimal(26,6)",
    "data_quality": "meter_id varchar, channel varchar, month date, days bigint, slots bigint, "
    "completeness double, estimated_share double, timeliness double, score double",
    "gaps": 'meter_id varchar, channel varchar, "from" timestamp, "to" timestamp, slots bigint',
    "dead_letters": 'run_id varchar, source varchar, "offset" bigint, kind varchar, reason varchar, '
    "bytes blob",
    "runs": "run_id varchar, started timestamp, finished timestamp, inputs varchar, counts varchar, "
    "code_version varchar, rules varchar, tariffs varchar",
}


def empty() -> duckdb.DuckDBPyConnection:
    """Every view of the contract that the report reads, without a row."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    for name, columns in VIEWS.items():
        connection.execute(f"create table {name} ({columns})")
    connection.execute(
        'create view days as select meter_id, channel, local_day, start, interval_s, "values", qualities, '
        "methods, "
        "flags, total, estimated_share, revision from slot_days"
    )
    connection.execute(
        "create view readings as select meter_id, channel, start + to_seconds(i * interval_s) as start, "
        "interval_s, "
        "value, measured, unit, quality, method, flags, revision from (select meter_id, channel, start, "
        "interval_s, "
        'unit, unnest("values") as value, unnest(measured) as measured, unnest(qualities) as quality, '
        'unnest(methods) as method, unnest(flags) as flags, unnest(range(len("values"))) as i, revision '
        "from slot_days)"
    )
    return connection


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[dict[str, Any]]) -> None:
    """Add rows given as dictionaries; columns left out are null."""
    for row in rows:
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" for _ in row)
        connection.execute(f"insert into {table} ({names}) values ({marks})", list(row.values()))


def day_row(
    meter_id: str,
    day: date,
    values: Sequence[str | None],
    *,
    qualities: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    measured: Sequence[str | None] | None = None,
    channel: str = "import",
    unit: str = "kWh",
) -> dict[str, Any]:
    """One row of ``days``; values as decimal texts, UTC midnight, as many slots as values."""
    qualities = qualities or ["VALIDATED"] * len(values)
    known = [None if value is None else Decimal(value) for value in values]
    made = sum(quality in ("ESTIMATED", "SUBSTITUTED") for quality in qualities)
    return {
        "meter_id": meter_id,
        "channel": channel,
        "local_day": day,
        "start": datetime.combine(day, datetime.min.time()),
        "interval_s": 86_400 // len(values),
        "values": known,
        "measured": known if measured is None else [None if v is None else Decimal(v) for v in measured],
        "unit": unit,
        "qualities": qualities,
        "methods": methods or ["NONE"] * len(values),
        "flags": [""] * len(values),
        "total": sum((value for value in known if value is not None), Decimal(0)),
        "estimated_share": made / len(values),
        "revision": 1,
    }
