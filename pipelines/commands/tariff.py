"""``meterbeam tariff``: check a tariff, price a load, import US rates."""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

app = typer.Typer()

_Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A tariff in YAML, or billing.yaml.")],
    as_json: _Json = False,
) -> None:
    """Check a tariff: total cover of the calendar, no hidden period, no undefined name. Prints its calendar.

    Of billing.yaml, which says what bills need beside tariffs, it checks every entry and counts them.

    Example:
        meterbeam tariff check home-tou.yaml

    Raises:
        MeterbeamError: Names the line, what stands there and what was expected.
    """
    from pipelines.tariffs.tariff_picture import calendar_picture
    from schemas.billing_rules import RULES_FILE
    from schemas.tariff import load_billing_rules, load_tariff

    if file.name == RULES_FILE and file.is_file():
        rules = load_billing_rules(file.parent)
        counts = {field: len(getattr(rules, field)) for field in type(rules).model_fields}
        said = ", ".join(f"{count} {field}" for field, count in counts.items())
        typer.echo(json.dumps(counts) if as_json else f"{file}: {said}")
        return
    tariff = load_tariff(file)
    if as_json:
        content = {
            "tariff": tariff.id,
            "version": tariff.version,
            "periods": [period.id for period in tariff.calendar.periods],
            "charges": [{"id": charge.id, "type": charge.type} for charge in tariff.charges],
        }
        typer.echo(json.dumps(content))
        return
    effective = f"from {tariff.effective.from_} to {tariff.effective.to or 'now'}"
    typer.echo(f"{tariff.id}, version {tariff.version}, {effective}: complete\n")
    typer.echo(calendar_picture(tariff))
    typer.echo("\n" + "\n".join(f"{charge.id}: {charge.type}" for charge in tariff.charges))


@app.command("price")
def price(
    tariffs: Annotated[
        list[Path],
        typer.Argument(metavar="TARIFF", help="A tariff in YAML, or a folder with its versions."),
    ],
    load: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Parquet or CSV with start_utc and import_micro_kwh or import_kwh; export likewise.",
        ),
    ],
    from_: Annotated[str, typer.Option("--from", metavar="DAY", help="First local day, inclusive.")],
    to: Annotated[str, typer.Option("--to", metavar="DAY", help="Last local day, inclusive.")],
    state: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON of the bill before: past_peaks_kw, credit, power_factor, …"),
    ] = None,
    events: Annotated[
        Path | None, typer.Option(metavar="FILE", help='JSON of event days: {"cpp": ["2026-07-14"]}.')
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Parquet or CSV with series_id, start_utc, price.")
    ] = None,
    compare: Annotated[
        list[Path] | None,
        typer.Option(metavar="TARIFF…", help="Other tariffs to rank beside it."),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Price one load: every line of the bill, its total and the state that the next bill begins with.

    Example:
        meterbeam tariff price home-tou.yaml --load year.parquet --from 2026-03-01 --to 2026-03-31 --json
        meterbeam tariff price a.yaml --load y.csv --from 2026-01-01 --to 2026-01-31 --compare b.yaml c.yaml

    Raises:
        MeterbeamError: A file cannot be used, or the load and the tariff do not fit.
        UsageError: A day is none, or the last one lies before the first.
    """
    from pipelines.tariffs.bill_inputs import read_inputs
    from pipelines.tariffs.compare_tariffs import compare_tariffs
    from pipelines.tariffs.load_file import read_load
    from pipelines.tariffs.price_load import price_load, tariff_versions
    from schemas.errors import UsageError

    first, last = _day("--from", from_), _day("--to", to)
    if last < first:
        raise UsageError("--to", to, f"a day not before {from_}")
    if len(tariffs) > 1 and not compare:
        raise UsageError("TARIFF", f"{len(tariffs)} tariffs", "one, and --compare before the others")
    versions = tariff_versions(tariffs[0])
    inputs = read_inputs(first, last, state, events, prices)
    slots = read_load(load)
    # Of several tariffs after --compare only the first is its value; the others come as arguments.
    others = [*(compare or ()), *tariffs[1:]]
    if others:
        bill = compare_tariffs([tariffs[0], *others], slots, inputs)
    else:
        bill = price_load(versions, slots, inputs)
    if as_json:
        typer.echo(json.dumps(bill))
    else:
        sys.stdout.write(_text(bill))


@app.command("import-urdb")
def import_urdb(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON of the US Utility Rate Database (OpenEI API).")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for one YAML file a rate.")],
    timezone: Annotated[
        str, typer.Option(metavar="TZ", help="Time zone of the tariffs; the database names none.")
    ] = "America/New_York",
    as_json: _Json = False,
) -> None:
    """Import US rates: one YAML file a rate, with what was assumed as comments.

    A rate that a tariff cannot express, or that contradicts itself, is refused with the place named; the
    other rates of the file are written.

    Example:
        meterbeam tariff import-urdb rates.json --out tariffs/ --timezone America/Los_Angeles

    Raises:
        MeterbeamError: The file cannot be used, or a rate was refused.
        UsageError: There is no such time zone.
    """
    from pipelines.tariffs.import_urdb import import_rates
    from schemas.errors import MeterbeamError, UsageError

    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError("--timezone", repr(timezone), "a time zone such as America/Denver") from error
    results = list(import_rates(file, out, timezone))
    refused = [result for result in results if isinstance(result, MeterbeamError)]
    written = [str(result) for result in results if isinstance(result, Path)]
    if as_json:
        typer.echo(json.dumps({"written": written, "refused": [error.as_dict() for error in refused]}))
    else:
        for path in written:
            typer.echo(path)
    for each in refused[:-1]:
        typer.echo(f"refused: {each}", err=True)
    if refused:
        raise refused[-1]


def _day(option: str, text: str) -> date:
    from schemas.errors import UsageError

    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(option, repr(text), "a day such as 2026-03-01") from error


def _text(bill: dict[str, Any]) -> str:
    """A bill as aligned text."""
    head = ("charge", "period", "tier", "quantity", "unit", "rate", "amount")
    rows = [head, *(tuple(str(line[name] or "") for name in head) for line in bill["lines"])]
    lines = _aligned(rows, right={"tier", "quantity", "rate", "amount"})
    lines += [
        "",
        f"total {bill['total']} {bill['currency']} for {bill['billed_days']} days, {bill['slots']} slots",
        f"state {json.dumps(bill['state'])}",
    ]
    if "compare" in bill:
        names = ("rank", "tariff", "file", "total", "currency", "more")
        rows = [names, *(tuple(str(row[name]) for name in names) for row in bill["compare"])]
        lines += ["", *_aligned(rows, right={"rank", "total", "more"})]
    return "\n".join(lines) + "\n"


def _aligned(rows: list[tuple[str, ...]], *, right: set[str]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(rows[0], row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
