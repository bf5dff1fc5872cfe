"""Which rows of the lake go to which table, as text that COPY reads, and how they are merged there."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True)
class Target:
    """One table of the database.

    Attributes:
        name: In the schema ``meterbeam_data``.
        columns: Its columns, in the order of ``select``.
        select: DuckDB SELECT over the lake's stored tables; ``{since}`` is the last run that was pushed.
        key: Columns of the key; empty for a table that is replaced whole.
        merge: What happens where the key is there already.
        by_month: Whether it is partitioned by the month of ``local_day``.
    """

    name: str
    columns: tuple[str, ...]
    select: str
    key: tuple[str, ...] = ()
    merge: str = "DO NOTHING"
    by_month: bool = False

    @property
    def listed(self) -> str:
        """The columns as SQL."""
        return ", ".join(f'"{name}"' for name in self.columns)


def _guarded(columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    """Only a greater revision replaces what is there."""
    sets = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in key)
    return f"DO UPDATE SET {sets} WHERE excluded.revision > c.revision"


def _array(name: str) -> str:
    """A list as PostgreSQL writes one, nulls included."""
    items = f"[coalesce(x::VARCHAR, 'NULL') FOR x IN \"{name}\"]"
    return f"CASE WHEN \"{name}\" IS NOT NULL THEN '{{' || array_to_string({items}, ',') || '}}' END"


_DAY_COLUMNS = (
    "meter_id",
    "channel",
    "local_day",
    "start",
    "interval_s",
    "unit",
    "values",
    "quality",
    "qualities",
    "methods",
    "flags",
    "measured",
    "total",
    "estimated_slots",
    "findings",
    "revision",
    "withdrawn",
)
_DAY_KEY = ("meter_id", "channel", "local_day")
DAYS = Target(
    "days",
    _DAY_COLUMNS,
    f"""
SELECT meter_id, channel, local_day, start, interval_s, unit, {_array("values")}, quality,
       {_array("qualities")}, {_array("methods")}, {_array("flags")}, {_array("measured")}, total,
       estimated_slots, coalesce(to_json(findings)::VARCHAR, '[]'), revision, withdrawn
FROM stored.days_current WHERE run_no > {{since}} ORDER BY local_day, meter_id, channel""",
    _DAY_KEY,
    _guarded(_DAY_COLUMNS, _DAY_KEY),
    by_month=True,
)

_DETERMINANT_COLUMNS = ("meter_id", "local_day", "tariff_id", "lines", "revision", "withdrawn")
DETERMINANTS = Target(
    "determinants",
    _DETERMINANT_COLUMNS,
    """
SELECT meter_id, local_day, tariff_id, coalesce(to_json(lines)::VARCHAR, '[]'), revision, withdrawn
FROM stored.determinants_current WHERE run_no > {since} ORDER BY local_day, meter_id""",
    ("meter_id", "local_day"),
    _guarded(_DETERMINANT_COLUMNS, ("meter_id", "local_day")),
    by_month=True,
)

_LINE = ", ".join(
    f"{name} := {'l.' + name if name not in ('quantity', 'rate', 'amount') else f'l.{name}::VARCHAR'}"
    for name in (
        "line",
        "charge",
        "tariff_id",
        "tariff_version",
        "period",
        "tier",
        "quantity",
        "unit",
        "rate",
        "amount",
    )
)
BILLS = Target(
    "bills",
    (
        "bill_id",
        "account_id",
        "period_start",
        "period_end",
        "status",
        "total",
        "currency",
        "estimated_share",
        "reason",
        "lines",
        "revision",
        "withdrawn",
    ),
    f"""
SELECT bill_id, account_id, period_start, period_end, status, total::VARCHAR, currency, estimated_share,
       reason, coalesce(to_json([struct_pack({_LINE}) FOR l IN lines])::VARCHAR, '[]'), revision, withdrawn
FROM stored.bills_rows WHERE run_no > {{since}} ORDER BY bill_id, revision""",
    ("bill_id", "revision"),
)
"""Revisions of bills are never changed: money goes as decimal text, never as a float."""

_DETECTED = "run_no = (SELECT max(run_no) FROM stored.detect_runs_rows)"
_QUEUE = "meter_id, rank, score, first_week, kwh_lost, reasons, against, as_of, money_lost, currency, model"
_AS_TEXT = _QUEUE.replace("money_lost", "money_lost::VARCHAR")
QUEUES = Target(
    "queues",
    ("queue", *_QUEUE.split(", ")),
    " UNION ALL ".join(
        f"SELECT '{name}', {_AS_TEXT} FROM stored.{name}_queue_rows WHERE {_DETECTED}"
        for name in ("change", "state")
    ),
)
FAULTS = Target(
    "faults",
    ("meter_id", "fault", "since", "until", "severity", "evidence"),
    f"SELECT meter_id, fault, since, until, severity, evidence FROM stored.faults_rows WHERE {_DETECTED}",
)
METERS = Target(
    "meters",
    ("meter_id", "commodity", "region", "account_id"),
    """
SELECT meter_id, any_value(commodity), any_value(feeder_id), any_value(account_id) FROM (
    SELECT meter_id, commodity, feeder_id, account_id FROM service_points WHERE meter_id IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY meter_id ORDER BY valid_from DESC, service_point_id DESC) = 1
    UNION ALL
    SELECT DISTINCT meter_id, NULL, NULL, NULL FROM stored.days_current
) GROUP BY meter_id""",
)
ACCOUNTS = Target(
    "accounts",
    ("account_id", "commodity", "region"),
    "SELECT DISTINCT account_id, commodity, feeder_id FROM service_points WHERE account_id IS NOT NULL",
)
RUNS = Target(
    "runs",
    ("run_no", "run_id", "started", "finished", "inputs", "counts", "code_version", "rules", "tariffs"),
    """
SELECT run_no, run_id, started, finished, inputs, counts, code_version, rules, tariffs
FROM stored.runs_rows WHERE run_no > {since}""",
    ("run_no",),
)
TARGETS = (DAYS, DETERMINANTS, BILLS, QUEUES, FAULTS, METERS, ACCOUNTS, RUNS)
