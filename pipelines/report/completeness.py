"""How much of what was expected was measured: a calendar of the fleet, then groups, then meters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial
from itertools import groupby

from pipelines.report import display
from pipelines.report.chart import responsive, svg, text
from pipelines.report.facts import MADE, MEASURED, QUALITIES, Facts, Row, sum_of
from pipelines.report.markup import Cell, Column, Content, Html, Table, absent, data_block, figure, join, tag
from pipelines.report.section import Section

LEVELS = (
    (1000, "100 %"),
    (990, "≥ 99 %"),
    (970, "≥ 97 %"),
    (940, "≥ 94 %"),
    (880, "≥ 88 %"),
    (750, "≥ 75 %"),
    (500, "≥ 50 %"),
    (0, "less"),
)
"""Lower edges in per mille, best first; level n is drawn in class ``l{n}``."""

GROUPS_SHOWN = 60
METERS_SHOWN = 20
"""Meters of one group that can be looked into: 60 × 20 rows keep the page small."""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
ALL = f"({' + '.join(name.lower() for name in QUALITIES)})"


def completeness(facts: Facts) -> Section:
    """The section."""
    title = "Completeness"
    if facts.first_day is None or facts.last_day is None:
        return Section(
            "completeness",
            title,
            None,
            absent(
                "No readings are in this lake yet.",
                "Run meterbeam backfill; every expected slot then appears here.",
            ),
        )
    days = facts.rows(
        f"select local_day, sum({sum_of(MEASURED)})::bigint as measured, sum({sum_of(MADE)})::bigint as "
        "made, "
        f"sum({ALL})::bigint as slots, count(distinct meter_id) filter (where {sum_of(MEASURED)} = 0) as "
        "silent, "
        "count(distinct meter_id) as meters from report_days group by local_day order by local_day"
    )
    full = sum(row["measured"] == row["slots"] for row in days)
    measured = facts.share_of(MEASURED)
    lead = (
        f"{display.percent(measured, facts.expected)} of all expected slots were measured; "
        f"{display.count(full)} of {display.count(len(days))} days are complete."
    )
    body = [
        tag(
            "div",
            figure(
                "Share of the fleet's slots that were measured, by day",
                _calendar(days),
                _legend(),
                note="Measured means the meter's own value, whether or not a rule doubts it. "
                "Estimated, edited, failed and missing slots are not.",
            ),
            _worst_days(days),
            class_="split",
        ),
        _matrix(facts, days),
    ]
    return Section("completeness", title, lead, body)


def level(mille: int) -> int:
    """The number of the colour level a share falls in."""
    return next(number for number, (edge, _) in enumerate(LEVELS) if mille >= edge)


def per_mille(part: int, whole: int) -> int:
    """A share in thousandths, rounded down, so that only everything is 1000."""
    return part * 1000 // whole if whole else 0


def _legend() -> Html:
    return tag(
        "ul",
        [tag("li", tag("i", class_=f"key l{n}"), label) for n, (_, label) in enumerate(LEVELS)],
        class_="legend",
    )


def _calendar(days: Sequence[Row]) -> Html:
    """One strip of weeks where it fits (a year and a week), else one a calendar year, cells of equal size."""
    known = {row["local_day"]: row for row in days}
    dates = sorted(known)
    if _weeks(dates) <= 54:
        return responsive(partial(_strip, dates, known, _weeks(dates)), 620)
    years = [list(group) for _, group in groupby(dates, key=lambda day: day.year)]
    return join(responsive(partial(_strip, year, known, 54), 620) for year in years)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _weeks(days: Sequence[date]) -> int:
    return (days[-1] - _monday(days[0])).days // 7 + 1


def _strip(days: Sequence[date], known: dict[date, Row], room: int, width: int) -> Html:
    """Weeks as columns, weekdays as rows; a week is as wide as it would be if there were ``room`` of them."""
    monday = _monday(days[0])
    left, top = 34, 34
    wide = min(46.0, (width - left - 2) / room)
    tall = min(wide, 32)
    years = f"{days[0].year}" if days[0].year == days[-1].year else f"{days[0].year} – {days[-1].year}"
    parts: list[Content] = [text(left, 12, years, anchor="start", style="strong")]
    parts += [
        text(left - 6, round(top + (n + 0.5) * tall + 4, 1), name, anchor="end")
        for n, name in enumerate(WEEKDAYS)
        if n % (1 if tall >= 13 else 3) == 0
    ]
    shown = -40.0
    for week in range(_weeks(days)):
        start = max(days[0], monday + timedelta(days=7 * week))
        x = round(left + week * wide, 1)
        if (week == 0 or start.month != (start - timedelta(days=7)).month) and x - shown > 30:
            parts.append(text(x, top - 6, f"{start:%b}", anchor="start"))
            shown = x
    for day in days:
        x = round(left + (day - monday).days // 7 * wide, 1)
        parts.append(_day(known[day], x, round(top + day.weekday() * tall, 1), wide, tall))
    height = round(top + 7 * tall + 4)
    label = f"Calendar of measured share, {display.day(days[0])} to {display.day(days[-1])}"
    return svg(width, height, label, parts)


def _day(row: Row, x: float, y: float, wide: float, tall: float) -> Html:
    mille = per_mille(row["measured"], row["slots"])
    tip = (
        f"{row['local_day']:%a} {display.day(row['local_day'])}: "
        f"{display.percent(row['measured'], row['slots'])} measured, "
        f"{display.count(row['made'])} slots estimated or edited, "
        f"{display.count(row['slots'] - row['measured'] - row['made'])} without a value, "
        f"{display.count(row['silent'])} of {display.count(row['meters'])} meters silent"
    )
    gap = 2 if wide > 12 else 0.8
    box = tag(
        "rect",
        x=x,
        y=y,
        width=round(wide - gap, 1),
        height=round(tall - gap, 1),
        rx=2 if wide > 12 else 0,
        class_=f"l{level(mille)}",
        data_tip=tip,
    )
    if wide < 40:
        return box
    return join(
        [
            box,
            text(
                round(x + (wide - gap) / 2, 1),
                round(y + tall / 2 + 3, 1),
                str(mille // 10),
                style=f"in l{level(mille)}t",
            ),
        ]
    )


def _worst_days(days: Sequence[Row]) -> Html | None:
    worst = sorted(
        (row for row in days if row["measured"] < row["slots"]),
        key=lambda row: (row["measured"] / row["slots"], row["local_day"]),
    )[:8]
    if not worst:
        return None
    columns = [
        Column("Day"),
        Column("Measured", True),
        Column("Slots lost", True),
        Column("Silent meters", True),
    ]
    rows: list[list[Cell | Content]] = [
        [
            display.day(row["local_day"]),
            Cell(
                display.percent(row["measured"], row["slots"]),
                row["measured"] / row["slots"],
            ),
            Cell(display.count(row["slots"] - row["measured"]), row["slots"] - row["measured"]),
            Cell(display.count(row["silent"]), row["silent"]),
        ]
        for row in worst
    ]
    return Table("The days that lost most", columns, rows, name="worst-days").render()


def grouping(facts: Facts) -> tuple[str, str]:
    """What meters are grouped by: (SQL over service point columns, word)."""
    for column, word in (("feeder_id", "feeder"), ("customer_class", "customer class")):
        groups = int(facts.one(f"select count(distinct {column}) as n from service_points")["n"])
        if 2 <= groups <= GROUPS_SHOWN * 4:
            return f"coalesce({column}, 'no {word}')", word
    return "left(meter_id, greatest(length(meter_id) - 2, 1)) || '…'", "meter id"


def _matrix(facts: Facts, days: Sequence[Row]) -> Html:
    by, word = grouping(facts)
    facts.connection.execute(
        "create or replace temp table report_groups as select m.meter_id, "
        f"{by.replace('meter_id', 'm.meter_id')} as name "
        "from (select distinct meter_id from report_days) m left join (select distinct on (meter_id) * "
        "from service_points "
        "order by meter_id, valid_from desc, service_point_id) s using (meter_id)"
    )
    first, length = days[0]["local_day"], (days[-1]["local_day"] - days[0]["local_day"]).days + 1
    groups = facts.rows(
        f"select name, count(distinct meter_id) as meters, sum({sum_of(MEASURED)}) / sum({ALL}) as share "
        "from report_days "
        f"join report_groups using (meter_id) group by name order by share, name limit {GROUPS_SHOWN}"
    )
    total = int(facts.one("select count(distinct name) as n from report_groups")["n"])
    cells = _cells(facts, first, length, "name", "true")
    meters = _worst_meters(facts, first, length)
    facts.connection.execute("drop table temp.report_groups")
    data = {
        "first": first.isoformat(),
        "length": length,
        "edges": [edge for edge, _ in LEVELS],
        "rows": [
            {
                "name": row["name"],
                "note": f"{row['meters']:,} meters",
                "cells": cells[row["name"]],
                "meters": meters.get(row["name"], []),
            }
            for row in groups
        ],
    }
    part = f" The worst {GROUPS_SHOWN} of {total:,} groups are shown." if total > len(groups) else ""
    return figure(
        f"By {word}, worst first",
        tag("p", tag("button", "← all groups", type="button", class_="back", hidden=True), class_="crumb"),
        tag(
            "div",
            tag("noscript", "This plot is drawn by the page's script."),
            class_="matrix",
            data_source="matrix",
        ),
        data_block("matrix", data),
        note=f"A row a {word}, a column a day. Choose a row to see its meters that lost most "
        f"(up to {METERS_SHOWN}).{part}",
    )


def _cells(facts: Facts, first: date, length: int, key: str, where: str) -> dict[str, str]:
    """Run-length coded shares a row: ``1000x12,985,-1x3`` in per mille, -1 = nothing expected."""
    rows = facts.rows(
        f"select {key} as key, local_day, sum({sum_of(MEASURED)})::bigint as measured, sum({ALL})::bigint "
        "as slots "
        f"from report_days join report_groups using (meter_id) where {where} group by all"
    )
    grid: dict[str, list[int]] = defaultdict(lambda: [-1] * length)
    for row in rows:
        grid[row["key"]][(row["local_day"] - first).days] = per_mille(row["measured"], row["slots"])
    return {name: run_length(values) for name, values in grid.items()}


def run_length(values: Sequence[int]) -> str:
    """Equal neighbours as ``VALUExCOUNT``."""
    parts = []
    for value, group in groupby(values):
        times = sum(1 for _ in group)
        parts.append(f"{value}x{times}" if times > 1 else str(value))
    return ",".join(parts)


def _worst_meters(facts: Facts, first: date, length: int) -> dict[str, list[dict[str, str]]]:
    worst = (
        f"select name, meter_id, sum({sum_of(MEASURED)}) / sum({ALL}) as share from report_days join "
        "report_groups using (meter_id) "
        "group by name, meter_id having share < 1 qualify row_number() over (partition by name order by "
        f"share, meter_id) <= {METERS_SHOWN}"
    )
    facts.connection.execute(f"create or replace temp table report_worst as {worst}")
    cells = _cells(facts, first, length, "meter_id", "meter_id in (select meter_id from report_worst)")
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in facts.rows("select name, meter_id, share from report_worst order by name, share, meter_id"):
        found[row["name"]].append(
            {"name": row["meter_id"], "note": display.percent(row["share"]), "cells": cells[row["meter_id"]]}
        )
    facts.connection.execute("drop table temp.report_worst")
    return found
