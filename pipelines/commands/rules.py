"""``meterbeam rules``: which rule packs there are, whether one is right, what one does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()

_Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
_Pack = Annotated[str, typer.Argument(metavar="PACK", help="A shipped name or a YAML file.")]


@app.command("list")
def list_packs(as_json: _Json = False) -> None:
    """List the rule packs that come with Meterbeam, and the estimators of each in their order.

    Example:
        meterbeam rules list
    """
    from pipelines.rules_text import overview

    _show(overview(), as_json)


@app.command("check")
def check(
    pack: _Pack,
    vectors: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Own golden vectors in YAML; else those shipped for the pack."),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Check a rule pack, and run golden vectors through it: input, expected values, methods and findings.

    Example:
        meterbeam rules check california --vectors my-vectors/

    Raises:
        MeterbeamError: The pack or a vector is wrong, or a result differs from what a vector expects.
    """
    from pipelines.rules_text import checked

    _show(checked(pack, vectors), as_json)


@app.command("explain")
def explain(pack: _Pack = "default", as_json: _Json = False) -> None:
    """Print every rule of a pack with its severity and parameters, and its estimators in their order.

    Example:
        meterbeam rules explain ontario
    """
    from pipelines.rules_text import explained

    _show(explained(pack), as_json)


def _show(content: dict[str, Any], as_json: bool) -> None:
    import json

    from pipelines.rules_text import as_text

    typer.echo(json.dumps(content, default=str) if as_json else as_text(content))
