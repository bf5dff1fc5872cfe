"""The fleet's mean day and what was used in each time-of-use period."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from pipelines.report import display
from pipelines.report.chart import Band, Bar, Line, bar_chart, legend, line_chart, responsive, share_bar
from pipelines.report.facts import Facts, weeks_or_days
from pipelines.report.markup import Cell, Column, Content, Html, Table, absent, figure, tag
from pipelines.report.section import Section

PERIOD_STYLES = ("f4", "f2", "f7", "f5", "f3", "f8")
"""Colours of periods, dearest first; the cheapest of several is always ``f5``."""

PROFILE_DAYS = 50_000
"""At most about this many meter-days enter the mean profile; more are sampled."""


@dataclass(frozen=True)
class TouBand:
    """A time-of-use period on the clock, as the tariff writes it.

    Attributes:
        season: The tariff's season, empty if it has none.
        weekend: Whether this is the band of weekends, else of weekdays.
        start: Minute of the local day, 0 … 1439.
        end: Minute of the local day, 1 … 1440.
    """

    tariff_id: str
    season: str
    weekend: bool
    period: str
    start: int
    end: int


def load_profile(facts: Facts, bands: Sequence[TouBand]) -> Section:
    """The section."""
    title = "Load and time of use"
    if facts.channel is None:
        return Section("load", title, None, absent("No load profile:", "this lake holds no readings."))
    row = facts.one(
        "select sum(total) as total, count(distinct meter_id) as meters, count(distinct local_day) as "
        "days from report_days where channel = ?",
        facts.channel,
    )
    total = row["total"] or Decimal(0)
    lead = (
        f"{display.amount(total, 0)} {facts.unit} on channel {facts.channel}, "
        f"{display.amount(total / (row['meters'] * row['days']), 2)} {facts.unit} a meter and day."
    )
    order = period_order(facts)
    return Section("load", title, lead, [_profiles(facts, bands, order), _periods(facts, order)])


def period_order(facts: Facts) -> dict[str, str]:
    """Colour class by period, the dearest (by mean rate billed) first."""
    rows = facts.rows(
        "select period, avg(rate) as rate from (select period, null as rate from determinants group by "
        "period union all "
        "select period, avg(rate) from bill_lines where period is not null and rate is not null group by "
        "period) group by period "
        "order by rate desc nulls last, period"
    )
    styles = [PERIOD_STYLES[min(n, len(PERIOD_STYLES) - 1)] for n in range(len(rows))]
    if 1 < len(rows) < 4:
        styles[-1] = "f5"
    return {row["period"]: style for row, style in zip(rows, styles, strict=True)}


def _profiles(facts: Facts, bands: Sequence[TouBand], order: dict[str, str]) -> Html:
    longest = facts.one("select max(interval_s) as s from report_days where channel = ?", facts.channel)
    step = max(int(longest["s"]), 900)
    chosen_days, told = _sample(facts)
    rows = facts.rows(
        f"""
        with slot as (
            select isodow(local_day) >= 6 as weekend, interval_s, unnest("values") as value,
                unnest(range(len("values"))) as n
            from days
            where channel = ? and len("values") * interval_s = 86400 and {chosen_days}
        )
        select weekend, ((n * interval_s) // {step} * {step} // 60)::integer as minute,
            sum(value)::double as quantity, count(value) * interval_s / 3600.0 as hours
        from slot where value is not null
        group by weekend, minute, interval_s order by weekend, minute
        """,
        facts.channel,
    )
    if not rows:
        return absent("No load profile:", "no local day of 24 hours has a value.")
    sums: dict[bool, dict[int, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0]))
    for row in rows:
        cell = sums[row["weekend"]][row["minute"]]
        cell[0] += row["quantity"]
        cell[1] += float(row["hours"])
    rate = "kW" if facts.unit == "kWh" else f"{facts.unit}/h"
    lines = [
        _line(name, style, by, step)
        for name, style, by in (
            ("Weekdays", "s1", sums.get(False, {})),
            ("Weekends", "s6", sums.get(True, {})),
        )
    ]
    note = "Mean of all values, measured or made; days of 23 or 25 hours are left out." + told
    return tag(
        "div",
        [_one(lines, rate, step, chosen, heading, order) for heading, chosen in _charts(bands)]
        or _one(lines, rate, step, (), "", order),
        tag("p", note, class_="note"),
        class_="profiles",
    )


def _charts(bands: Sequence[TouBand]) -> list[tuple[str, list[TouBand]]]:
    """A chart for each season of the first tariff (by id); of its bands those of weekdays."""
    if not bands:
        return []
    first = min(band.tariff_id for band in bands)
    own = [band for band in bands if band.tariff_id == first and not band.weekend]
    seasons = list(dict.fromkeys(band.season for band in own))
    return [
        (f"{first}{f', {season}' if season else ''}", [band for band in own if band.season == season])
        for season in seasons[:2]
    ]


def _sample(facts: Facts) -> tuple[str, str]:
    """Which meter-days enter the mean profile: (SQL over meter_id and local_day, what the reader is told)."""
    total = int(facts.one("select count(*) as n from report_days where channel = ?", facts.channel)["n"])
    if total <= PROFILE_DAYS:
        return "true", ""
    edge = f"{int(PROFILE_DAYS / total * 16**8):08x}"
    told = f" From about {PROFILE_DAYS:,} of {total:,} meter-days, chosen by a hash of meter and day."
    return f"md5(meter_id || local_day::varchar) < '{edge}'", told


def _line(name: str, style: str, by: dict[int, list[float]], step: int) -> Line:
    """Mean power by the middle of each step of the day [h]."""
    points = [
        (minute / 60 + step / 7200, cell[0] / cell[1] if cell[1] else None)
        for minute, cell in sorted(by.items())
    ]
    return Line(name, points, style)


def clock(minute: int) -> str:
    """Minutes of a day as HH:MM."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _one(
    lines: Sequence[Line],
    rate: str,
    step: int,
    bands: Sequence[TouBand],
    heading: str,
    order: dict[str, str],
) -> Html:
    shaded = [
        Band(
            band.start / 60,
            band.end / 60,
            order.get(band.period, "f8"),
            f"{band.period}: {clock(band.start)}–{clock(band.end)}",
        )
        for band in bands
    ]
    labels = [(float(hour), f"{hour:02d}:00") for hour in range(0, 25, 3)]
    names = list(dict.fromkeys(band.period for band in bands))
    caption = "Mean day of a meter" + (f", with the weekday periods of {heading}" if heading else "")
    return figure(
        caption,
        tag(
            "div",
            legend([(line.style, line.name) for line in lines], "stroke"),
            legend([(order.get(name, "f8"), name) for name in names], "band") if names else None,
            class_="legends",
        ),
        responsive(
            lambda width: line_chart(
                lines,
                label=caption,
                unit=rate,
                width=width,
                height=280,
                x_labels=labels,
                bands=shaded,
                span=(0, 24),
                tell=lambda x: clock(round(x * 60 - step / 120)),
            ),
            1080,
        ),
    )


