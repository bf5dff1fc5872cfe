"""What a backfill is measured against: a bare decode, a textbook Beam pipeline, Polars, DuckDB.

Each does far less than a backfill: it fills gaps with zero and sums energy by meter, local day and two
time-of-use bands. Polars and DuckDB read files of blocks or of single readings, and of these only the columns
that they need. Run as ``python -m tests.bench.rivals NAME FOLDER``; prints the readings it handled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

ZONE = "Europe/Zurich"
PEAK_HOURS = range(17, 22)
TEXTBOOK_ROWS = 3_000


def decode(folder: Path) -> int:
    """The project's own fast reader on whole files, nothing else."""
    from schemas.mapping import FieldMapping
    from transforms.avro_container import Block, decompress, read_header, walk
    from transforms.ingest_plan import decoder_for, opened

    readings = 0
    for path in sorted(folder.glob("readings-*.avro")):
        with opened(path) as data:
            header = read_header(data, str(path))
            decoder = decoder_for(header.schema, FieldMapping(), ZONE)
            blocks = [item for item in walk(data, header) if isinstance(item, Block)]
            for first in range(0, len(blocks), 32):
                part = blocks[first : first + 32]
                payloads = [
                    decompress(data[b.start : b.start + b.size], header.codec, str(path), b.offset)
                    for b in part
                ]
                readings += decoder.decode(payloads, [block.rows for block in part]).readings
    return readings


def _reading_rows(record: dict[str, Any]) -> Iterator[tuple[tuple[str, Any, bool], int]]:
    for i, value in enumerate(record["values"]):
        local = (record["start"] + timedelta(seconds=i * record["interval_s"])).astimezone(ZoneInfo(ZONE))
        yield (record["meter_id"], local.date().isoformat(), local.hour in PEAK_HOURS), value


def textbook(folder: Path) -> int:
    """A Python object a reading and CombinePerKey, as tutorials do it; on a part of the file."""
    import fastavro

    beam: Any = import_module("apache_beam")

    with sorted(folder.glob("readings-*.avro"))[0].open("rb") as file:
        every: Any = fastavro.reader(file)
        records = [record for _, record in zip(range(TEXTBOOK_ROWS), every, strict=False)]
    counts: list[int] = []
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        sums = pipeline | beam.Create(records) | beam.FlatMap(_reading_rows) | beam.CombinePerKey(sum)
        _ = sums | beam.combiners.Count.Globally() | beam.Map(counts.append)
    return sum(len(record["values"]) for record in records)


def _decoded(path: Path) -> Any:
    """A file's columns as a Polars frame: ``values`` of a block, or ``value`` of a single reading."""
    from polars_avro import read_avro, scan_avro

    names = scan_avro(path).collect_schema().names()
    return read_avro(path, columns=["meter_id", "start", "values" if "values" in names else "value"])


def polars(folder: Path) -> int:
    """A plain Polars script."""
    import polars as pl

    readings = 0
    for path in sorted(folder.glob("readings-*.avro")):
        slots = _decoded(path)
        if "values" in slots.columns:
            slots = slots.with_columns(i=pl.int_ranges(0, pl.col("values").list.len())).explode("values", "i")
            at = pl.col("start") + pl.duration(minutes=15 * pl.col("i"))
            slots = slots.select("meter_id", start=at, value="values")
        readings += slots.height
        full = slots.sort("meter_id", "start").upsample("start", every="15m", group_by="meter_id")
        full = full.with_columns(pl.col("meter_id").forward_fill(), pl.col("value").fill_null(0))
        local = full.with_columns(t=pl.col("start").dt.replace_time_zone("UTC").dt.convert_time_zone(ZONE))
        local.group_by(
            "meter_id",
            pl.col("t").dt.date().alias("day"),
            pl.col("t").dt.hour().is_between(17, 21).alias("peak"),
        ).agg(pl.col("value").sum())
    return readings


def duckdb(folder: Path) -> int:
    """DuckDB SQL over the decoded columns."""
    import duckdb as engine

    of_blocks = """
        SELECT meter_id, start + to_minutes(15 * i) AS moment, v
        FROM (SELECT meter_id, start, unnest(values) AS v, unnest(range(len(values))) AS i FROM records)
        """
    of_rows = "SELECT meter_id, start AS moment, value AS v FROM records"
    readings = 0
    for path in sorted(folder.glob("readings-*.avro")):
        records = _decoded(path).to_arrow()
        with engine.connect(config={"threads": 2}) as connection:
            connection.register("records", records)
            slots = of_blocks if "values" in records.column_names else of_rows
            connection.execute(f"CREATE TABLE slots AS {slots}")
            readings += connection.execute("SELECT count(*) FROM slots").fetchall()[0][0]
            connection.execute(
                """
                CREATE TABLE sums AS
                WITH every AS (SELECT meter_id, unnest(range(min(moment), max(moment) + INTERVAL 15 MINUTE,
                                      INTERVAL 15 MINUTE)) AS moment FROM slots GROUP BY 1),
                     full_load AS (SELECT meter_id, moment, coalesce(v, 0) AS v
                                   FROM every LEFT JOIN slots USING (meter_id, moment))
                SELECT meter_id, (moment AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Zurich')::DATE AS day,
                       hour(moment AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Zurich') BETWEEN 17 AND 21 AS peak,
                       sum(v)
                FROM full_load GROUP BY ALL
                """
            )
    return readings


RIVALS: dict[str, Callable[[Path], int]] = {
    "decode": decode,
    "textbook": textbook,
    "polars": polars,
    "duckdb": duckdb,
}

if __name__ == "__main__":
    sys.stdout.write(f"{RIVALS[sys.argv[1]](Path(sys.argv[2]))}\n")
