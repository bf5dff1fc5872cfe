"""What was not simply measured: how much, when, and by which method."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from pipelines.report import display
from pipelines.report.chart import Bar, bar_chart, legend, responsive, share_bar
from pipelines.report.facts import MADE, MEASURED, NONE_LEFT, QUALITIES, Facts, Row, sum_of, weeks_or_days
from pipelines.report.markup import Cell, Column, Content, Html, Table, absent, figure, tag
from pipelines.report.section import Section

STYLES = {
    "QUESTIONABLE": "f5",
    "EDITED": "f7",
    "ESTIMATED": "f2",
    "SUBSTITUTED": "f3",
    "FAILED": "f6",
    "MISSING": "f4",
}
"""Colour class of each quality that is not plainly measured, in stacking order."""


def estimation(facts: Facts) -> Section:
    """The section."""
    title = "Estimates and edits"
    if not facts.expected:
        return Section(
            "estimation", title, None, absent("Nothing to estimate:", "this lake holds no readings.")
        )
    made, left = facts.share_of(MADE), facts.share_of(NONE_LEFT)
    doubted = facts.slots["QUESTIONABLE"]
    lead = (
        f"{display.count(made)} of {display.count(facts.expected)} slots "
        f"({display.percent(made, facts.expected)}) carry a made value, "
        f"{display.count(left)} have none, {display.count(doubted)} are measured but doubted."
    )
    if made + left + doubted == 0:
        return Section(
            "estimation",
            title,
            lead,
            absent("Nothing was estimated, edited or doubted:", "every slot is a measured value."),
        )
    return Section(
        "estimation",
        title,
        lead,
        [_over_time(facts), tag("div", _by_method(facts), _by_quality(facts), class_="columns")],
    )


def _over_time(facts: Facts) -> Html:
    group, word = weeks_or_days(facts)
    sums = ", ".join(f"sum({name.lower()})::bigint as {name}" for name in QUALITIES)
    rows = facts.rows(f"select {group} as at, {sums} from report_days group by 1 order by 1")
    bars = [_bar(row, word) for row in rows]
    label = f"Share of slots not plainly measured, by {word}"
    return figure(
        f"Share of slots that are not plainly measured, by {word}",
        legend([(style, name.capitalize()) for name, style in STYLES.items() if facts.slots[name]]),
        responsive(lambda width: bar_chart(bars, label=label, unit="% of slots", width=width), 1080),
    )


def _bar(row: Row, word: str) -> Bar:
    whole = sum(row[name] for name in QUALITIES)
    parts = [(style, row[name] / whole * 100) for name, style in STYLES.items()]
    told = [f"{name.lower()} {display.percent(row[name], whole)}" for name in STYLES if row[name]]
    start = "Week of " if word == "week" else ""
    return Bar(
        f"{row['at']:%m-%d}",
        parts,
        f"{start}{display.day(row['at'])}: " + (", ".join(told) or "all measured"),
    )


def _by_method(facts: Facts) -> Html:
    """Methods of made values, read slot by slot from odd days only."""
    rows = facts.rows(
        f"""
        select method, quality, channel, count(*) as slots, sum(value) as energy
        from (
            select channel, unnest("values") as value, unnest(qualities) as quality,
                unnest(methods) as method
            from days where {_odd(facts)}
        )
        where quality in {MADE} group by all
        """
    )
    slots: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    energy: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        slots[row["method"]][row["quality"]] += row["slots"]
        if row["channel"] == facts.channel:
            energy[row["method"]] += row["energy"] or 0
    if not slots:
        return absent("No value was made:", "nothing was estimated, substituted or edited.")
    whole = max(sum(by.values()) for by in slots.values())
    order = sorted(slots, key=lambda name: (-sum(slots[name].values()), name))
    body: list[list[Cell | Content]] = []
    for name in order:
        total = sum(slots[name].values())
        parts = [
            (STYLES[quality], slots[name][quality]) for quality in ("ESTIMATED", "SUBSTITUTED", "EDITED")
        ]
        body.append(
            [
                _words(name),
                share_bar(parts, whole),
                Cell(display.count(total), total),
                Cell(display.amount(energy.get(name), 1), float(energy.get(name) or 0)),
            ]
        )
    columns = [
        Column("Method"),
        Column("", wide=True),
        Column("Slots", True),
        Column(f"{facts.channel}", True, facts.unit),
    ]
    return Table("How values were made, by method", columns, body, name="methods").render()


def _odd(facts: Facts) -> str:
    """SQL over a row of ``days``: it holds made values; simple, to be applied before lists are read."""
    edited = facts.count("report_days", f"{sum_of(MADE)} > 0 and coalesce(estimated_share, 0) = 0")
    if not edited:
        return "estimated_share > 0"
    return (
        "(estimated_share > 0 or (meter_id, channel, local_day) in "
        f"(select (meter_id, channel, local_day) from report_days where {sum_of(MADE)} > 0))"
    )


def _words(name: str) -> str:
    return name.replace("_SCALED", " scaled to register").replace("_", " ").lower()


def _by_quality(facts: Facts) -> Html:
    columns = [Column("Quality"), Column("", wide=True), Column("Slots", True), Column("Share", True)]
    rows: list[list[Cell | Content]] = [
        [
            name.capitalize(),
            share_bar([(STYLES.get(name, "f1"), facts.slots[name])], facts.expected),
            Cell(display.count(facts.slots[name]), facts.slots[name]),
            Cell(display.percent(facts.slots[name], facts.expected), facts.slots[name]),
        ]
        for name in QUALITIES
        if facts.slots[name]
    ]
    measured = facts.share_of(MEASURED)
    return Table(
        f"All slots by quality ({display.count(measured)} measured)", columns, rows, name="qualities"
    ).render()
