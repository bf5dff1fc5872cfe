"""Nested records laid flat: in Avro's encoding a record within a record is its fields, and nothing else.

So a schema in which nested records are replaced by their fields (``outer.inner``) reads the same bytes, and
the readers meet plain columns only. A record that may be null has a byte of its own; it stays one column.

References:
    Apache Avro specification, "Binary encoding", Records.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

__all__ = ["branch_of", "laid_flat"]


def laid_flat(record: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any] | None:
    """A record's schema without nested records, every type written out under a name of its own.

    Args:
        record: As fastavro parses it: references are full names.
        named: Schemas by full name.

    Returns:
        The schema; None where a type holds itself, which has no flat form.
    """
    numbers = count()

    def whole(kind: Any, inside: tuple[str, ...]) -> Any:
        if isinstance(kind, str):
            return whole(named[kind], inside) if kind in named else kind
        if isinstance(kind, list):
            return [whole(branch, inside) for branch in kind]
        if not isinstance(kind["type"], str):
            return whole(kind["type"], inside)
        made = {key: value for key, value in kind.items() if key not in ("name", "namespace")}
        if "name" in kind:
            if kind["name"] in inside:
                raise RecursionError(kind["name"])
            inside = (*inside, kind["name"])
            made["name"] = f"type_{next(numbers)}"
        for part in ("items", "values"):
            if part in made:
                made[part] = whole(made[part], inside)
        if "fields" in made:
            made["fields"] = [{"name": f["name"], "type": whole(f["type"], inside)} for f in made["fields"]]
        return made

    try:
        fields = whole(record, ())["fields"]
    except RecursionError:
        return None
    return {"type": "record", "name": record["name"], "fields": [*_spread(fields, "")]}


def _spread(fields: list[dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for field in fields:
        name, kind = prefix + field["name"], field["type"]
        if isinstance(kind, dict) and kind["type"] == "record":
            found += _spread(kind["fields"], f"{name}.")
        else:
            found.append({"name": name, "type": kind})
    return found


def branch_of(kind: Any, path: tuple[str, ...]) -> Any:
    """The type at the end of a path of field names through records that may be null; None: there is none.

    Args:
        kind: Type of the first field, written out.
        path: Names within it.
    """
    for name in path:
        branches = [branch for branch in (kind if isinstance(kind, list) else [kind]) if branch != "null"]
        if len(branches) != 1 or not isinstance(branches[0], dict) or "fields" not in branches[0]:
            return None
        kind = next((field["type"] for field in branches[0]["fields"] if field["name"] == name), None)
    return kind
