"""Each leading suspect's evidence: load shape before and after, weekly use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

from pipelines.report import display
from pipelines.report.chart import Band, Bar, Line, bar_chart, legend, line_chart, responsive
from pipelines.report.facts import Facts, Row
from pipelines.report.markup import Content, Html, absent, figure, join, tag

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
NIGHTS = [Band(n * 24.0, n * 24.0 + 24, "every-other", DAYS[n]) for n in (1, 3, 5)]
"""Every second day is shaded, so that a week reads as days."""


def suspect_cards(facts: Facts, top: Sequence[Row]) -> Html:
    """A card for each row of the change queue, which must name a first week."""
    meters = [row["meter_id"] for row in top]
    channel = facts.channel
    shapes = _shapes(facts, top, channel)
    weekly = _weekly(facts, meters, channel)
    fleet = _fleet_weeks(facts, channel)
    cards = [
        _card(facts, row, shapes.get(row["meter_id"], {}), weekly.get(row["meter_id"], []), fleet)
        for row in top
    ]
    return tag("div", cards, class_="suspects")


def _shapes(facts: Facts, top: Sequence[Row], channel: str | None) -> dict[str, dict[bool, dict[int, float]]]:
    """Mean measured power by (meter, after?, hour of the week), from values as received.

    Meters are named one by one, so that the filter reaches the files below the views.
    """
    meters = [row["meter_id"] for row in top]
    named = ", ".join("?" for _ in meters)
    rows = facts.rows(
        f"""
        with suspect as (select unnest(?::varchar[]) as meter_id, unnest(?::date[]) as first_week),
        day as (
            select meter_id, local_day, start, local_day >= first_week as after,
                len("values") * interval_s as length
            from days join suspect using (meter_id) where meter_id in ({named}) and channel = ?
        ),
        reading as (
            select meter_id, start, measured, interval_s from readings
            where meter_id in ({named}) and channel = ? and measured is not null
        )
        select r.meter_id, after,
            ((isodow(local_day) - 1) * 24 + (epoch(r.start) - epoch(d.start)) // 3600)::integer as hour,
            sum(measured)::double as quantity, sum(interval_s) / 3600.0 as hours
        from reading r asof join day d on r.meter_id = d.meter_id and r.start >= d.start
        where length = 86400 and epoch(r.start) < epoch(d.start) + length
        group by all
        """,
        meters,
        [row["first_week"] for row in top],
        *meters,
        channel,
        *meters,
        channel,
    )
    found: dict[str, dict[bool, dict[int, float]]] = defaultdict(lambda: {False: {}, True: {}})
    for row in rows:
        found[row["meter_id"]][row["after"]][row["hour"]] = row["quantity"] / float(row["hours"])
    return found


def _weekly(facts: Facts, meters: Sequence[str], channel: str | None) -> dict[str, list[tuple[date, float]]]:
    rows = facts.rows(
        "select meter_id, date_trunc('week', local_day)::date as week, avg(total)::double * 7 as total "
        "from report_days "
        "where meter_id in (select unnest(?::varchar[])) and channel = ? group by all order by 1, 2",
        list(meters),
        channel,
    )
    found: dict[str, list[tuple[date, float]]] = defaultdict(list)
    for row in rows:
        found[row["meter_id"]].append((row["week"], row["total"] or 0.0))
    return found


def _fleet_weeks(facts: Facts, channel: str | None) -> dict[date, float]:
    """The fleet's mean week by week, the yardstick of every suspect."""
    rows = facts.rows(
        "select date_trunc('week', local_day)::date as week, avg(total)::double * 7 as total from "
        "report_days where channel = ? group by 1",
        channel,
    )
    return {row["week"]: row["total"] or 0.0 for row in rows}


def _card(
    facts: Facts,
    row: Row,
    shape: dict[bool, dict[int, float]],
    weeks: Sequence[tuple[date, float]],
    fleet: dict[date, float],
) -> Html:
    reasons, against = display.items(row["reasons"]), display.items(row["against"])
    lost = f"{display.amount(row['kwh_lost'], 0)} kWh"
    if row["money_lost"] is not None:
        lost += f" or {display.money(row['money_lost'], row['currency'] or '')}"
    head = [
        tag("span", f"#{row['rank']}", class_="rank"),
        tag("strong", row["meter_id"]),
        tag("span", f"score {display.amount(row['score'], 2)}", class_="soft"),
        tag("span", f"since the week of {display.day(row['first_week'])}"),
        tag("span", f"about {lost} lost", class_="lost"),
    ]
    told = tag(
        "div",
        tag(
            "div",
            tag("h4", "Why"),
            tag("ul", [tag("li", item) for item in reasons]) if reasons else tag("p", "no reason given"),
        ),
        tag(
            "div",
            tag("h4", "What speaks against"),
            tag("ul", [tag("li", item) for item in against])
            if against
            else tag("p", "nothing on record", class_="soft"),
        ),
        class_="columns tight",
    )
    plots = tag("div", _shape_plot(facts, row, shape), _week_plot(facts, row, weeks, fleet), class_="columns")
    return tag("article", tag("h3", join(head, " ")), told, plots, class_="card suspect")


def hour_of_week(at: float) -> str:
    """Hours since Monday midnight as ``Mon 07:00``."""
    return f"{DAYS[int(at) // 24]} {int(at) % 24:02d}:00"


def _shape_plot(facts: Facts, row: Row, shape: dict[bool, dict[int, float]]) -> Html:
    rate = "kW" if facts.unit == "kWh" else f"{facts.unit}/h"
    lines = [
        Line(name, [(hour + 0.5, shape[after].get(hour)) for hour in range(168)], style)
        for after, name, style in ((False, "before", "s8"), (True, "since", "s4"))
        if shape and shape[after]
    ]
    if not lines:
        return absent("No load shape:", "the meter has no measured reading on a 24-hour day.")
    labels = [(n * 24 + 12.0, name) for n, name in enumerate(DAYS)]
    caption = f"Mean week of {row['meter_id']}, as measured"
    return figure(
        caption,
        legend([(line.style, line.name) for line in lines], "stroke"),
        responsive(
            lambda width: line_chart(
                lines,
                label=caption,
                unit=rate,
                width=width,
                height=200,
                x_labels=labels,
                bands=NIGHTS,
                tell=hour_of_week,
                span=(0, 168),
            ),
            520,
        ),
    )


def _week_plot(
    facts: Facts, row: Row, weeks: Sequence[tuple[date, float]], fleet: dict[date, float]
) -> Html | None:
    if not weeks:
        return None
    before = [week for week, _ in weeks if week < row["first_week"]]
    own = sum(total for week, total in weeks if week < row["first_week"])
    base = sum(fleet.get(week, 0.0) for week in before)
    expected = (
        Line(
            "moving with the fleet",
            [(n, fleet.get(week, 0.0) * own / base) for n, (week, _) in enumerate(weeks)],
            "s1",
        )
        if base
        else None
    )
    bars = [
        Bar(
            f"{week:%m-%d}",
            [("f4" if week >= row["first_week"] else "f8", total)],
            f"Week of {week:%Y-%m-%d}: {total:,.1f} {facts.unit}"
            + (f"; with the fleet it would be {expected.points[n][1]:,.1f}" if expected else ""),
        )
        for n, (week, total) in enumerate(weeks)
    ]
    at = next((n for n, (week, _) in enumerate(weeks) if week >= row["first_week"]), None)
    caption = f"Week by week [{facts.unit}]"
    keys: list[Content] = [legend([("f8", "before"), ("f4", "since")])]
    if expected:
        keys.append(legend([("s1", "if it had moved with the fleet")], "stroke"))
    marks = [(float(at), "first week")] if at else []
    return figure(
        caption,
        tag("div", keys, class_="legends"),
        responsive(
            lambda width: bar_chart(
                bars, label=caption, unit=facts.unit, width=width, height=200, overlay=expected, marks=marks
            ),
            520,
        ),
    )
