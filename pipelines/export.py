"""``meterbeam export``: a view of the lake for another system, sent again only where it changed."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import duckdb

from pipelines.exchange.espi_write import write_espi
from pipelines.exchange.lake_days import series_days
from pipelines.exchange.nem12_write import nem12_channel, write_nem12
from pipelines.sent import Sending, SentRecord
from pipelines.store.changes import (
    Selection,
    anything_new,
    changed_days,
    changed_rows,
    replaces,
    withdrawn_keys,
)
from pipelines.store.lake import AsOf, Lake
from pipelines.store.parts import whole_file
from pipelines.store.views import connect
from schemas.channels import HELPED
from schemas.errors import MeterbeamError, UsageError
from transforms.storage import ObjectPath

__all__ = ["FORMATS", "ExportOptions", "export"]

FORMATS = {"csv": ".csv", "parquet": ".parquet", "nem12": ".csv", "espi": ".xml"}
"""Formats and the endings of their files."""
_SERIES_FORMATS = ("nem12", "espi")


@dataclass(frozen=True)
class ExportOptions:
    """What to send.

    Attributes:
        view: One of ``pipelines.store.changes.VIEWS``.
        lake: Folder of the lake.
        out: Folder of the deliveries, or a file (by its ending) for all rows at once.
        form: One of ``FORMATS``.
        as_of: The lake as it stood then.
        since: Run up to which everything was sent; None: as the folder's record says.
        whole: Send everything again.
        selection: Which meters and days.
    """

    view: str
    lake: Path
    out: Path
    form: str = "csv"
    as_of: AsOf | None = None
    since: int | None = None
    whole: bool = False
    selection: Selection = field(default_factory=Selection)


def export(options: ExportOptions) -> dict[str, Any]:
    """Send what changed; returns the summary.

    Raises:
        MeterbeamError: There is no such lake, or what was sent lies ahead of the moment asked for.
        UsageError: The view cannot be written in this format or cut by this selection.
    """
    _check(options)
    lake = Lake.open(options.lake, as_of=options.as_of)
    if not lake.run_no:
        raise MeterbeamError(str(options.lake), "a lake without a run", "one with a backfill in it")
    with connect(lake) as connection:
        if options.out.suffix.lower() in FORMATS.values():
            return _single(options, lake, connection)
        return _delivery(options, lake, connection)


def _check(options: ExportOptions) -> None:
    options.selection.check(options.view)
    if options.form in _SERIES_FORMATS and options.view not in ("readings", "days"):
        raise UsageError("--format", f"{options.form} of {options.view}", "csv or parquet; or readings, days")
    if options.whole and options.since is not None:
        raise UsageError("--whole", "with --since-revision", "one of the two")


def _single(options: ExportOptions, lake: Lake, connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """One file, no record."""
    if options.out.suffix.lower() != FORMATS[options.form]:
        found = f"{options.out.name} for {options.form}"
        raise UsageError("--out", found, f"a folder, or a file that ends in {FORMATS[options.form]}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    since = options.since or 0
    rows, left_out = _write(options, lake, connection, since, options.out)
    return _summary(options, lake, since, rows, [options.out], left_out)


def _delivery(options: ExportOptions, lake: Lake, connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Files of the folder's next delivery, and its record."""
    options.out.mkdir(parents=True, exist_ok=True)
    record = SentRecord(options.out, Lake.open(options.lake).runs()["run_id"][0].as_py())
    selection = json.dumps(
        {"meters": options.selection.meters, "from": options.selection.first, "to": options.selection.last},
        default=str,
    )
    since = 0 if options.whole else options.since
    if since is None:
        since = record.last_run(options.view, options.form, selection)
    if since > lake.run_no:
        raise MeterbeamError(
            str(options.out),
            f"what was sent up to run {since}",
            f"a moment not before it, got run {lake.run_no}",
        )
    if not _news(options, connection, since):
        return _summary(options, lake, since, 0, [], Counter())
    ending = FORMATS[options.form]
    main = options.out / f"{options.view}-r{lake.run_no:06d}{ending}"
    rows, left_out = _write(options, lake, connection, since, main)
    files = [main]
    gone = withdrawn_keys(options.view, options.selection, since) if since else None
    if gone is not None and _count(connection, gone):
        form = "parquet" if options.form == "parquet" else "csv"
        files.append(main.with_name(f"{main.stem}.withdrawn{FORMATS[form]}"))
        _copy(connection, gone, files[-1], form)
    if not rows and len(files) == 1:
        main.unlink()
        files = []
    record.add(
        Sending(options.view, options.form, selection, since, lake.run_no, tuple(f.name for f in files), rows)
    )
    return _summary(options, lake, since, rows, files, left_out)


