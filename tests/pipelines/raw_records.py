"""Raw files for lakes in tests, published as an ingest would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from models.sharding import shard_of
from pipelines.store.lake import Lake
from schemas.arrow import RAW
from schemas.lake import RAW_FILES
from schemas.records import SHARDED_KINDS, Kind
from tests.pipelines.lake_days import FACTS
from transforms.raw_codec import write_raw_file
from transforms.raw_stats import raw_stats


def publish_raw(lake: Lake, kind: Kind, *files: Sequence[dict[str, Any]]) -> int:
    """One run that adds a raw file for each list of records."""
    with lake.begin() as run:
        listed = []
        for number, records in enumerate(files):
            table = pa.Table.from_pylist(list(records), schema=RAW[kind])
            shard = np.zeros(table.num_rows, np.int32)
            if kind in SHARDED_KINDS:
                shard = shard_of(table["meter_id"], lake.config.shards)
            folder = lake.path / "raw" / kind.value
            folder.mkdir(parents=True, exist_ok=True)
            name = f"{run.run_no:03d}-{number}.{'arrow' if kind is Kind.INTERVALS else 'parquet'}"
            write_raw_file(folder / name, kind, table, shard)
            stats = raw_stats(kind, table)
            listed.append(
                {
                    "kind": kind.value,
                    "name": name,
                    "rows": stats.rows,
                    "readings": stats.readings,
                    "min_start": stats.min_start,
                    "max_end": stats.max_end,
                }
            )
        stored = pa.schema([field for field in RAW_FILES.schema if field.name != "run_no"])
        run.commit([run.write(RAW_FILES, "a", pa.Table.from_pylist(listed, schema=stored))], {}, FACTS)
        return run.run_no
