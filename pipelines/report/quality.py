"""The data-quality score: what it cost the fleet month by month, and the series with the worst month."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.report import display
from pipelines.report.chart import Bar, bar_chart, legend, responsive, share_bar
from pipelines.report.facts import Facts, Row
from pipelines.report.markup import Cell, Column, Content, Html, Table, absent, figure, tag
from pipelines.report.section import Section

ROWS = 20
"""Series that are listed."""
CAUSES = (("f4", "not received"), ("f2", "estimated"), ("f8", "late"))
"""Colour class and name of what costs points, in stacking order."""
LOST = "(1 - completeness + estimated_share + 1 - coalesce(timeliness, 1))"
"""SQL: zero for a perfect month; finer than the score, which is rounded."""


def quality(facts: Facts) -> Section:
    """The section, of one query: the view reads every reading as it was received."""
    title = "Data quality"
    fleet, series = _months(facts)
    if not fleet:
        return Section("quality", title, None, absent("No score:", "this lake holds no readings."))
    last = fleet[-1]
    late = (
        f"{display.percent(last['timeliness'])} of the readings came within a day of the end of their day."
        if last["timeliness"] is not None
        else "none of the readings says when it was received."
    )
    lead = (
        f"{display.amount(last['score'])} of 100 in {_month(last)}: {display.percent(last['completeness'])} "
        f"of the slots were read, {display.percent(last['estimated_share'])} estimated; {late}"
    )
    worst = (
        _series(series)
        if series
        else absent("No series lost points:", "every slot of every month was read, and in time.")
    )
    return Section("quality", title, lead, [_lost(fleet), tag("div", _fleet(fleet), worst, class_="stack")])


def _months(facts: Facts) -> tuple[list[Row], list[Row]]:
    """The fleet's months in order, and the worst month of each of the worst series."""
    rows = facts.rows(
        f"""
        with worst as (
            select *, {LOST} as lost from data_quality qualify meter_id is null or row_number() over (
                partition by meter_id, channel order by score, lost desc, month desc) = 1
        )
        select *, count(*) filter (where lost > 0) over (partition by meter_id is null) as total
        from worst where meter_id is null or lost > 0
        qualify meter_id is null or row_number() over (
            partition by meter_id is null order by score, lost desc, meter_id, channel) <= {ROWS}
        order by case when meter_id is null then month end, score, lost desc, meter_id, channel
        """
    )
    return [row for row in rows if row["meter_id"] is None], [row for row in rows if row["meter_id"]]


def _month(row: Row) -> str:
    return f"{row['month']:%Y-%m}"


def _points(row: Row) -> list[float]:
    """Points of 100 that each of ``CAUSES`` costs."""
    timely = row["timeliness"]
    shares = [1 - row["completeness"], row["estimated_share"], 0.0 if timely is None else 1 - timely]
    return [100 * share / (2 if timely is None else 3) for share in shares]


def _lost(fleet: Sequence[Row]) -> Html:
    bars = []
    for row in fleet:
        points = _points(row)
        told = ", ".join(f"{name} {at:.2f}" for (_, name), at in zip(CAUSES, points, strict=True))
        parts = [(style, at) for (style, _), at in zip(CAUSES, points, strict=True)]
        bars.append(Bar(_month(row), parts, f"{_month(row)}: {row['score']:.1f} of 100; lost: {told}"))
    caption = "Points of 100 that the fleet lost, by month"
    return figure(
        caption,
        legend(CAUSES),
        responsive(
            lambda width: bar_chart(bars, label=caption, unit="points", width=width, height=180), 1080
        ),
        note="A slot that was not received counts against completeness; where it was estimated, "
        "against the estimated share as well.",
    )


def _columns(*first: Column) -> list[Column]:
    return [
        *first,
        Column("Score", True),
        Column("", wide=True),
        Column("Read", True),
        Column("Estimated", True),
        Column("In time", True),
        Column("Days", True),
        Column("Slots", True),
    ]


def _cells(row: Row, most: float) -> list[Cell | Content]:
    points = _points(row)
    return [
        Cell(display.amount(row["score"]), row["score"]),
        share_bar([(style, at) for (style, _), at in zip(CAUSES, points, strict=True)], most),
        Cell(display.percent(row["completeness"]), row["completeness"]),
        Cell(display.percent(row["estimated_share"]), row["estimated_share"]),
        Cell(display.percent(row["timeliness"]), row["timeliness"]),
        Cell(display.count(row["days"]), row["days"]),
        Cell(display.count(row["slots"]), row["slots"]),
    ]


def _fleet(fleet: Sequence[Row]) -> Html:
    most = max(sum(_points(row)) for row in fleet)
    return Table(
        "The fleet by month",
        _columns(Column("Month")),
        [[_month(row), *_cells(row, most)] for row in fleet],
        query="select * from data_quality where meter_id is null",
        name="quality-months",
    ).render()


def _series(series: Sequence[Row]) -> Html:
    most = max(sum(_points(row)) for row in series)
    return Table(
        "The worst month of each series, lowest score first",
        _columns(Column("Meter"), Column("Channel"), Column("Month")),
        [[tag("strong", row["meter_id"]), row["channel"], _month(row), *_cells(row, most)] for row in series],
        total=series[0]["total"],
        query="select * from data_quality where meter_id is not null order by score",
        name="quality-series",
    ).render()
