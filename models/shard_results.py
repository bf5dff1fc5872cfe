"""Everything a shard yields for the days in scope, as rows of the lake's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from models.bill_parts import PARTS
from models.bill_prices import Prices, Tariffs
from models.calendar import local_midnight
from models.feature_run import touched_weeks
from models.group_bills import bill_group, contracts
from models.holds import holds_of
from models.shard_run import ShardRun
from schemas.features import FEATURES
from schemas.lake import DAYS, DETERMINANTS, LakeTable

DAY_ROWS = pa.schema([column for column in DAYS.schema if column.name != "run_no"])


@dataclass(frozen=True)
class ShardResults:
    """Rows of one shard.

    Attributes:
        days: Day rows, and rows without a result for findings alone (``withdrawn``); ``revision`` 1.
        determinants, features: Content of their tables.
        shares: ``PARTS`` of bills; None where they were not asked for.
    """

    days: pa.Table
    determinants: pa.Table
    features: pa.Table
    shares: pa.Table | None


def shard_results(run: ShardRun, meters: Sequence[str], prices: Prices, *, bills: bool) -> ShardResults:
    """Compute a shard group by group.

    Args:
        run: The shard.
        meters: Its meters that master data name.
        prices: Tariffs.
        bills: Whether to price every bill; sensible only where every day is in scope.
    """
    days: list[pa.Table] = []
    determinants, features = [DETERMINANTS.content.empty_table()], [FEATURES.content.empty_table()]
    shares: list[pa.Table] = [PARTS.empty_table()]
    inputs = run.inputs
    for computed in run.groups():
        weeks = touched_weeks(computed, inputs.last_closed)
        if weeks is not None:
            features.append(weeks)
        if not computed.wanted.any():
            continue
        rows = run.rows(computed)
        days.append(rows)
        if prices.book and not inputs.master.empty:
            billed, used = bill_group(
                computed,
                inputs.master,
                inputs.zone,
                prices,
                inputs.last_closed,
                holds_of(rows) if bills else None,
            )
            if used is not None:
                determinants.append(used)
            if billed is not None:
                shares.append(billed)
    _missing_tariffs(run, meters, prices.book)
    return ShardResults(
        days=_day_rows(days, run.addresses(meters)),
        determinants=pa.concat_tables(determinants),
        features=pa.concat_tables(features),
        shares=pa.concat_tables(shares) if bills else None,
    )


def _missing_tariffs(run: ShardRun, meters: Sequence[str], book: Tariffs) -> None:
    """A finding for each reporting meter of a customer whose tariff is not known: it gets no bill."""
    if not book:
        return
    inputs = run.inputs
    reported = {meter for meter, _ in inputs.first_readings}
    for contract in contracts(inputs.master, [meter for meter in meters if meter in reported], inputs.zone):
        if contract.tariff_id not in book:
            first = inputs.first_readings.items()
            seconds = [second for (meter, _), (second, _) in first if meter == contract.load]
            start = max(local_midnight(inputs.zone, max(contract.first_day, 0)), min(seconds))
            seen = "no tariff" if contract.tariff_id is None else f"tariff {contract.tariff_id}"
            run.add_problem("no_tariff", contract.load, start, seen, "a known tariff")


def _day_rows(pieces: Sequence[pa.Table], addresses: pa.Table) -> pa.Table:
    """Rows with a result first, then those for findings alone."""
    tables = []
    for table, withdrawn in (*((piece, False) for piece in pieces), (addresses, True)):
        if table.num_rows:
            table = table.append_column("revision", pa.repeat(pa.scalar(1, pa.int32()), table.num_rows))
            table = table.append_column("withdrawn", pa.repeat(pa.scalar(withdrawn), table.num_rows))
            for name in [name for name in DAY_ROWS.names if name not in table.schema.names]:
                table = table.append_column(name, pa.nulls(table.num_rows, DAY_ROWS.field(name).type))
            tables.append(_encoded(table.select(DAY_ROWS.names)))
    return pa.concat_tables(tables).unify_dictionaries() if tables else DAY_ROWS.empty_table()


def _encoded(table: pa.Table) -> pa.Table:
    """Text columns dictionary-encoded, so that they are written without a copy."""
    for name in ("meter_id", "channel", "unit"):
        column = table[name]
        if not pa.types.is_dictionary(column.type):
            table = table.set_column(table.schema.get_field_index(name), name, column.dictionary_encode())
    return table


def first_revisions(table: LakeTable, content: pa.Table) -> pa.Table:
    """Content as rows of a versioned table: ``revision`` 1, not withdrawn."""
    schema = pa.schema([column for column in table.schema if column.name != "run_no"])
    rows = content.append_column("revision", pa.repeat(pa.scalar(1, pa.int32()), content.num_rows))
    return rows.append_column("withdrawn", pa.repeat(pa.scalar(False), content.num_rows)).select(schema.names)
