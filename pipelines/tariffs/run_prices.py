"""What a run billed by: tariffs, events, price series, and who was billed for which load."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from models.bill_cycles import Contract
from models.bill_prices import Prices
from models.contracts import contract_book
from models.master import master_data
from pipelines.store.lake import Lake
from pipelines.tariffs.price_records import price_series
from pipelines.tariffs.tariff_book import billing_rules, event_days, received_tariffs, tariff_book
from pipelines.tariffs.tariff_store import kept_tariffs
from schemas.lake import RAW_FILES
from schemas.records import Kind
from transforms.raw_codec import read_raw_shards

__all__ = ["run_contracts", "run_prices"]


def run_prices(lake: Lake, run_no: int) -> Prices:
    """Prices as of a run; of files and of received records.

    Raises:
        MeterbeamError: The lake does not hold the tariff files of that run.
    """
    past = lake.at(run_no)
    text = past.runs()["tariffs"][-1].as_py()
    folder = None if text is None else str(kept_tariffs(lake.path, text))
    return Prices(
        book=tariff_book(folder, received_tariffs(_records(past, Kind.TARIFFS))),
        events=event_days(_records(past, Kind.TARIFF_EVENTS)),
        series=price_series(_records(past, Kind.PRICES)),
        rules=billing_rules(folder),
    )


def run_contracts(lake: Lake, run_no: int, prices: Prices, account: str) -> list[Contract]:
    """Contracts of an account as of a run; of service points only those are read that its loads name."""
    past = lake.at(run_no)
    rows = _records(past, Kind.SERVICE_POINTS)
    points = set(rows.filter(pc.equal(rows["account_id"], account))["service_point_id"].to_pylist())
    for load in prices.rules.loads:
        if load.account == account:
            points.update(point for point, _ in load.terms)
    points.update(sharing.service_point for sharing in prices.rules.shares)
    mine = pc.is_in(rows["service_point_id"], pa.array(sorted(points), pa.string()))
    meters = pc.unique(rows.filter(mine)["meter_id"])
    near = rows.filter(pc.or_(mine, pc.is_in(rows["meter_id"], meters)))
    book = contract_book(master_data(near), prices.rules, lake.config.timezone)
    return [contract for contract in book.every if contract.account_id == account]


def _records(lake: Lake, kind: Kind) -> pa.Table:
    files = lake.table(RAW_FILES.name, ["kind", "name"]).to_pylist()
    paths = [lake.path / "raw" / kind.value / row["name"] for row in files if row["kind"] == kind.value]
    return read_raw_shards(paths, kind, (0,))[0]
