"""``meterbeam demo``: everything once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder for input, lake and report.")] = Path("demo-out"),
    real: Annotated[
        bool, typer.Option("--real", help="Real Swiss homes instead of a simulated town.")
    ] = False,
    meters: Annotated[int, typer.Option(min=5, help="Customer meters of the simulated town.")] = 120,
    days: Annotated[int, typer.Option(min=7, help="Local days of the simulated town.")] = 91,
) -> dict[str, Any]:
    """Simulate a town, backfill it, write report.html, print the summary. Opens nothing.

    Example:
        meterbeam demo --out demo-out
    """
    from pipelines.demo import demo as run

    return run(out, real=real, meters=meters, days=days)
