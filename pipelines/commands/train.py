"""``meterbeam train``: a model of suspicion, taught on a lake's own meters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def train(
    lake: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the lake.")] = None,
    homes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Instead: Parquet with meter_id, day, kwh lists; or local_time, kwh."
        ),
    ] = None,
    cut: Annotated[
        int | None,
        typer.Option(min=28, help="Cut the --homes into windows of so many days, each a meter of its own."),
    ] = None,
    timezone: Annotated[str, typer.Option(help="IANA time zone of the days in --homes.")] = "Europe/Zurich",
    method: Annotated[
        str,
        typer.Option(
            help="injected: theft put into the meters' own readings; feedback: what inspectors found; "
            "isolation: a forest without labels."
        ),
    ] = "injected",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save it here, not where the lake's detect runs look.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="T", help="As it stood then: a moment, a run number or a run id.")
    ] = None,
) -> dict[str, Any]:
    """Train what orders the state queue, and say how well it orders meters that it never saw.

    The model is saved as models/theft.skops in the lake: every later detect run takes it, of a follower and
    beside a stream too, without a restart. trained_… and untaught_… are measured on the same meters.

    Example:
        meterbeam train --lake town
        meterbeam train --lake town --method feedback --out model.skops
    """
    from models.trained import METHODS
    from pipelines.batch.train import train_homes, train_lake
    from pipelines.evaluation.homes import homes_of_file
    from pipelines.query import parse_as_of
    from schemas.errors import UsageError

    if method not in METHODS:
        raise UsageError("--method", repr(method), f"one of {', '.join(METHODS)}")
    if (lake is None) == (homes is None):
        found = "neither" if lake is None else "both"
        raise UsageError("--lake, --homes", found, "one of the two")
    if lake is not None:
        return train_lake(lake, method, out, parse_as_of(as_of))
    if as_of is not None:
        raise UsageError("--as-of", "--homes beside it", "--lake, which has a past")
    if out is None or method != "injected":
        found = "no --out" if out is None else f"--method {method}"
        raise UsageError("--homes", found, "--out FILE and --method injected")
    return train_homes(homes_of_file(Path(str(homes)), timezone, cut), str(homes), out)
