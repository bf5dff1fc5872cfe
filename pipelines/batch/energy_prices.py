"""What a kWh costs at each meter, as its own bills charge it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.comparison import EnergyPrice
from models.master import MasterData
from pipelines.store.files import dataset
from pipelines.store.lake import Lake, latest
from pipelines.store.parts import PartFile
from schemas.lake import BILLS

__all__ = ["energy_prices"]

HEADS = ("bill_id", "status", "revision", "withdrawn")
BILLS_AT_ONCE = 4096
"""A bill of ten lines takes about two kilobytes."""
CHARGE, SUMS = ("point", "currency", "charge"), ("quantity", "amount")
MILLIONTH = Decimal("0.000001")


def energy_prices(lake: Lake, master: MasterData, written: Sequence[PartFile] = ()) -> dict[str, EnergyPrice]:
    """Price of a kWh at each meter that has active bills: what they charge for kWh, fixed charges left out.

    All kWh lines of its service point, riders and credits included, over the kWh of the charge that counts
    most of them.

    Args:
        lake: Read at its last complete run.
        master: Service points.
        written: Parts of the run at work.
    """
    parts = [_charges(bills) for bills in _active(lake, written)]
    if not parts:
        return {}
    charges = _grouped(pa.concat_tables(parts), CHARGE, ("sum", "sum"))
    prices: dict[str, EnergyPrice] = {}
    for row in _grouped(charges, CHARGE[:2], ("max", "sum")).to_pylist():
        if row["quantity"] > 0:
            a_kwh = (row["amount"] / row["quantity"]).quantize(MILLIONTH)
            prices[row["point"]] = EnergyPrice(a_kwh, row["currency"])
    points = {meter: spans[-1].version.service_point_id for meter, spans in master.spans.items()}
    return {meter: prices[point] for meter, point in points.items() if point in prices}


def _active(lake: Lake, written: Sequence[PartFile]) -> Iterator[pa.Table]:
    """Active bills, those just written included, some at a time."""
    folder = lake.path / "tables" / BILLS.name
    paths = [*lake.files(BILLS.name), *(str(folder / p.path) for p in written if p.table == BILLS.name)]
    if not paths:
        return
    bills = dataset(paths, BILLS.schema)
    heads = bills.to_table(columns=list(HEADS), use_threads=False)
    heads = latest(heads.append_column("row", pa.array(np.arange(heads.num_rows))), BILLS)
    heads = heads.filter(pc.and_(pc.equal(heads["status"], "active"), pc.invert(heads["withdrawn"])))
    active = np.zeros(bills.count_rows(), np.bool_)
    active[heads["row"].to_numpy()] = True
    low = 0
    columns, ahead = ["currency", "lines"], {"batch_readahead": 0, "fragment_readahead": 0}
    for batch in bills.to_batches(columns=columns, batch_size=BILLS_AT_ONCE, use_threads=False, **ahead):
        chosen, low = active[low : low + batch.num_rows], low + batch.num_rows
        yield pa.table(batch).filter(pa.array(chosen))


def _charges(bills: pa.Table) -> pa.Table:
    """Sums of the kWh lines by service point, currency and charge."""
    lists = bills["lines"].combine_chunks()
    lines = pc.list_flatten(lists)
    bill = pc.list_parent_indices(lists)
    table = pa.table(
        {
            "point": pc.struct_field(lines, "service_point_id"),
            "currency": bills["currency"].take(bill),
            "charge": pc.struct_field(lines, "charge"),
            "unit": pc.struct_field(lines, "unit"),
            "quantity": pc.struct_field(lines, "quantity"),
            "amount": pc.struct_field(lines, "amount"),
        }
    )
    chosen = pc.and_(pc.equal(table["unit"], "kWh"), pc.is_valid(table["point"]))
    return _grouped(table.filter(chosen), CHARGE, ("sum", "sum"))


def _grouped(table: pa.Table, keys: Sequence[str], functions: tuple[str, str]) -> pa.Table:
    """``SUMS`` by some keys, sorted by these."""
    found = table.group_by(list(keys), use_threads=False).aggregate(list(zip(SUMS, functions, strict=True)))
    return found.rename_columns([*keys, *SUMS]).sort_by([(name, "ascending") for name in keys])
