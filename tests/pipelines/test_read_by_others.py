"""The tables are read by Polars and DuckDB without us: one condition of docs/store.md gives what we show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable

from pipelines.store import commit as committing
from pipelines.store.lake import Lake
from tests.pipelines.lake_days import commit, held, new_lake

DOCS = Path(__file__).resolve().parents[2] / "docs" / "store.md"
COLUMNS = ["meter_id", "local_day", "values", "revision"]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs, a withdrawn day, and a fourth run cut short between its tables and its root."""
    made = new_lake(tmp_path / "lake")
    commit(made, {("m1", 0): (1, 1), ("m2", 0): (2, 1), ("m2", 1): (3, 1)})
    commit(made, {("m1", 0): (4, 2), ("m2", 1): (None, 2)})
    commit(made, {("m1", 0): (5, 3)})

    def stop(step: str) -> None:
        if step == "days committed":
            raise KeyboardInterrupt

    monkeypatch.setattr(committing, "reached", stop)
    with pytest.raises(KeyboardInterrupt):
        commit(made, {("m1", 0): (666, 4)})
    monkeypatch.undo()
    return made.path


def expected(lake: Path, as_of: int | None = None) -> list[tuple[Any, ...]]:
    """What our own reader shows, in plain Python."""
    opened = Lake.open(lake, as_of=as_of)
    return sorted((meter, day, content) for (meter, day), content in held(opened).items())


def as_held(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Rows of others in the same form."""
    return sorted(
        (
            row["meter_id"],
            row["local_day"].day - 1,
            (None if row["withdrawn"] else row["values"][0], row["revision"]),
        )
        for row in rows
    )


def test_duckdb(lake: Path) -> None:
    """The SQL of the docs, over the Delta tables' own file lists, at present and as of each run."""
    found = re.search(r"```sql\n(SELECT \* FROM days.*?)```", DOCS.read_text(), re.DOTALL)
    assert found is not None
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name in ("days", "runs"):
            files = DeltaTable(str(lake / "tables" / name)).file_uris()
            connection.execute(f"CREATE VIEW {name} AS FROM read_parquet({files})")
        for as_of in (1, 2, 3, None):
            now = "(SELECT max(run_no) FROM runs)"
            sql = found[1].replace(now, now if as_of is None else str(as_of))
            assert as_held(connection.sql(sql).to_arrow_table().to_pylist()) == expected(lake, as_of)


def test_polars(lake: Path) -> None:
    """The same with Polars and its own Delta reader."""
    last = pl.read_delta(str(lake / "tables" / "runs"))["run_no"].max()
    rows = (
        pl.scan_delta(str(lake / "tables" / "days"))
        .filter(pl.col("run_no") <= last)
        .sort("revision")
        .unique(["meter_id", "channel", "local_day"], keep="last", maintain_order=True)
        .collect()
    )
    assert as_held(rows.to_dicts()) == expected(lake)
    one = pl.scan_delta(str(lake / "tables" / "days")).filter(pl.col("meter_id") == "m1").collect()
    assert one["revision"].sort().to_list() == [1, 2, 3, 4]
