"""The files of a lake for pyarrow, Delta Lake and DuckDB, on disk or on object storage."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import DeltaTable

from transforms.storage import ObjectPath, client_options, endpoint, place

if TYPE_CHECKING:
    import duckdb

__all__ = ["dataset", "delta_options", "delta_table", "is_delta_table", "serve", "stored_schema"]

REMOTE = "s3://"


def dataset(paths: Sequence[str | Path], schema: pa.Schema) -> ds.Dataset:
    """Parquet files as one dataset; columns that an old file lacks are null."""
    names = [str(path) for path in paths]
    if not names[0].startswith(REMOTE):
        return ds.dataset(names, schema=schema)
    return ds.dataset(
        [name.removeprefix(REMOTE) for name in names], schema=schema, filesystem=_arrow_files(endpoint())
    )


def stored_schema(path: str) -> pa.Schema:
    """Columns of a Parquet file."""
    if not path.startswith(REMOTE):
        return pq.read_schema(path)
    return pq.read_schema(path.removeprefix(REMOTE), filesystem=_arrow_files(endpoint()))


def delta_table(folder: Path, version: int | None = None) -> DeltaTable:
    """The Delta table of a folder, at its newest version or a past one."""
    return DeltaTable(str(folder), version=version, storage_options=delta_options(folder))


def is_delta_table(folder: Path) -> bool:
    """Whether a folder holds a Delta table."""
    return DeltaTable.is_deltatable(str(folder), delta_options(folder))


def delta_options(folder: Path) -> dict[str, str] | None:
    """How Delta Lake reaches a folder: None on disk; commits are conditional puts on object storage."""
    if not isinstance(place(folder), ObjectPath):
        return None
    options = {"aws_conditional_put": "etag"}
    if (address := endpoint()) is not None:
        options["aws_endpoint_url"] = address
    return options | {name: str(value).lower() for name, value in client_options().items()}


def serve(connection: duckdb.DuckDBPyConnection, lake: Path) -> None:
    """Let DuckDB read a lake's files; its own client for object storage would have to be downloaded."""
    if isinstance(lake, ObjectPath):
        connection.register_filesystem(_object_files(endpoint()))


@lru_cache(maxsize=1)
def _object_files(address: str | None) -> Any:
    from obstore.fsspec import FsspecStore

    config: Any = {} if address is None else {"endpoint": address}
    return FsspecStore("s3", config=config, client_options=cast(Any, client_options()))


@lru_cache(maxsize=1)
def _arrow_files(address: str | None) -> Any:
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    return PyFileSystem(FSSpecHandler(_object_files(address)))
