"""What to ask the head-end for again."""

from __future__ import annotations

from pipelines.report import display
from pipelines.report.chart import share_bar
from pipelines.report.facts import Facts
from pipelines.report.markup import Cell, Column, Content, Table, absent
from pipelines.report.section import Section

ROWS = 100


def gaps(facts: Facts) -> Section:
    """The section."""
    title = "Gaps to ask for again"
    row = facts.one(
        "select count(*) as n, coalesce(sum(slots), 0)::bigint as slots, count(distinct meter_id) as "
        "meters, max(slots) as most from gaps"
    )
    if not row["n"]:
        why = (
            "every expected slot was received."
            if facts.meters
            else "this lake holds no readings and expects none."
        )
        return Section("gaps", title, None, absent("No gaps:", why))
    lead = (
        f"{display.count(row['slots'])} slots in {display.count(row['n'])} gaps of "
        f"{display.count(row['meters'])} meters were never received. "
        "Late readings fill them and replace the estimates."
    )
    found = facts.rows(
        'select meter_id, channel, "from", "to", slots from gaps order by slots desc, "from", meter_id, '
        f"channel limit {ROWS}"
    )
    columns = [
        Column("Meter"),
        Column("Channel"),
        Column("From", unit="UTC"),
        Column("To", unit="UTC"),
        Column("", wide=True),
        Column("Slots", True),
    ]
    body: list[list[Cell | Content]] = [
        [
            gap["meter_id"],
            gap["channel"],
            display.moment(gap["from"]),
            display.moment(gap["to"]),
            share_bar([("f4", gap["slots"])], row["most"]),
            Cell(display.count(gap["slots"]), gap["slots"]),
        ]
        for gap in found
    ]
    table = Table(
        "Longest first",
        columns,
        body,
        total=row["n"],
        query="select * from gaps order by slots desc",
        name="gaps",
    )
    return Section("gaps", title, lead, table.render())
