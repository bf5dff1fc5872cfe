"""The tables of the lake: columns, keys, and how each one grows."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from schemas.findings import FINDING

UTC = pa.timestamp("us", "UTC")
Growth = Literal["versioned", "append", "replace"]


@dataclass(frozen=True)
class LakeTable:
    """One Delta table.

    Attributes:
        name: Folder and name.
        growth: ``versioned``: rows of a key carry consecutive revisions, the greatest is current;
            ``append``: rows are facts of their run; ``replace``: each run writes the whole content.
        key: Columns of the key of a versioned table.
        content: The other columns.
        varied: Integers that hardly repeat, by their path in a file: it holds their differences.
    """

    name: str
    growth: Growth
    content: pa.Schema
    key: tuple[str, ...] = ()
    varied: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """All columns as stored."""
        if self.growth == "replace":
            return self.content
        if self.growth == "append":
            return self.content.append(pa.field("run_no", pa.int32()))
        schema = self.content
        for field in (("revision", pa.int32()), ("run_no", pa.int32()), ("withdrawn", pa.bool_())):
            schema = schema.append(pa.field(*field))
        return schema


_ADDRESS = [("meter_id", pa.string()), ("channel", pa.string())]

DAYS = LakeTable(
    "days",
    "versioned",
    pa.schema(
        [
            *_ADDRESS,
            ("local_day", pa.date32()),
            ("start", UTC),
            ("interval_s", pa.int32()),
            ("unit", pa.string()),
            ("values", pa.list_(pa.int64())),
            ("quality", pa.int8()),
            ("qualities", pa.list_(pa.int8())),
            ("methods", pa.list_(pa.int8())),
            ("flags", pa.list_(pa.int32())),
            ("measured", pa.list_(pa.int64())),
            ("total", pa.int64()),
            ("estimated_slots", pa.int32()),
            ("findings", pa.list_(FINDING)),
        ]
    ),
    ("meter_id", "channel", "local_day"),
    ("total",),
)
"""Micro-units. ``quality`` is that of every slot, or null where they differ and ``qualities`` lists
them; ``methods``, ``flags`` and ``measured`` are null where no slot was made, flagged or replaced. A
withdrawn row has findings only: an address without a result."""

DETERMINANT = pa.struct(
    [("period", pa.string()), ("direction", pa.string()), ("quantity", pa.int64()), ("unit", pa.string())]
)
DETERMINANTS = LakeTable(
    "determinants",
    "versioned",
    pa.schema(
        [
            ("meter_id", pa.string()),
            ("local_day", pa.date32()),
            ("tariff_id", pa.string()),
            ("lines", pa.list_(DETERMINANT)),
        ]
    ),
    ("meter_id", "local_day"),
    ("lines.list.element.quantity",),
)

BILL_LINE = pa.struct(
    [
        ("line", pa.int32()),
        ("charge", pa.string()),
        ("service_point_id", pa.string()),
        ("tariff_id", pa.string()),
        ("tariff_version", pa.int32()),
        ("period", pa.string()),
        ("tier", pa.int32()),
        ("quantity", pa.decimal128(24, 6)),
        ("unit", pa.string()),
        ("rate", pa.decimal128(24, 10)),
        ("amount", pa.decimal128(24, 6)),
    ]
)
BILLS = LakeTable(
    "bills",
    "versioned",
    pa.schema(
        [
            ("bill_id", pa.string()),
            ("account_id", pa.string()),
            ("period_start", pa.date32()),
            ("period_end", pa.date32()),
            ("status", pa.string()),
            ("total", pa.decimal128(24, 6)),
            ("currency", pa.string()),
            ("estimated_share", pa.float64()),
            ("reason", pa.string()),
            ("state", pa.string()),
            ("lines", pa.list_(BILL_LINE)),
        ]
    ),
    ("bill_id",),
)

RAW_FILES = LakeTable(
    "raw_files",
    "append",
    pa.schema(
        [
            ("kind", pa.string()),
            ("name", pa.string()),
            ("source", pa.string()),
            ("source_hash", pa.string()),
            ("rows", pa.int64()),
            ("readings", pa.int64()),
            ("min_start", pa.int64()),
            ("max_end", pa.int64()),
            ("latest_end", pa.int64()),
        ]
    ),
)
INPUTS = LakeTable(
    "inputs",
    "append",
    pa.schema(
        [
            ("source", pa.string()),
            ("source_hash", pa.string()),
            ("size", pa.int64()),
            ("modified", pa.int64()),
            ("outcome", pa.string()),
        ]
    ),
)
"""A row a container file and run. ``modified``: nanoseconds, as the file system tells; ``outcome``: taken,
repeated (its content was in the lake) or refused (kept whole as a dead letter)."""
OFFSETS = LakeTable(
    "offsets",
    "replace",
    pa.schema(
        [
            ("cluster", pa.string()),
            ("topic", pa.string()),
            ("partition", pa.int32()),
            ("next_offset", pa.int64()),
        ]
    ),
)
"""How far each partition of each Kafka cluster was read: the offset of the first message not yet taken."""
DEAD_LETTERS = LakeTable(
    "dead_letters",
    "append",
    pa.schema(
        [
            ("run_id", pa.string()),
            ("source", pa.string()),
            ("offset", pa.int64()),
            ("kind", pa.string()),
            ("reason", pa.string()),
            ("bytes", pa.binary()),
        ]
    ),
)
RUNS = LakeTable(
    "runs",
    "append",
    pa.schema(
        [
            ("run_id", pa.string()),
            ("started", UTC),
            ("finished", UTC),
            ("inputs", pa.string()),
            ("counts", pa.string()),
            ("code_version", pa.string()),
            ("rules", pa.string()),
            ("tariffs", pa.string()),
            ("last_closed", pa.date32()),
            ("versions", pa.string()),
        ]
    ),
)
"""The root: a row's ``versions`` names the version of every other table that belongs to it."""

