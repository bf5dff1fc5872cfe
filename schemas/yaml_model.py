"""A pydantic model from YAML: errors name the file, the line, what stands there and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from schemas.errors import MeterbeamError

__all__ = ["Part", "parse_yaml", "read_yaml"]

Model = TypeVar("Model", bound=BaseModel)
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
        raise MeterbeamError(str(path), "no such file", f"{what} in YAML")
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise MeterbeamError(f"{path}, byte {error.start}", "no UTF-8 text", f"{what} in YAML") from error
    return parse_yaml(text, str(path), model, what)


def parse_yaml(text: str, where: str, model: type[Model], what: str) -> Model:
    """A model from YAML text; ``where`` names it in messages.

    Raises:
        MeterbeamError: Names the file, the line, what stands there and what was expected.
    """
    try:
        node = yaml.compose(text)
        _no_key_twice(node, where)
        content = yaml.safe_load(text)
    except RecursionError as error:
        raise MeterbeamError(where, "an alias that holds itself", "valid YAML") from error
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise MeterbeamError(f"{where}{line}", str(getattr(error, "problem", error)), "valid YAML") from error
    if not isinstance(content, dict):
        raise MeterbeamError(f"{where}, line 1", _shown(content), f"{what}: fields and their values")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        address, found, expected = _said(error)
        field = ".".join(str(step) for step in address)
        line = f", line {_line_of(node, address)}"
        raise MeterbeamError(f"{where}{line}{': ' if field else ''}{field}", found, expected) from error


def _no_key_twice(node: yaml.Node | None, where: str) -> None:
    """YAML lets the last of two equal keys hold, which nobody sees."""
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


def _said(error: ValidationError) -> tuple[tuple[int | str, ...], str, str]:
    """Address, found and expected of the first fault, of an unknown field where there is one."""
    faults = error.errors()
    first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    if first["type"] == "missing":
        return first["loc"], "nothing", f"the field {first['loc'][-1]}"
    if first["type"] == "extra_forbidden":
        return first["loc"], f"an unknown field {first['loc'][-1]}", "only fields of the schema"
    return first["loc"], _shown(first["input"]), first["msg"].removeprefix("Value error, ")


def _shown(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _line_of(node: yaml.Node | None, address: tuple[int | str, ...]) -> int:
    """Line of the deepest YAML node on the way to an address."""
    line = 1
    for step in address:
        if isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == str(step)]
            if not found:
                continue  # the tag of a union stands in the address, not in the file
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line
