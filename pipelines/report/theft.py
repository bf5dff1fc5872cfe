"""Both theft queues, with what their meters cost."""

from __future__ import annotations

from pipelines.report import display
from pipelines.report.facts import Facts
from pipelines.report.headline import SUSPECT
from pipelines.report.markup import Cell, Column, Content, Html, Table, absent, tag
from pipelines.report.section import Section
from pipelines.report.suspects import suspect_cards

QUEUE_ROWS = 50


def theft(facts: Facts, suspects: int) -> Section:
    """The change queue, with a card for each of the first ``suspects`` open suspects."""
    title = "Theft queue: what changed"
    total = facts.count("change_queue")
    if not total:
        return Section("theft", title, None, absent("No change queue:", _why_none(facts)))
    found = facts.one(
        f"select count(*) as n, sum(kwh_lost) as lost, max(as_of) as as_of from change_queue where {SUSPECT}"
    )
    lead = (
        f"{display.count(found['n'])} of {display.count(total)} ranked meters have a change that cost "
        "energy, together about "
        f"{display.amount(found['lost'] or 0, 0)} kWh{_money_lost(facts)}. A higher score is more "
        f"suspicious; none of it is proof.{_ordered_by(facts, 'change_queue')}"
    )
    top = facts.rows(
        f"select * from change_queue where {SUSPECT} order by rank, meter_id limit {int(suspects)}"
    )
    body: list[Content] = [
        suspect_cards(facts, top)
        if top
        else absent("No open suspect:", "no ranked meter has a change that cost energy."),
        _table(facts, "change_queue", total),
    ]
    return Section("theft", title, lead, body)


def state_queue(facts: Facts) -> Section:
    """Meters that stand out from the fleet as they are, whether or not something changed."""
    title = "Theft queue: what stands out"
    total = facts.count("state_queue")
    if not total:
        why = "it needs feeder meters or at least a whole period of features; " + _why_none(facts)
        return Section("state", title, None, absent("No state queue:", why))
    lead = (
        f"{display.count(total)} meters ranked against the whole fleet: this finds theft that was "
        f"always there.{_ordered_by(facts, 'state_queue')}"
    )
    return Section("state", title, lead, _table(facts, "state_queue", total))


def _money_lost(facts: Facts) -> str:
    """What the suspects' bills lack, by currency, where their queue says it."""
    sums = facts.rows(
        "select currency, sum(money_lost) as lost, count(*) as n from change_queue "
        f"where {SUSPECT} and money_lost is not null group by currency order by currency"
    )
    if not sums:
        return ""
    told = " and ".join(display.money(row["lost"], row["currency"] or "") for row in sums)
    return f", or {told} for the {display.count(sum(row['n'] for row in sums))} that have bills"


def _ordered_by(facts: Facts, queue: str) -> str:
    """Names the model that ordered a queue, where one did."""
    models = facts.rows(f"select distinct model from {queue} where model is not null order by model")
    names = ", ".join(row["model"] for row in models)
    return f" Ordered by the model {names}." if names else ""


def _why_none(facts: Facts) -> str:
    return (
        "this lake holds no readings."
        if not facts.meters
        else "no detect run has ranked this lake's meters; run meterbeam detect."
    )


def _table(facts: Facts, queue: str, total: int) -> Html:
    rows = facts.rows(f"select * from {queue} order by rank, meter_id limit {QUEUE_ROWS}")
    columns = [
        Column("Rank", True),
        Column("Meter"),
        Column("Score", True),
        Column("First week"),
        Column("Lost", True, "kWh"),
        Column("Money lost", True),
        Column("Reasons", prose=True),
        Column("What speaks against", prose=True),
    ]
    body: list[list[Cell | Content]] = [
        [
            Cell(row["rank"], row["rank"]),
            tag("strong", row["meter_id"]),
            Cell(display.amount(row["score"], 2), row["score"]),
            display.day(row["first_week"]),
            Cell(display.amount(row["kwh_lost"], 1), row["kwh_lost"] or 0),
            Cell(display.money(row["money_lost"], row["currency"] or ""), float(row["money_lost"] or 0)),
            "; ".join(display.items(row["reasons"])) or display.NOTHING,
            "; ".join(display.items(row["against"])) or display.NOTHING,
        ]
        for row in rows
    ]
    name = queue.replace("_", "-")
    return Table(
        f"The {name.replace('-', ' ')}",
        columns,
        body,
        total=total,
        query=f"select * from {queue} order by rank",
        name=name,
    ).render()
