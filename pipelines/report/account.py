"""Where every reading went: each run's closing account, dead letters and versions."""

from __future__ import annotations

import json
from typing import Any

from pipelines.report import display
from pipelines.report.facts import Facts, Row
from pipelines.report.markup import Cell, Column, Content, Html, Table, absent, tag
from pipelines.report.section import Section

ROWS = 30
DEAD_ROWS = 50
ACCOUNT = ("readings_in", "stored", "repeats", "dead_letters")
"""Keys of ``runs.counts`` that form the account: the first is the sum of the others."""


def account(facts: Facts) -> Section:
    """The section."""
    title = "Run account"
    total = facts.count("runs")
    dead = _dead_letters(facts)
    if not total:
        return Section(
            "account", title, None, [absent("No runs:", "nothing has been ingested into this lake."), dead]
        )
    rows = facts.rows(f"select * from runs order by started desc, run_id desc limit {ROWS}")
    sums = [_sum(row) for row in rows]
    wrong = sum(closes is False for closes in sums)
    lead = "Readings in = stored + repeats + dead letters: " + (
        f"{display.count(wrong)} of the runs below do not close."
        if wrong
        else "every run below that counted readings closes."
    )
    return Section("account", title, lead, [_runs(rows, total), dead, _versions(rows[0])])


def counted(row: Row) -> dict[str, Any]:
    """A run's counts, whether stored as JSON or as a map."""
    counts = row["counts"]
    if isinstance(counts, str):
        counts = json.loads(counts) if counts else {}
    return dict(counts or {})


def _sum(row: Row) -> bool | None:
    """Whether a run's account closes; None where it took in no readings or did not count them."""
    counts = counted(row)
    if not counts.get(ACCOUNT[0]):
        return None
    return bool(counts[ACCOUNT[0]] == sum(counts.get(key, 0) for key in ACCOUNT[1:]))


def _runs(rows: list[Row], total: int) -> Html:
    columns = [
        Column("Run"),
        Column("Started", unit="UTC"),
        Column("Took", True),
        *(Column(key.replace("_", " ").capitalize(), True) for key in ACCOUNT),
        Column("Closes"),
        Column("Other counts", prose=True),
    ]
    body: list[list[Cell | Content]] = []
    for row in rows:
        counts, closes = counted(row), _sum(row)
        took = (
            (row["finished"] - row["started"]).total_seconds() if row["finished"] and row["started"] else None
        )
        other = ", ".join(
            f"{key.replace('_', ' ')} {display.count(value) if isinstance(value, (int, float)) else value}"
            for key, value in counts.items()
            if key not in ACCOUNT
        )
        mark = {
            True: tag("span", "✓", class_="ok"),
            False: tag("span", "✗ does not close", class_="bad"),
            None: display.NOTHING,
        }[closes]
        body.append(
            [
                tag("code", row["run_id"]),
                display.moment(row["started"]),
                Cell(display.seconds(took), took or 0),
                *(Cell(display.count(counts.get(key)), counts.get(key, 0)) for key in ACCOUNT),
                mark,
                tag("small", other),
            ]
        )
    return Table(
        "Runs, latest first", columns, body, total=total, query="select * from runs", name="runs"
    ).render()


def _dead_letters(facts: Facts) -> Html:
    total = facts.count("dead_letters")
    if not total:
        return absent("No dead letters:", "all input could be used.")
    rows = facts.rows(
        'select run_id, source, "offset", kind, reason, octet_length(bytes) as size from dead_letters '
        f'order by run_id desc, source, "offset" limit {DEAD_ROWS}'
    )
    columns = [
        Column("Run"),
        Column("Source", prose=True),
        Column("Offset", True),
        Column("Kind"),
        Column("Reason", prose=True),
        Column("Kept", True, "bytes"),
    ]
    body: list[list[Cell | Content]] = [
        [
            tag("code", row["run_id"]),
            row["source"],
            Cell(display.count(row["offset"]), row["offset"]),
            row["kind"],
            row["reason"],
            Cell(display.count(row["size"]), row["size"] or 0),
        ]
        for row in rows
    ]
    return Table(
        "Dead letters: input that could not be used, kept as it came",
        columns,
        body,
        total=total,
        query="select * from dead_letters",
        name="dead-letters",
    ).render()


def _versions(latest: Row) -> Html:
    entries = [
        ("Code", display.items(latest["code_version"])),
        ("Rules", display.items(latest["rules"])),
        ("Tariffs", display.items(latest["tariffs"])),
        ("Inputs of the latest run", display.items(latest["inputs"])),
    ]
    return tag(
        "dl",
        [tag("div", tag("dt", name), tag("dd", _listed(values))) for name, values in entries],
        class_="facts",
    )


def _listed(values: list[str]) -> Content:
    if len(values) <= 6:
        return ", ".join(values) or display.NOTHING
    return [", ".join(values[:5]), f" and {len(values) - 5:,} more"]
