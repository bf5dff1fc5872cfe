"""Findings by rule and severity, over time, and the meters with most of them."""

from __future__ import annotations

from collections import defaultdict

from pipelines.report import display
from pipelines.report.chart import Bar, bar_chart, legend, responsive, share_bar
from pipelines.report.facts import Facts, weeks_or_days
from pipelines.report.markup import Cell, Column, Content, Html, Table, absent, figure, tag
from pipelines.report.section import Section

SEVERITIES = {"critical": "f6", "error": "f4", "warning": "f2", "info": "f5"}
"""Colour class of each severity, worst first."""


def severity_style(severity: str | None) -> str:
    """The colour class of a severity, whatever its case; unknown ones look like info."""
    return SEVERITIES.get((severity or "").lower(), "f8")


def severity_rank(severity: str | None) -> int:
    """0 is worst; unknown severities come last."""
    names = list(SEVERITIES)
    return names.index((severity or "").lower()) if (severity or "").lower() in names else len(names)


def badge(severity: str | None) -> Html:
    """A severity as a coloured word."""
    return tag("span", tag("i", class_=f"key {severity_style(severity)}"), severity or "none", class_="badge")


def exceptions(facts: Facts) -> Section:
    """The section."""
    title = "Exceptions"
    total = facts.count("findings")
    if not total:
        why = "every rule passed." if facts.meters else "there are no readings to judge."
        return Section("exceptions", title, None, absent("No findings:", why))
    row = facts.one("select count(distinct meter_id) as meters, count(distinct rule) as rules from findings")
    lead = (
        f"{display.count(total)} findings of {display.count(row['rules'])} rules on "
        f"{display.count(row['meters'])} meters."
    )
    return Section(
        "exceptions",
        title,
        lead,
        [_by_rule(facts), tag("div", _over_time(facts), _by_meter(facts), class_="columns")],
    )


def _by_rule(facts: Facts) -> Html:
    rows = facts.rows(
        "select rule, severity, count(*) as n, count(distinct meter_id) as meters, min(local_day) as "
        "first, max(local_day) as last, "
        "arg_min(meter_id || ' · ' || coalesce(channel, '') || ' · ' || coalesce(strftime(local_day, "
        "'%Y-%m-%d'), '') || ': seen ' "
        "|| coalesce(seen::varchar, '–') || ', expected ' || coalesce(expected::varchar, '–'), "
        "(local_day, meter_id, start)) as example "
        "from findings group by rule, severity"
    )
    rows.sort(key=lambda row: (severity_rank(row["severity"]), -row["n"], row["rule"]))
    most = max(row["n"] for row in rows)
    columns = [
        Column("Rule"),
        Column("Severity"),
        Column("", wide=True),
        Column("Findings", True),
        Column("Meters", True),
        Column("First"),
        Column("Last"),
        Column("First example", prose=True),
    ]
    body: list[list[Cell | Content]] = [
        [
            tag("strong", row["rule"]),
            Cell(badge(row["severity"]), severity_rank(row["severity"])),
            share_bar([(severity_style(row["severity"]), row["n"])], most),
            Cell(display.count(row["n"]), row["n"]),
            Cell(display.count(row["meters"]), row["meters"]),
            display.day(row["first"]),
            display.day(row["last"]),
            Cell(tag("small", row["example"] or display.NOTHING)),
        ]
        for row in rows
    ]
    query = "select * from findings order by local_day, meter_id"
    return Table(
        "Findings by rule and severity", columns, body, name="findings-by-rule", query=query
    ).render()


def _over_time(facts: Facts) -> Html:
    group, word = weeks_or_days(facts)
    rows = facts.rows(
        f"select {group} as at, lower(severity) as severity, count(*) as n from findings where local_day "
        "is not null group by 1, 2 order by 1"
    )
    by: dict[object, dict[str, int]] = defaultdict(dict)
    for row in rows:
        by[row["at"]][row["severity"]] = row["n"]
    names = sorted(
        {row["severity"] for row in rows}, key=lambda name: (severity_rank(name), name), reverse=True
    )
    bars = [
        Bar(
            f"{at:%m-%d}",
            [(severity_style(name), counts.get(name, 0)) for name in names],
            f"{at:%Y-%m-%d}: "
            + ", ".join(f"{name} {counts[name]:,}" for name in reversed(names) if name in counts),
        )
        for at, counts in by.items()
    ]
    return figure(
        f"Findings by {word}",
        legend([(severity_style(name), name) for name in reversed(names)]),
        responsive(
            lambda width: bar_chart(
                bars, label=f"Findings by {word} and severity", unit="findings", width=width
            ),
            520,
        ),
    )


def _by_meter(facts: Facts) -> Html:
    rows = facts.rows(
        "select meter_id, count(*) as n, count(distinct local_day) as days, "
        "string_agg(distinct rule, ', ' order by rule) as rules from findings where meter_id is not null "
        "group by meter_id order by n desc, meter_id limit 10"
    )
    columns = [Column("Meter"), Column("Findings", True), Column("Days", True), Column("Rules", prose=True)]
    body: list[list[Cell | Content]] = [
        [
            row["meter_id"],
            Cell(display.count(row["n"]), row["n"]),
            Cell(display.count(row["days"]), row["days"]),
            row["rules"],
        ]
        for row in rows
    ]
    return Table("Meters with most findings", columns, body, name="findings-by-meter").render()
