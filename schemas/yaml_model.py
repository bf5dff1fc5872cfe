"""A pydantic model from YAML: errors name the file, the line, what stands there and what was expected."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from schemas.errors import MeterbeamError

__all__ = ["Address", "MisfitError", "Part", "parse_yaml", "read_yaml"]

Model = TypeVar("Model", bound=BaseModel)
Address = tuple[int | str, ...]
LONGEST = 120
"""Characters shown of a wrong value."""


class Part(BaseModel):
    """A frozen part of a file, without unknown fields, that takes no ``true`` for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="wrap")
    @classmethod
    def _no_boolean_as_number(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        wrong = [
            InitErrorDetails(
                type=PydanticCustomError("boolean", "a number, not true or false"), loc=(name,), input=value
            )
            for name, value in (data.items() if isinstance(data, dict) else ())
            if isinstance(value, bool) and not _takes_boolean(cls, name)
        ]
        if wrong:
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        return handler(data)


def _takes_boolean(model: type[BaseModel], name: str) -> bool:
    """Whether a field is one of true or false; a field that is unknown is refused elsewhere."""
    fields = {field.alias or key: field for key, field in model.model_fields.items()}
    return name not in fields or fields[name].annotation is bool


class MisfitError(ValueError):
    """Parts of a model that do not fit together.

    Attributes:
        address: Where it stands, as keys and positions from the part that was checked.
        found, expected: Both sides.
    """

    def __init__(self, address: Address, found: str, expected: str) -> None:
        super().__init__(f"{'.'.join(map(str, address))}: found {found}, expected {expected}")
        self.address, self.found, self.expected = address, found, expected


def read_yaml(path: Path, model: type[Model], what: str) -> Model:
    """A model from a file.

    Args:
        path: The file.
        model: What it must hold.
        what: Name of that in messages, such as ``a rule pack``.

    Raises:
        MeterbeamError: There is no such file, or it is wrong; names the line.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise MeterbeamError(str(path), found, f"{what} in YAML")
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise MeterbeamError(str(path), f"no readable file ({error})", f"{what} in YAML") from error
    except UnicodeDecodeError as error:
        raise MeterbeamError(f"{path}, byte {error.start}", "no UTF-8 text", f"{what} in YAML") from error
    return parse_yaml(text, str(path), model, what)


def parse_yaml(text: str, where: str, model: type[Model], what: str) -> Model:
    """A model from YAML text; ``where`` names it in messages.

    Raises:
        MeterbeamError: Names the file, the line, what stands there and what was expected.
    """
    try:
        node, content = _read(text)
    except RecursionError as error:
        raise MeterbeamError(where, "lists within lists without end", f"{what} in YAML") from error
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        found = str(getattr(error, "problem", None) or error)
        expected = "each field once" if isinstance(error, _TwiceError) else "valid YAML"
        raise MeterbeamError(f"{where}{line}", found, expected) from error
    if content is None and not any(field.is_required() for field in model.model_fields.values()):
        content = {}
    if not isinstance(content, dict):
        found = "an empty file" if content is None else f"a {type(content).__name__}"
        raise MeterbeamError(f"{where}, line 1", found, f"{what}: {_some_fields(model)}")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        address, found, expected = _said(error, model, what)
        line_number, field = _place(node, address)
        raise MeterbeamError(
            f"{where}, line {line_number}{': ' if field else ''}{field}", found, expected
        ) from error


class _TwiceError(yaml.MarkedYAMLError):
    """A key stands twice in one mapping. YAML lets the last one hold: a price that nobody sees."""


class _Loader(yaml.SafeLoader):
    """Dates stay text, so that a wrong one is an error with its line; a key given twice is an error.

    ``on``, ``off``, ``yes`` and ``no`` are names, as in YAML 1.2: a period is often called ``off``.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
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


def _some_fields(model: type[BaseModel]) -> str:
    """The first fields of a model that must be given, as an example of what belongs there."""
    needed = [field.alias or name for name, field in model.model_fields.items() if field.is_required()]
    return f"fields such as {', '.join((needed or _fields(model))[:4])}"


def _fields(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _said(error: ValidationError, model: type[BaseModel], what: str) -> tuple[Address, str, str]:
    """Address, found and expected of the first fault."""
    errors = error.errors()
    # A misspelt field is missing and unknown at once: the unknown name says more.
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    context, address = first.get("ctx", {}), first["loc"]
    raised = context.get("error")
    if isinstance(raised, MisfitError):
        return (*address, *raised.address), raised.found, raised.expected
    if first["type"] == "missing":
        return address, "nothing", f"the field {address[-1]}"
    if first["type"] == "extra_forbidden":
        known = (
            f"one of: {', '.join(sorted(_fields(model)))}" if len(address) == 1 else f"only fields of {what}"
        )
        return address, f"an unknown field {address[-1]}", known
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        tag, key = context.get("tag"), str(context["discriminator"]).strip("'").rstrip("_")
        kinds = context.get("expected_tags", "").replace("'", "")
        found = "nothing" if tag is None else repr(tag)
        return (*address, key), found, f"one of: {kinds}" if kinds else f"the field {key}"
    message = first["msg"].removeprefix("Value error, ")
    return address, _shown(first["input"]), message[:1].lower() + message[1:]


def _shown(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


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
