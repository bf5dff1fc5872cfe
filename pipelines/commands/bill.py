"""``meterbeam bill``: explain a bill."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()


@app.command("explain")
def explain(
    bill: Annotated[str, typer.Argument(metavar="BILL_ID", help="As in the view bills.")],
    lake: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the lake.")],
    as_of: Annotated[
        str | None, typer.Option(metavar="T", help="As it stood then: a moment, a run number or a run id.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the customer's page: one HTML file.")
    ] = None,
    pdf: Annotated[
        Path | None, typer.Option(metavar="FILE", help="And as PDF, printed by a Chromium on the path.")
    ] = None,
    slots: Annotated[bool, typer.Option("--slots", help="List every slot, not only days.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show where every line of a bill comes from: its days and slots, with their qualities and methods.

    And what changed since the bill's revision before: lines and slots, before and after.

    Example:
        meterbeam bill explain 5d41402abc4b2a76 --lake town
        meterbeam bill explain 5d41402abc4b2a76 --lake town --json --html bill.html --pdf bill.pdf

    Raises:
        MeterbeamError: There is no such lake, bill or moment, or the page cannot be written.
        UsageError: The moment is none.
    """
    from pipelines.query import parse_as_of
    from pipelines.store.lake import Lake
    from pipelines.store.parts import whole_file
    from pipelines.tariffs.bill_page import bill_page
    from pipelines.tariffs.explain_bill import explain_bill
    from pipelines.tariffs.print_page import print_page

    found = explain_bill(Lake.open(lake), bill, parse_as_of(as_of), each=slots)
    if html is not None:
        with whole_file(html) as out:
            out.write(bill_page(found).encode())
    if pdf is not None:
        print_page(bill_page(found), pdf)
    sys.stdout.write(json.dumps(found) + "\n" if as_json else _told(found))


def _told(bill: dict[str, Any]) -> str:
    """A bill as text."""
    amount = "" if bill["total"] is None else f": {bill['total']} {bill['currency']}"
    lines = [
        f"bill {bill['bill_id']} of account {bill['account_id']}",
        f"{bill['period_start']} to {bill['period_end']}",
        f"revision {bill['revision']}, {bill['status']}{amount}",
    ]
    if bill["reason"]:
        lines.append(bill["reason"])
    for line in bill["lines"]:
        rate = f" at {line['rate']}" if line["rate"] else ""
        lines += ["", f"{_name(line)}: {line['quantity']} {line['unit']}{rate} = {line['amount']}"]
        if "share" in line:
            lines.append(f"  {line['share']} of each of these slots")
        if "because" in line:
            measured = line[f"measured_{line['unit'].lower()}"]
            lines.append(f"  measured {measured} {line['unit']}, billed {line['because']}")
        if "of" in line:
            lines.append(f"  of {', '.join(line['of'])}")
        for day in line.get("days", ()):
            lines += _told_day(day)
    changes = bill["changes"]
    if changes is not None:
        lines += ["", f"since revision {changes['revision_before']} ({changes['total_before']}):"]
        if changes["causes"]:
            lines.append(f"  because of {', '.join(changes['causes'])}")
        for line in changes["lines"]:
            before, after = (line[side]["amount"] if line[side] else "none" for side in ("before", "after"))
            lines.append(f"  {_name(line)}: {before} → {after}")
        for slot in changes["slots"]:
            sides = [
                "none" if slot[side] is None else f"{slot[side]['value']} {slot[side]['quality']}"
                for side in ("before", "after")
            ]
            lines.append(f"  {slot['channel']} {slot['start']}: {' → '.join(sides)}")
    return "\n".join(lines) + "\n"


def _name(line: dict[str, Any]) -> str:
    """Charge, period and tier of a line, as far as it has them."""
    parts = [line["charge"], line["period"], f"tier {line['tier']}" if line["tier"] else None]
    return " ".join(part for part in parts if part)


def _told_day(day: dict[str, Any]) -> list[str]:
    """A day of a line, and its slots where they are listed."""
    counts = [f"{n} {name}" for name, n in {**day["qualities"], **day["methods"]}.items() if name != "none"]
    worth = f" = {day['amount']}" if "amount" in day else ""
    lines = [f"  {day['local_day']}: {day['slots']} slots, {day['quantity']}{worth}, {', '.join(counts)}"]
    for slot in day.get("each", ()):
        rate = f" at {slot['rate']}" if "rate" in slot else ""
        lines.append(
            f"    {slot['start']} {slot['quantity']}{rate} {slot['quality']} {slot['method']} "
            f"{slot['meter_id']}"
        )
    return lines
