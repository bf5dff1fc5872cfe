"""What every command gets beside its own options: help text, settings, ``--plugin`` and ``--json``."""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from pipelines import console

__all__ = ["framed", "help_text", "settings_defaults"]

_CODE_SECTION = re.compile(r"^(Args|Returns|Raises|References):$", re.MULTILINE)
_EXAMPLE_SECTION = re.compile(r"^Examples?:$", re.MULTILINE)

_PLUGIN = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="MODULE",
        help="Python module or file with own rules, estimators, detectors or charges; may be repeated.",
    ),
]
_JSON = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


def framed(function: Callable[..., Any]) -> Callable[..., None]:
    """A command with ``--plugin``, and with ``--json`` for its summary, added where it has none.

    Args:
        function: The command; a mapping that it returns is its summary.

    Returns:
        A function for typer with the added options in its signature.
    """
    own = inspect.signature(function).parameters
    added: dict[str, Any] = {}
    if "plugin" not in own:
        added["plugin"] = _PLUGIN
    own_flags = {flag for name in own for flag in _flags(function, name)}
    if "--json" not in own_flags:
        added["summary_as_json"] = _JSON

    @functools.wraps(function)
    def command(**options: Any) -> None:
        from pipelines.plugins import load_plugins

        load_plugins(options.get("plugin") or ())
        as_json = bool(options.get("summary_as_json"))
        result = function(**{name: _placed(value) for name, value in options.items() if name in own})
        if isinstance(result, Mapping):
            console.show_summary(result, as_json=as_json)

    hints = get_type_hints(function, include_extras=True)
    parameters = [p.replace(annotation=hints.get(p.name, p.annotation)) for p in own.values()]
    for name, annotation in added.items():
        default = None if name == "plugin" else False
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        )
    setattr(command, "__signature__", inspect.Signature(parameters))  # noqa: B010 mypy knows no such attribute
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = help_text(function)
    return command


def _placed(value: Any) -> Any:
    """A path, or each of several, that names object storage as such; any other value as it is."""
    from transforms.storage import place

    if isinstance(value, list):
        return [_placed(each) for each in value]
    return place(value) if isinstance(value, Path) else value


def help_text(function: Callable[..., Any]) -> str:
    """The part of a docstring that a user should see: without sections about the code.

    The example comes last and keeps its lines; square brackets are shown, not read as markup.
    """
    doc = inspect.cleandoc(function.__doc__ or "")
    example = ""
    found = _EXAMPLE_SECTION.search(doc)
    if found:
        doc, example = doc[: found.start()], doc[found.end() :]
        example = _until_code_section(example)
    doc = _until_code_section(doc).strip()
    if example:
        doc += "\n\n\b\nExample:\n" + "\n".join(
            line for line in example.strip("\n").splitlines() if line.strip()
        )
    return doc.replace("[", r"\[")


def settings_defaults(function: Callable[..., Any], settings: Path | None) -> dict[str, Any]:
    """Typer context settings in which the values of ``meterbeam.yaml`` stand as a command's defaults.

    A key of the file goes to the option of the same name, if the command has it; a flag wins. Where object
    storage is goes into the environment, unless that says so already.

    Raises:
        MeterbeamError: The file cannot be used; see :func:`schemas.settings.load_settings`.
    """
    if settings is None:
        return {}
    from schemas.settings import load_settings

    stated = load_settings(settings)
    for name, value in (stated.s3.environment() if stated.s3 else {}).items():
        os.environ.setdefault(name, value)  # where workers find it too
    given = stated.given()
    names = [*inspect.signature(function).parameters, "plugin"]
    flags = {name: [flag.lstrip("-").replace("-", "_") for flag in _flags(function, name)] for name in names}
    chosen = {name: given[key] for name in names for key in (*flags[name], name.rstrip("_")) if key in given}
    return {"default_map": chosen}


def _until_code_section(text: str) -> str:
    found = _CODE_SECTION.search(text)
    return text[: found.start()] if found else text


def _flags(function: Callable[..., Any], parameter: str) -> tuple[str, ...]:
    """The option names that a parameter declares itself: ``("--from",)`` for ``from_``."""
    annotation = get_type_hints(function, include_extras=True).get(parameter)
    for extra in getattr(annotation, "__metadata__", ()):
        # Inside Annotated, typer keeps the first name in the place of the default.
        names = (getattr(extra, "default", None), *(getattr(extra, "param_decls", None) or ()))
        flags = tuple(str(name) for name in names if str(name).startswith("-"))
        if flags:
            return flags
    default = inspect.signature(function).parameters.get(parameter)
    declared = getattr(default.default, "param_decls", None) if default else None
    return tuple(declared or ())
