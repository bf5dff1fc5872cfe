"""Meter faults that deterministic rules found, with their evidence."""

from __future__ import annotations

from pipelines.report import display
from pipelines.report.chart import share_bar
from pipelines.report.exceptions import badge, severity_rank, severity_style
from pipelines.report.facts import Facts
from pipelines.report.markup import Cell, Column, Content, Html, Table, absent, tag
from pipelines.report.section import Section

ROWS = 200


def faults(facts: Facts) -> Section:
    """The section."""
    title = "Meter faults"
    total = facts.count("faults")
    if not total:
        why = (
            "this lake holds no readings."
            if not facts.meters
            else "either no detect run was made or its fault rules found none."
        )
        return Section("faults", title, None, absent("No faults:", why))
    row = facts.one(
        "select count(distinct meter_id) as meters, count(*) filter (where until is null) as open from faults"
    )
    lead = (
        f"{display.count(total)} faults on {display.count(row['meters'])} meters, "
        f"{display.count(row['open'])} of them not over."
    )
    return Section("faults", title, lead, tag("div", _kinds(facts), _list(facts, total), class_="stack"))


def _kinds(facts: Facts) -> Html:
    rows = facts.rows(
        "select fault, severity, count(*) as n, count(*) filter (where until is null) as open from faults "
        "group by all"
    )
    rows.sort(key=lambda row: (-row["n"], row["fault"]))
    most = max(row["n"] for row in rows)
    columns = [
        Column("Fault"),
        Column("Severity"),
        Column("", wide=True),
        Column("Found", True),
        Column("Not over", True),
    ]
    body: list[list[Cell | Content]] = [
        [
            tag("strong", row["fault"]),
            Cell(badge(row["severity"]), severity_rank(row["severity"])),
            share_bar([(severity_style(row["severity"]), row["n"])], most),
            Cell(display.count(row["n"]), row["n"]),
            Cell(display.count(row["open"]), row["open"]),
        ]
        for row in rows
    ]
    return Table("Faults by kind", columns, body, name="fault-kinds").render()


def _list(facts: Facts, total: int) -> Html:
    rows = facts.rows("select * from faults")
    rows.sort(key=lambda row: (severity_rank(row["severity"]), str(row["since"]), row["meter_id"]))
    columns = [
        Column("Meter"),
        Column("Fault"),
        Column("Severity"),
        Column("Since"),
        Column("Until"),
        Column("Evidence", prose=True),
    ]
    body: list[list[Cell | Content]] = [
        [
            tag("strong", row["meter_id"]),
            row["fault"],
            Cell(badge(row["severity"]), severity_rank(row["severity"])),
            display.moment(row["since"]),
            display.moment(row["until"]) if row["until"] else "not over",
            "; ".join(display.items(row["evidence"])) or display.NOTHING,
        ]
        for row in rows[:ROWS]
    ]
    return Table(
        "Every fault, gravest first", columns, body, total=total, query="select * from faults", name="faults"
    ).render()
