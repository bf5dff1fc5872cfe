"""Tariff files a lake keeps: a later run without any prices by those of the run before."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from pipelines.store.lake import Lake
from pipelines.store.parts import whole_file
from schemas.errors import MeterbeamError
from schemas.tariff import load_billing_rules, load_tariffs

SUFFIXES = (".yaml", ".yml")


def keep_tariffs(lake: Path, folder: Path) -> str:
    """Check the tariffs of a folder and keep a copy of its files in the lake, named by their content.

    Returns:
        Names and hashes of the files, as they stand in ``runs``.

    Raises:
        MeterbeamError: There is no such folder, it holds no tariff, or one is wrong; names it.
    """
    load_billing_rules(folder)
    if not load_tariffs(folder):
        raise MeterbeamError(str(folder), "no .yaml file", "a folder of tariff YAML files")
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in _files(folder)}
    text = json.dumps({name: sha256(content).hexdigest()[:16] for name, content in files.items()})
    for name, content in files.items():
        target = _folder(lake, text) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as out:
            out.write(content)
    return text


def kept_tariffs(lake: Path, text: str) -> Path:
    """Folder of the files that a run named.

    Raises:
        MeterbeamError: The lake does not hold them.
    """
    folder = _folder(lake, text)
    missing = [name for name in json.loads(text) if not (folder / name).is_file()]
    if missing:
        raise MeterbeamError(
            str(folder / missing[0]), "no such file", "a tariff of the last run, or --tariffs DIR"
        )
    return folder


def kept_folder(lake: Path, text: str) -> Path:
    """Folder in which the lake keeps the files that a run named."""
    return _folder(lake, text)


def tariffs_in_force(lake: Lake, folder: Path | None) -> str | None:
    """The tariff files of a run, as they stand in ``runs``: those it was given, or those of the last one."""
    if folder is not None:
        return keep_tariffs(lake.path, folder)
    runs = lake.runs()
    return runs["tariffs"][-1].as_py() if runs.num_rows else None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)


def _folder(lake: Path, text: str) -> Path:
    return lake / "tariffs" / sha256(text.encode()).hexdigest()[:16]