_QUEUE = pa.schema(
    [
        ("meter_id", pa.string()),
        ("rank", pa.int32()),
        ("score", pa.float64()),
        ("first_week", pa.date32()),
        ("kwh_lost", pa.float64()),
        ("reasons", pa.string()),
        ("against", pa.string()),
        ("as_of", pa.date32()),
        ("money_lost", pa.decimal128(24, 6)),
        ("currency", pa.string()),
        ("model", pa.string()),
    ]
)
"""money_lost is null for a meter without bills; model names what ordered the queue, null for no model."""
CHANGE_QUEUE = LakeTable("change_queue", "append", _QUEUE)
STATE_QUEUE = LakeTable("state_queue", "append", _QUEUE)
FAULTS = LakeTable(
    "faults",
    "append",
    pa.schema(
        [
            ("meter_id", pa.string()),
            ("fault", pa.string()),
            ("since", pa.date32()),
            ("until", pa.date32()),
            ("severity", pa.string()),
            ("evidence", pa.string()),
        ]
    ),
)
FEEDER_BALANCE = LakeTable(
    "feeder_balance",
    "append",
    pa.schema(
        [
            ("feeder_id", pa.string()),
            ("rank", pa.int32()),
            ("days", pa.int32()),
            ("through_kwh", pa.float64()),
            ("reported_kwh", pa.float64()),
            ("technical_kwh", pa.float64()),
            ("hidden_kwh", pa.float64()),
            ("hidden_share", pa.float64()),
            ("as_of", pa.date32()),
        ]
    ),
)
"""Over the days that can be balanced: through its own meter, reported by its customers, lost on the way,
and what is left: use that no meter reported."""
OUTCOMES = LakeTable(
    "outcomes",
    "versioned",
    pa.schema(
        [
            ("meter_id", pa.string()),
            ("inspected_on", pa.date32()),
            ("outcome", pa.string()),
            ("note", pa.string()),
            ("user", pa.string()),
        ]
    ),
    ("meter_id", "inspected_on"),
)
"""What inspectors found: theft, clean, or a fault of the meter. A second word on the same day revises it."""
DETECT_RUNS = LakeTable("detect_runs", "append", pa.schema([("as_of", pa.date32()), ("meters", pa.int64())]))
"""One row a detect run: its queues are the rows of the same run_no."""
SERIES = LakeTable(
    "series",
    "replace",
    pa.schema([*_ADDRESS, ("interval_s", pa.int32()), ("first_day", pa.date32()), ("last_day", pa.date32())]),
)
"""Range of results of each series at the end of the last run."""
RAW_KEPT = LakeTable(
    "raw_kept",
    "replace",
    pa.schema(
        [
            *_ADDRESS,
            ("interval_s", pa.int32()),
            ("first_reading", pa.int64()),
            ("kept_from", pa.date32()),
        ]
    ),
)
"""Series that retention took raw readings from: the second of their first one, and from which local day on
all are there."""
DIRTY_DAYS = LakeTable(
    "dirty_days",
    "replace",
    pa.schema([*_ADDRESS, ("from_day", pa.date32()), ("to_day", pa.date32())]),
)

TABLES: dict[str, LakeTable] = {
    table.name: table
    for table in (
        DAYS,
        DETERMINANTS,
        BILLS,
        RAW_FILES,
        INPUTS,
        OFFSETS,
        DEAD_LETTERS,
        CHANGE_QUEUE,
        STATE_QUEUE,
        FAULTS,
        DETECT_RUNS,
        FEEDER_BALANCE,
        OUTCOMES,
        SERIES,
        DIRTY_DAYS,
        RAW_KEPT,
        RUNS,
    )
}

_DECLARED_IN = {"features": "schemas.features"}
"""Modules that declare a table of their own with ``register``."""


def register(table: LakeTable) -> LakeTable:
    """Make a table known to the lake; the same one may be registered again.

    Raises:
        ValueError: Another table has its name.
    """
    if TABLES.setdefault(table.name, table) != table:
        raise ValueError(f"there is another table {table.name!r} already")
    return table


def lake_table(name: str) -> LakeTable:
    """The table of a name.

    Raises:
        KeyError: There is none; lists those there are.
    """
    if name not in TABLES and name in _DECLARED_IN:
        importlib.import_module(_DECLARED_IN[name])
    if name not in TABLES:
        raise KeyError(f"no table {name!r}, expected one of: {', '.join(sorted(TABLES))}")
    return TABLES[name]


def lake_tables() -> tuple[LakeTable, ...]:
    """Every table, those declared elsewhere included."""
    for name in _DECLARED_IN:
        lake_table(name)
    return tuple(TABLES.values())
