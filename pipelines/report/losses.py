"""What flowed through each feeder's meter and did not arrive at its customers' meters."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.report import display
from pipelines.report.chart import share_bar
from pipelines.report.facts import Facts, Row
from pipelines.report.markup import Cell, Column, Content, Html, Table, absent, tag
from pipelines.report.section import Section

DAYS = 31
"""Last local days that are settled: ``settlement`` is reckoned slot by slot when it is asked."""
ROWS = 50


def losses(facts: Facts) -> Section:
    """The section."""
    title = "Losses on feeders"
    settled = _settled(facts) if facts.count("service_points", "role = 'feeder'") else []
    hidden = facts.rows(f"select * from feeder_balance order by rank, feeder_id limit {ROWS}")
    if not settled and not hidden:
        why = (
            "this lake holds no readings."
            if not facts.meters
            else "no feeder has a meter of its own that was read, so there is nothing to compare with."
        )
        return Section("losses", title, None, absent("No losses known:", why))
    tables = [_settlement(settled) if settled else None, _balance(facts, hidden) if hidden else None]
    return Section("losses", title, _lead(settled), tag("div", tables, class_="stack"))


def _settled(facts: Facts) -> list[Row]:
    """By feeder, over the slots in which no value lacks: what went through, what was lost; gravest first."""
    return facts.rows(
        f"""
        with slot as (
            select feeder_id, start, any_value(through) as through, any_value(losses) as losses
            from settlement where local_day > ?::date - {DAYS} and through is not null
            group by feeder_id, start
        )
        select feeder_id, coalesce(sum(through) filter (where losses is not null), 0) as through,
            coalesce(sum(losses), 0) as losses, count(losses) as known, count(*) as slots
        from slot where feeder_id is not null group by feeder_id order by losses desc, feeder_id
        """,
        facts.last_day,
    )


def _lead(settled: Sequence[Row]) -> str | None:
    """The feeder that lost most, and how many seem to gain."""
    if not settled:
        return None
    most, gains = settled[0], sum(row["losses"] < 0 for row in settled)
    lead = (
        f"Most was lost on {most['feeder_id']}: {display.amount(most['losses'], 0)} of "
        f"{display.amount(most['through'], 0)} kWh ({_share(most['losses'], most['through'])}) that went "
        f"through it in the last {DAYS} days reached no meter behind it."
        if most["losses"] > 0
        else f"No feeder lost energy in the last {DAYS} days."
    )
    if not gains:
        return lead
    of = f"{display.count(gains)} of {display.count(len(settled))} feeders"
    return f"{lead} On {of} the meters behind took more than went through."


def _share(part: float, whole: float) -> str:
    """A share that may be negative; nothing where the whole is not positive."""
    if whole <= 0:
        return display.NOTHING
    return f"−{display.percent(-part, whole)}" if part < 0 else display.percent(part, whole)


def _settlement(settled: Sequence[Row]) -> Html:
    most = float(max(row["losses"] for row in settled))
    columns = [
        Column("Feeder"),
        Column("Through", True, "kWh"),
        Column("Lost", True, "kWh"),
        Column("", wide=True),
        Column("Share", True),
        Column("Slots compared", True),
        Column("of", True),
    ]
    rows: list[list[Cell | Content]] = [
        [
            tag("strong", row["feeder_id"]),
            Cell(display.amount(row["through"]), float(row["through"])),
            Cell(display.amount(row["losses"]), float(row["losses"])),
            share_bar([("f4", float(row["losses"]))], most),
            Cell(_share(row["losses"], row["through"]), float(row["losses"] / (row["through"] or 1))),
            Cell(display.count(row["known"]), row["known"]),
            Cell(display.count(row["slots"]), row["slots"]),
        ]
        for row in settled[:ROWS]
    ]
    return Table(
        f"Through each feeder less what was taken behind it, last {DAYS} days",
        columns,
        rows,
        total=len(settled),
        query="select * from settlement",
        name="losses",
    ).render()


def _balance(facts: Facts, rows: Sequence[Row]) -> Html:
    most = max(row["hidden_kwh"] for row in rows)
    numbers = ("through_kwh", "reported_kwh", "technical_kwh", "hidden_kwh")
    columns = [
        Column("Feeder"),
        Column("Days", True),
        *(Column(name.removesuffix("_kwh").capitalize(), True, "kWh") for name in numbers),
        Column("", wide=True),
        Column("Hidden share", True),
    ]
    body: list[list[Cell | Content]] = [
        [
            tag("strong", row["feeder_id"]),
            Cell(display.count(row["days"]), row["days"]),
            *(Cell(display.amount(row[name]), row[name]) for name in numbers),
            share_bar([("f4", row["hidden_kwh"])], most),
            Cell(_share(row["hidden_share"], 1), row["hidden_share"]),
        ]
        for row in rows
    ]
    return Table(
        "Hidden by the detect run's reckoning: what neither meters nor technical loss explain",
        columns,
        body,
        total=facts.count("feeder_balance"),
        query="select * from feeder_balance order by rank",
        name="feeder-balance",
    ).render()
