"""``meterbeam evaluate``: how well theft is ranked and faults are found, measured on injected truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from models.theft_bench import Homes

app = typer.Typer()

_Homes = Annotated[
    Path | None,
    typer.Option("--homes", metavar="FILE", help="Parquet: meter_id, day, kwh lists; or local_time, kwh."),
]
_Lake = Annotated[Path | None, typer.Option("--lake", metavar="DIR", help="The customers of a lake.")]
_AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="T", help="The lake as it stood then: a moment, a run number or run id."),
]
_Zone = Annotated[str, typer.Option(help="IANA time zone of the days in --homes.")]
_Seeds = Annotated[int, typer.Option(min=1, help="Draws of each row.")]
_Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the table and its plots.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command("theft")
def theft(
    homes: _Homes = None,
    lake: _Lake = None,
    as_of: _AsOf = None,
    timezone: _Zone = "Europe/Zurich",
    seeds: _Seeds = 10,
    timing: Annotated[str, typer.Option(help="Comma-separated: onset, always, half.")] = "onset,always,half",
    prevalence: Annotated[str, typer.Option(help="Comma-separated shares of thieves.")] = "0.08,0.02",
    attacks: Annotated[
        str, typer.Option(help="Comma-separated: FDI1 … FDI6; J5 and J6 are the held-out ones.")
    ] = "FDI1,FDI2,FDI3,FDI4,FDI5,FDI6",
    feeders: Annotated[int, typer.Option(min=1, help="Feeders the homes are spread over.")] = 10,
    top: Annotated[int, typer.Option(min=1, help="Meters inspected, for precision and recovery.")] = 20,
    references: Annotated[
        bool,
        typer.Option(
            "--references/--no-references", help="Also models taught on other halves of these homes: slower."
        ),
    ] = True,
    teach: Annotated[
        str, typer.Option(help="Comma-separated attacks that those learn: leave one out to see it new.")
    ] = "FDI1,FDI2,FDI3,FDI4,FDI5,FDI6",
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Orders the state queue; else the default model.")
    ] = None,
    cut: Annotated[
        int | None,
        typer.Option(min=28, help="Cut the --homes into windows of so many days, each a meter of its own."),
    ] = None,
    out: _Out = None,
    as_json: _Json = False,
) -> None:
    """Inject theft into real meters and rank them with the pipeline's own detect run, beside the references.

    Homes, thieves and feeders are paired over methods and timings. "state queue" is ordered as a detect run
    does it, "untaught" without a model, "trained here" by models taught with theft injected into homes of
    the other half. precision is P@top, recovered the share of the stolen energy in the top, auc_by_attack
    the AUC of each kind of thief against the honest.

    Example:
        meterbeam evaluate theft --homes consumption.parquet --timezone Europe/Zurich --seeds 10 --out theft
        meterbeam evaluate theft --lake town --attacks J5,J6
    """
    from models.attacks import ATTACKS, TIMINGS
    from models.theft_evaluation import METRICS, TheftPlan
    from pipelines.batch.model_file import default_model, load_model
    from pipelines.evaluation.evaluate import run_theft

    plan = TheftPlan(
        seeds,
        _names("--timing", timing, TIMINGS),
        _shares(prevalence),
        _names("--attacks", attacks, tuple(ATTACKS)),
        feeders,
        top,
        references,
        default_model() if model is None else load_model(model)[0],
        _names("--teach", teach, tuple(ATTACKS)),
    )
    result = run_theft(_homes(homes, lake, timezone, cut, as_of), plan)
    columns = ("prevalence", "timing", "method", *METRICS, "auc_by_attack")
    _show("theft", result, columns, out, as_json=as_json)


@app.command("faults")
def faults(
    homes: _Homes = None,
    lake: _Lake = None,
    as_of: _AsOf = None,
    timezone: _Zone = "Europe/Zurich",
    seeds: _Seeds = 10,
    each: Annotated[int, typer.Option(min=1, help="Homes broken in each way, in each draw.")] = 15,
    out: _Out = None,
    as_json: _Json = False,
) -> None:
    """Break some real meters in every way and look for them with the pipeline's own fault rules.

    recall counts a broken meter as found when a rule named that fault of it; false alarms are the rows on
    meters that were left whole, a meter and month of 30.4 days.

    Example:
        meterbeam evaluate faults --homes consumption.parquet --timezone Europe/Zurich --seeds 10 --out faults
    """
    from pipelines.evaluation.evaluate import run_faults

    result = run_faults(_homes(homes, lake, timezone, as_of=as_of), seeds=seeds, each=each)
    _show("faults", result, ("fault", "injected", "recall", "any_fault"), out, as_json=as_json)


def _homes(
    file: Path | None, lake: Path | None, timezone: str, cut: int | None = None, as_of: str | None = None
) -> Homes:
    from pipelines.evaluation.homes import homes_of_file, homes_of_lake
    from pipelines.query import parse_as_of
    from pipelines.store.lake import Lake
    from schemas.errors import UsageError

    if (file is None) == (lake is None):
        found = "neither" if file is None else "both"
        raise UsageError("--homes, --lake", found, "one of the two")
    if lake is not None:
        return homes_of_lake(Lake.open(lake, as_of=parse_as_of(as_of)))
    if as_of is not None:
        raise UsageError("--as-of", "--homes beside it", "--lake, which has a past")
    return homes_of_file(Path(str(file)), timezone, cut)


def _names(option: str, text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    from schemas.errors import UsageError

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise UsageError(option, repr(unknown[0] if unknown else text), f"some of {', '.join(known)}")
    return names


def _shares(text: str) -> tuple[float, ...]:
    from schemas.errors import UsageError

    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError("--prevalence", repr(text), "shares such as 0.08,0.02") from error
    if not all(0 < share <= 0.5 for share in shares):
        raise UsageError("--prevalence", text, "shares above 0, at most 0.5")
    return shares


def _show(
    name: str, result: dict[str, Any], columns: tuple[str, ...], out: Path | None, *, as_json: bool
) -> None:
    from pipelines.evaluation.evaluate import table_text, write_result

    if out is not None:
        result["files"] = write_result(out, name, result, columns)
    if as_json:
        typer.echo(json.dumps(result, indent=1))
        return
    typer.echo(", ".join(f"{key}: {value}" for key, value in result.items() if key not in ("rows", "files")))
    typer.echo("\n" + table_text(result["rows"], columns))