def _periods(facts: Facts, order: dict[str, str]) -> Html:
    rows = facts.rows(
        "select tariff_id, period, direction, unit, sum(quantity) as quantity, count(distinct meter_id) "
        "as meters from determinants group by all"
    )
    if not rows:
        return absent(
            "No time-of-use periods:", "no meter of this lake has a tariff, so no determinants were made."
        )
    whole: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        whole[row["tariff_id"], row["direction"]] += row["quantity"] or 0
    rank = {name: n for n, name in enumerate(order)}
    rows.sort(
        key=lambda row: (
            row["tariff_id"],
            row["direction"] != "import",
            row["direction"],
            rank.get(row["period"], 99),
        )
    )
    body: list[list[Cell | Content]] = []
    for row in rows:
        total = whole[row["tariff_id"], row["direction"]]
        body.append(
            [
                row["tariff_id"],
                row["direction"],
                tag("span", tag("i", class_=f"key {order.get(row['period'], 'f8')}"), row["period"]),
                share_bar([(order.get(row["period"], "f8"), float(row["quantity"] or 0))], float(total)),
                Cell(f"{display.amount(row['quantity'], 1)} {row['unit']}", float(row["quantity"] or 0)),
                Cell(
                    display.percent(row["quantity"], total, 1),
                    float((row["quantity"] or 0) / total) if total else 0,
                ),
                Cell(display.count(row["meters"]), row["meters"]),
            ]
        )
    columns = [
        Column("Tariff"),
        Column("Direction"),
        Column("Period"),
        Column("", wide=True),
        Column("Quantity", True),
        Column("Share", True),
        Column("Meters", True),
    ]
    return tag(
        "div",
        _periods_over_time(facts, order),
        Table("Quantity by time-of-use period", columns, body, name="periods").render(),
        class_="columns",
    )


def _periods_over_time(facts: Facts, order: dict[str, str]) -> Html:
    group, word = weeks_or_days(facts)
    rows = facts.rows(
        f"select {group} as at, period, unit, sum(quantity)::double as quantity from determinants where "
        "direction = 'import' group by all order by 1"
    )
    if not rows:
        return absent("No import determinants:", "nothing was drawn from the grid.")
    unit = rows[0]["unit"]
    by: dict[object, dict[str, float]] = defaultdict(dict)
    for row in rows:
        by[row["at"]][row["period"]] = row["quantity"] or 0.0
    used = [name for name in order if any(name in values for values in by.values())]
    bars = [
        Bar(
            f"{at:%m-%d}",
            [(order[name], values.get(name, 0.0)) for name in reversed(used)],
            f"{at:%Y-%m-%d}: "
            + ", ".join(f"{name} {values[name]:,.1f} {unit}" for name in used if name in values),
        )
        for at, values in by.items()
    ]
    return figure(
        f"Import by period, by {word}",
        legend([(order[name], name) for name in used]),
        responsive(
            lambda width: bar_chart(
                bars, label=f"Import by time-of-use period and {word}", unit=unit, width=width
            ),
            520,
        ),
    )