def _news(options: ExportOptions, connection: duckdb.DuckDBPyConnection, since: int) -> bool:
    """Whether there can be anything to send."""
    if not since:
        return True
    if not replaces(options.view):
        return _count(connection, "SELECT 1 FROM stored.runs_rows WHERE run_no > " + str(since)) > 0
    return bool(connection.execute(anything_new(options.view, since)).fetchall()[0][0])


def _write(
    options: ExportOptions, lake: Lake, connection: duckdb.DuckDBPyConnection, since: int, path: Path
) -> tuple[int, Counter[str]]:
    """Write a file; returns its rows, and the slots of channels that the format has no name for."""
    if options.form not in _SERIES_FORMATS:
        select = changed_rows(options.view, options.selection, since)
        return _copy(connection, select, path, options.form), Counter()
    left_out: Counter[str] = Counter()
    days = changed_days(options.selection, since)
    wanted = _noting(left_out, _CARRIES[options.form])
    series = series_days(connection, days, since=since, zone=lake.config.timezone, wanted=wanted)
    with whole_file(path) as out:
        return _write_series(options.form, out, series, lake), left_out


def _write_series(form: str, out: IO[bytes], series: Any, lake: Lake) -> int:
    if form == "nem12":
        return write_nem12(out, series, lake.finished)
    return write_espi(out, series, zone=lake.config.timezone, published=lake.finished)


_CARRIES: dict[str, Callable[[str], bool]] = {
    "nem12": lambda channel: bool(nem12_channel(channel)),
    "espi": lambda channel: channel not in HELPED,  # its types know no check meter
}


def _noting(left_out: Counter[str], carried: Callable[[str], bool]) -> Callable[[str], bool]:
    """Channels that a format can carry; the others are counted, a series each."""

    def wanted(channel: str) -> bool:
        if carried(channel):
            return True
        left_out[channel] += 1
        return False

    return wanted


def _copy(connection: duckdb.DuckDBPyConnection, select: str, path: Path, form: str) -> int:
    """Write rows by DuckDB under a temporary name, then in place; returns how many."""
    if isinstance(path, ObjectPath):
        with TemporaryDirectory(prefix="meterbeam-") as folder, whole_file(path) as out:
            count = _save(connection, select, Path(folder) / path.name, form)
            with (Path(folder) / path.name).open("rb") as made:
                shutil.copyfileobj(made, out, 1 << 20)
        return count
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        count = _save(connection, select, draft, form)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return count


def _save(connection: duckdb.DuckDBPyConnection, select: str, path: Path, form: str) -> int:
    how = "FORMAT csv, HEADER" if form == "csv" else "FORMAT parquet, COMPRESSION zstd"
    target = str(path).replace("'", "''")
    return int(connection.execute(f"COPY ({select}) TO '{target}' ({how})").fetchall()[0][0])


def _count(connection: duckdb.DuckDBPyConnection, select: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM ({select})").fetchall()[0][0])


def _summary(
    options: ExportOptions, lake: Lake, since: int, rows: int, files: list[Path], left_out: Counter[str]
) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "view": options.view,
        "rows": rows,
        "files": [str(file) for file in files],
        "since_run": since,
        "through_run": lake.run_no,
    }
    if left_out:
        summary["left_out"] = {f"series of {name}": count for name, count in sorted(left_out.items())}
    return summary
