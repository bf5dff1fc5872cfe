"""What a run billed by: tariffs, events, price series, and who was billed for which load."""

from __future__ import annotations

import pyarrow as pa

from models.bill_prices import Prices
from models.contracts import ContractBook, contract_book
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


def run_contracts(lake: Lake, run_no: int, prices: Prices) -> ContractBook:
    """Contracts as of a run."""
    past = lake.at(run_no)
    master = master_data(_records(past, Kind.SERVICE_POINTS))
    return contract_book(master, prices.rules, lake.config.timezone)


def _records(lake: Lake, kind: Kind) -> pa.Table:
    files = lake.table(RAW_FILES.name, ["kind", "name"]).to_pylist()
    paths = [lake.path / "raw" / kind.value / row["name"] for row in files if row["kind"] == kind.value]
    return read_raw_shards(paths, kind, (0,))[0]
