"""What a kWh costs at each meter, as its own bills charge it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from models.comparison import EnergyPrice
from models.master import MasterData
from pipelines.store.files import dataset
from pipelines.store.lake import Lake, latest
from pipelines.store.parts import PartFile
from schemas.lake import BILLS

__all__ = ["energy_prices"]

COLUMNS = ("bill_id", "status", "currency", "lines", "revision", "withdrawn")


def energy_prices(lake: Lake, master: MasterData, written: Sequence[PartFile] = ()) -> dict[str, EnergyPrice]:
    """Price of a kWh at each meter that has active bills: what they charge for kWh, fixed charges left out.

    All kWh lines of its service point, riders and credits included, over the kWh of the charge that counts
    most of them.

    Args:
        lake: Read at its last complete run.
        master: Service points.
        written: Parts of the run at work.
    """
    charges = _charges(_bills(lake, written))
    kwh: dict[tuple[str, str], Decimal] = {}
    money: dict[tuple[str, str], Decimal] = {}
    for row in charges.to_pylist():
        key = row["point"], row["currency"]
        kwh[key] = max(kwh.get(key, Decimal(0)), row["quantity_sum"])
        money[key] = money.get(key, Decimal(0)) + row["amount_sum"]
    of_point = {
        point: EnergyPrice((money[point, currency] / energy).quantize(Decimal("0.000001")), currency)
        for (point, currency), energy in sorted(kwh.items())
        if energy > 0
    }
    points = {meter: spans[-1].version.service_point_id for meter, spans in master.spans.items()}
    return {meter: of_point[point] for meter, point in points.items() if point in of_point}


def _bills(lake: Lake, written: Sequence[PartFile]) -> pa.Table:
    """Active bills, those just written included."""
    folder = lake.path / "tables" / BILLS.name
    paths = [*lake.files(BILLS.name), *(str(folder / p.path) for p in written if p.table == BILLS.name)]
    if not paths:
        return BILLS.schema.empty_table().select(COLUMNS)
    rows = latest(dataset(paths, BILLS.schema).to_table(columns=list(COLUMNS), use_threads=False), BILLS)
    return rows.filter(pc.and_(pc.equal(rows["status"], "active"), pc.invert(rows["withdrawn"])))


def _charges(bills: pa.Table) -> pa.Table:
    """Sums of the kWh lines by service point, charge and currency."""
    lists = bills["lines"].combine_chunks()
    lines = pc.list_flatten(lists)
    bill = pc.list_parent_indices(lists)
    table = pa.table(
        {
            "point": pc.struct_field(lines, "service_point_id"),
            "charge": pc.struct_field(lines, "charge"),
            "currency": bills["currency"].take(bill),
            "unit": pc.struct_field(lines, "unit"),
            "quantity": pc.struct_field(lines, "quantity"),
            "amount": pc.struct_field(lines, "amount"),
        }
    )
    table = table.filter(pc.and_(pc.equal(table["unit"], "kWh"), pc.is_valid(table["point"])))
    return table.group_by(["point", "charge", "currency"]).aggregate([("quantity", "sum"), ("amount", "sum")])
