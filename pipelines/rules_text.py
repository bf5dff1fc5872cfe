"""Rule packs as data and as text: what ``meterbeam rules`` prints."""

from __future__ import annotations

from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from models.vectors import compare, misfits
from schemas.errors import MeterbeamError
from schemas.rulebook import RuleBook, When, load_rule_book
from schemas.rulepack import RulePack, load_rule_pack, shipped_packs
from schemas.vectors import Vector
from schemas.yaml_model import read_yaml

__all__ = ["as_text", "checked", "explained", "overview", "vector_files"]

SHOWN = 5
"""Differences of a vector that a message names."""


def overview() -> dict[str, Any]:
    """Every shipped pack with its version, source and estimators."""
    return {name: _head(load_rule_pack(name)) for name in shipped_packs()}


def _head(pack: RulePack) -> dict[str, Any]:
    return {
        "version": pack.version,
        "effective": f"{pack.effective.from_} to {pack.effective.to or 'now'}",
        "source": pack.source,
        "estimators": [_step(step) for step in pack.estimation.order],
    }


def _step(step: BaseModel) -> str:
    parts = {name: value for name, value in step.model_dump().items() if value is not None}
    method = parts.pop("method")
    return " ".join([method, *(f"{name}={value}" for name, value in parts.items())])


def explained(name: str) -> dict[str, Any]:
    """Rules with severity and parameters, what each does, and the rest of the pack."""
    book = load_rule_book(name)
    if len(book.entries) > 1:
        return {"book": book.id, "packs": _entries(book)} | {
            f"{entry.pack.id}, version {entry.pack.version}": _pack(entry.pack) for entry in book.entries
        }
    return _pack(book.entries[0].pack)


def _entries(book: RuleBook) -> list[str]:
    """A line for each entry: the pack, what it is for, and its days."""
    return [
        f"{entry.pack.id}, version {entry.pack.version}: {_conditions(entry.when)}, "
        f"{entry.first} to {'now' if entry.last == date.max else entry.last}"
        for entry in book.entries
    ]


def _conditions(when: When) -> str:
    named = [f"{name} {' or '.join(values)}" for name, values in when.model_dump().items() if values]
    return " and ".join(named) or "every series"


def _pack(pack: RulePack) -> dict[str, Any]:
    rules = {}
    for rule in type(pack.rules).model_fields:
        found = getattr(pack.rules, rule)
        if found is None:
            rules[rule] = "not in this pack"
            continue
        content = found.model_dump()
        severity = content.pop("severity")
        doc = (type(found).__doc__ or "").strip().splitlines()[0]
        parameters = " ".join(f"{key}={value}" for key, value in content.items())
        rules[rule] = " ".join(
            part for part in (severity, parameters, f"({doc})" if parameters else "") if part
        )
    return {
        "pack": pack.id,
        **_head(pack),
        "rules": rules,
        "averages": pack.averages.model_dump(),
        "registers": pack.registers.model_dump(exclude_defaults=True, mode="json")
        | {"max_read_gap_days": pack.registers.max_read_gap_days},
        "scale_external": pack.estimation.scale_external,
        "holidays": [str(day) for day in pack.holidays],
    }


def vector_files(pack: str, folder: Path | None) -> list[Path]:
    """Files of golden vectors: those of a folder, or those shipped for a pack.

    Raises:
        MeterbeamError: There is no such folder, or no YAML file in it.
    """
    if folder is None:
        shipped = Path(str(resources.files("schemas") / "packs" / "vectors" / pack))
        return sorted(shipped.glob("*.yaml")) if shipped.is_dir() else []
    if not folder.is_dir():
        raise MeterbeamError(str(folder), "no folder", "a folder of golden vectors in YAML")
    found = sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")])
    if not found:
        raise MeterbeamError(str(folder), "no YAML file", "golden vectors, a file each")
    return found


def checked(name: str, folder: Path | None) -> dict[str, Any]:
    """A pack after its vectors passed; of a book every pack.

    Raises:
        MeterbeamError: The pack or a vector is wrong, or a result differs.
    """
    book = load_rule_book(name)
    own = {entry.pack.id: entry.pack for entry in book.entries}
    if len(own) > 1 and folder is None:
        return {"book": book.id, "packs": _entries(book)} | {n: _passed(p, None) for n, p in own.items()}
    return _passed(book.entries[0].pack, folder)


def _passed(pack: RulePack, folder: Path | None) -> dict[str, Any]:
    passed = []
    for path in vector_files(pack.id, folder):
        vector = read_yaml(path, Vector, "a golden vector")
        for misfit in misfits(vector):
            raise MeterbeamError(
                f"{path}: {misfit.where}", f"{misfit.found} slots", f"the {misfit.expected} slots of that day"
            )
        differences = compare(vector, pack)
        if differences:
            first = differences[:SHOWN]
            more = len(differences) - len(first)
            raise MeterbeamError(
                f"{path}: {vector.name}, pack {pack.id}",
                "; ".join(f"{d.where}: {d.found}" for d in first) + (f"; {more} more" if more else ""),
                "; ".join(f"{d.where}: {d.expected}" for d in first),
            )
        passed.append(vector.name)
    return {"pack": pack.id, **_head(pack), "vectors_passed": passed}


def as_text(content: dict[str, Any], indent: str = "") -> str:
    """Fields as indented lines."""
    lines = []
    for key, value in content.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key}", as_text(value, indent + "  ")]
        elif isinstance(value, list):
            lines.append(f"{indent}{key}: {len(value) or 'none'}" + (":" if value else ""))
            lines += [f"{indent}  {item}" for item in value]
        elif value != "":
            lines.append(f"{indent}{key}: {value}")
    return "\n".join(line for line in lines if line)
