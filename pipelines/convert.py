"""``meterbeam convert``: other formats to the Avro input of a backfill."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipelines import console
from pipelines.exchange.blocks import Block, Irregularities, write_block_file
from pipelines.exchange.espi_read import read_espi
from pipelines.exchange.nem12_read import read_nem12
from pipelines.exchange.table_read import TableForm, read_table
from schemas.errors import MeterbeamError
from transforms.storage import on_disk

__all__ = ["FORMATS", "convert"]

FORMATS = {
    "csv": (".csv", ".csv.gz", ".txt"),
    "parquet": (".parquet", ".pq"),
    "nem12": (".csv", ".nem12", ".txt"),
    "espi": (".xml",),
}
"""Formats, and the names of their files in a folder."""
ACCOUNT = "mended.csv"
TOLD = 5


def convert(
    form: str, inputs: Sequence[Path], out: Path, table: TableForm, *, lenient: bool = False
) -> dict[str, Any]:
    """Write an Avro file of IntervalBlock records for each input; returns the summary.

    Args:
        form: One of ``FORMATS``.
        inputs: Files, or folders of them.
        out: Folder for the Avro files; with anything mended, ``mended.csv`` lists it there.
        table: How CSV and Parquet are read.
        lenient: Mend irregular files instead of refusing them.

    Raises:
        MeterbeamError: A file cannot be read; says where and what was expected.
    """
    files = _files(inputs, FORMATS[form])
    on_disk(out).mkdir(parents=True, exist_ok=True)
    irregular = Irregularities(lenient)
    readings = 0
    for file, name in zip(files, _names(files), strict=True):
        readings += write_block_file(out / name, _blocks(form, file, table, irregular), file.name)
    summary: dict[str, Any] = {"files": len(files), "readings": readings, "out": str(out)}
    if lenient:
        summary["mended"] = len(irregular.mended)
        _tell(irregular, out / ACCOUNT)
    return summary


def _blocks(form: str, file: Path, table: TableForm, irregular: Irregularities) -> Iterator[Block]:
    if form == "nem12":
        return read_nem12(file, irregular)
    if form == "espi":
        return read_espi(file, irregular)
    return read_table(file, table)


def _files(inputs: Sequence[Path], endings: tuple[str, ...]) -> list[Path]:
    """The files named, and of folders those of the format."""
    found: list[Path] = []
    for path in map(on_disk, inputs):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.name.lower().endswith(endings) and p.is_file())
            if not inside:
                raise MeterbeamError(str(path), "a folder without such files", " or ".join(endings))
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise MeterbeamError(str(path), "no such file", "a file or folder to convert")
    return found


def _names(files: Sequence[Path]) -> list[str]:
    """An Avro file's name for each input, numbered where two would be the same."""
    seen: Counter[str] = Counter()
    names = []
    for file in files:
        stem = file.name.split(".")[0] or "input"
        seen[stem] += 1
        names.append(f"{stem}.avro" if seen[stem] == 1 else f"{stem}-{seen[stem]}.avro")
    return names


def _tell(irregular: Irregularities, account: Path) -> None:
    """Leave the account of what was mended, and say the first ones."""
    if not irregular.mended:
        account.unlink(missing_ok=True)
        return
    with account.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["where", "found", "mended"])
        rows.writerows([each.where, each.found, each.mended] for each in irregular.mended)
    for each in irregular.mended[:TOLD]:
        console.note(f"mended: {each.where}: {each.found}; {each.mended}")
    if len(irregular.mended) > TOLD:
        console.note(f"mended: {len(irregular.mended) - TOLD} more, all listed in {account}")
