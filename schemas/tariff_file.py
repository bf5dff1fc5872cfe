"""Tariffs from YAML: errors name the file, the line, what stands there and what was expected."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from schemas.errors import MeterbeamError
from schemas.tariff_fields import Address, MisfitError
from schemas.tariff_version import Tariff

__all__ = ["load_tariff", "load_tariffs", "parse_tariff"]


def parse_tariff(text: str, where: str) -> Tariff:
    """One tariff version from YAML text.

    Args:
        text: The file's content.
        where: Its name, for messages.

    Raises:
        MeterbeamError: Names the file, the line, what stands there and what was expected.
    """
    try:
        _no_key_twice(yaml.compose(text), where)
        return Tariff.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise MeterbeamError(f"{where}{line}", str(getattr(error, "problem", error)), "valid YAML") from error
    except ValidationError as error:
        address, found, expected = _said(error)
        line = f", line {_line_of(text, address)}"
        field = ".".join(str(step) for step in address)
        raise MeterbeamError(f"{where}{line}{': ' if field else ''}{field}", found, expected) from error


def load_tariff(path: Path) -> Tariff:
    """One tariff version from a YAML file.

    Raises:
        MeterbeamError: There is no such file, or it is wrong; names the line.
    """
    if not path.is_file():
        raise MeterbeamError(str(path), "no such file", "a tariff in YAML")
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise MeterbeamError(f"{path}, byte {error.start}", "no UTF-8 text", "a tariff in YAML") from error
    return parse_tariff(text, str(path))


def load_tariffs(folder: Path) -> dict[str, list[Tariff]]:
    """All tariff versions below a folder, by id, each id's in the order they come into force.

    Raises:
        MeterbeamError: A file is wrong, or two versions of a tariff begin on one day.
    """
    if not folder.is_dir():
        raise MeterbeamError(str(folder), "no folder", "a folder of tariff YAML files")
    found: dict[str, list[tuple[Tariff, Path]]] = {}
    for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
        tariff = load_tariff(path)
        found.setdefault(tariff.id, []).append((tariff, path))
    for name, versions in found.items():
        versions.sort(key=lambda item: (item[0].effective.from_, item[0].version))
        for (earlier, there), (later, here) in pairwise(versions):
            if earlier.effective.from_ == later.effective.from_ or earlier.version == later.version:
                raise MeterbeamError(
                    f"{here}: tariff {name}",
                    f"version {later.version} from {later.effective.from_}, beside version "
                    f"{earlier.version} from {earlier.effective.from_} in {there}",
                    "versions that differ in number and in first day",
                )
    return {name: [tariff for tariff, _ in versions] for name, versions in found.items()}


def _no_key_twice(node: yaml.Node | None, where: str) -> None:
    """YAML lets the last of two equal keys hold; in a tariff that would be a price nobody sees.

    Raises:
        MeterbeamError: A mapping has a key twice; names the line of the second.
    """
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _no_key_twice(item, where)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                found = f"a second {name!r}, after that of line {seen[name]}"
                raise MeterbeamError(f"{where}, line {line}", found, "each field once")
            seen[name] = line
            _no_key_twice(value, where)


def _said(error: ValidationError) -> tuple[Address, str, str]:
    """Address, found and expected of the first fault."""
    first = error.errors()[0]
    raised = first.get("ctx", {}).get("error")
    if isinstance(raised, MisfitError):
        return (*first["loc"], *raised.address), raised.found, raised.expected
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return first["loc"], "nothing", f"the field {first['loc'][-1]}"
    if first["type"] == "extra_forbidden":
        return first["loc"], f"an unknown field {first['loc'][-1]}", "only fields of the tariff schema"
    return first["loc"], _shown(first["input"]), message


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "…"


def _line_of(text: str, address: Address) -> int:
    """Line of the deepest YAML node on the way to an address."""
    node = yaml.compose(text)
    line = 1
    for step in address:
        if isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == str(step).rstrip("_")]
            if not found:
                continue  # the tag of a union stands in the address, not in the file
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line
