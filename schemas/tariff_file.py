"""Tariffs from YAML: errors name the file, the line, what stands there and what was expected."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from schemas.billing_rules import RULES_FILE, BillingRules
from schemas.errors import MeterbeamError
from schemas.tariff_charges import STAGE
from schemas.tariff_fields import Address, MisfitError
from schemas.tariff_version import Tariff

__all__ = ["load_billing_rules", "load_tariff", "load_tariffs", "parse_tariff"]

Model = TypeVar("Model", bound=BaseModel)


def parse_tariff(text: str, where: str) -> Tariff:
    """One tariff version from YAML text; see :func:`_parsed`."""
    return _parsed(text, where, Tariff, "a tariff", "fields such as id, version, calendar, charges")


def load_billing_rules(folder: Path) -> BillingRules:
    """What a tariff folder says beside tariffs; empty rules where it has no such file.

    Raises:
        MeterbeamError: It is wrong; names the line.
    """
    path = folder / RULES_FILE
    if not path.is_file():
        return BillingRules()
    fields = ", ".join(BillingRules.model_fields)
    return _parsed(
        _text(path, "billing rules"), str(path), BillingRules, "billing rules", f"fields of {fields}"
    )


def _parsed(text: str, where: str, model: type[Model], what: str, fields: str) -> Model:
    """A model from YAML text.

    Args:
        text: The file's content.
        where: Its name, for messages.
        model: What it must hold.
        what: Name of that in messages.
        fields: What it consists of, in words.

    Raises:
        MeterbeamError: Names the file, the line, what stands there and what was expected.
    """
    try:
        node, content = _read(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        found = str(getattr(error, "problem", None) or error)
        expected = "each field once" if isinstance(error, _TwiceError) else "valid YAML"
        raise MeterbeamError(f"{where}{line}", found, expected) from error
    except RecursionError as error:
        raise MeterbeamError(where, "lists within lists without end", f"{what} in YAML") from error
    if not isinstance(content, dict):
        found = "an empty file" if content is None else f"a {type(content).__name__}"
        raise MeterbeamError(f"{where}, line 1", found, f"{what}: {fields}")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        address, found, expected = _said(error)
        line_number, field = _place(node, address)
        raise MeterbeamError(
            f"{where}, line {line_number}{': ' if field else ''}{field}", found, expected
        ) from error


def load_tariff(path: Path) -> Tariff:
    """One tariff version from a YAML file.

    Raises:
        MeterbeamError: There is no such file, or it is wrong; names the line.
    """
    return parse_tariff(_text(path, "a tariff"), str(path))


def _text(path: Path, what: str) -> str:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise MeterbeamError(str(path), found, f"{what} in YAML")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise MeterbeamError(f"{path}, byte {error.start}", "no UTF-8 text", f"{what} in YAML") from error


def load_tariffs(folder: Path) -> dict[str, list[Tariff]]:
    """All tariff versions below a folder, by id, each id's in the order they come into force.

    Raises:
        MeterbeamError: A file is wrong, or two versions of a tariff begin on one day.
    """
    if not folder.is_dir():
        raise MeterbeamError(str(folder), "no folder", "a folder of tariff YAML files")
    found: dict[str, list[tuple[Tariff, Path]]] = {}
    for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
        if path == folder / RULES_FILE:
            continue
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


class _TwiceError(yaml.MarkedYAMLError):
    """A key stands twice in one mapping. YAML lets the last one hold: a price that nobody sees."""


class _Loader(yaml.SafeLoader):
    """Dates stay text, so that a wrong one is an error with its line; a key given twice is an error.

    ``on``, ``off``, ``yes`` and ``no`` are names, as in YAML 1.2: a period is often called ``off``.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                problem = f"a second {name!r}, after that of line {seen[name]}"
                raise _TwiceError(problem=problem, problem_mark=key.start_mark)
            seen[name] = line
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [
        pair
        for pair in pairs
        if pair[0] != "tag:yaml.org,2002:timestamp"
        and (pair[0] != "tag:yaml.org,2002:bool" or first in "tTfF")
    ]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _read(text: str) -> tuple[yaml.Node | None, Any]:
    """The node tree of a YAML text, which knows lines, and its content."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _said(error: ValidationError) -> tuple[Address, str, str]:
    """Address, found and expected of the first fault."""
    errors = error.errors()
    # A misspelt field is missing and unknown at once: the unknown name says more.
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    raised = first.get("ctx", {}).get("error")
    if isinstance(raised, MisfitError):
        return (*first["loc"], *raised.address), raised.found, raised.expected
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return first["loc"], "nothing", f"the field {first['loc'][-1]}"
    if first["type"] == "extra_forbidden":
        return first["loc"], f"an unknown field {first['loc'][-1]}", "only fields of the tariff schema"
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        tag = first.get("ctx", {}).get("tag")
        kinds = ", ".join(sorted(STAGE))
        return (*first["loc"], "type"), "nothing" if tag is None else repr(tag), f"a charge type: {kinds}"
    return first["loc"], _shown(first["input"]), message[:1].lower() + message[1:]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "…"


def _place(node: yaml.Node | None, address: Address) -> tuple[int, str]:
    """Line of the deepest YAML node on the way to an address, and the way as a user would write it.

    Steps that pydantic adds, such as the tag of a union, stand in the address but not in the file.
    """
    line, steps = 1, []
    for step in address:
        if isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if str(pair[0].value) == str(step).rstrip("_")]
            if not found:
                if step == address[-1] and str(step).isidentifier():
                    steps.append(str(step))
                continue
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            continue
        steps.append(str(step).rstrip("_"))
    return line, ".".join(steps)
