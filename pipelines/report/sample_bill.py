"""One typical bill, line by line, so that a customer could redo the arithmetic."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from pipelines.report import display
from pipelines.report.chart import Bar, bar_chart, legend, responsive
from pipelines.report.facts import MADE, MEASURED, NONE_LEFT, Facts, Row, sum_of
from pipelines.report.markup import Cell, Column, Content, Html, Table, figure, tag


def choose(facts: Facts) -> Row | None:
    """The active bill nearest to the median of the latest period; one with estimates where there is any."""
    rows = facts.rows(
        "with a as (select * from bills where status = 'active'), "
        "latest as (select period_start, period_end from a group by all order by count(*) desc, "
        "period_end desc limit 1), "
        "b as (select a.* from a join latest using (period_start, period_end)) "
        "select *, (select median(total) from b) as middle from b order by estimated_share > 0 desc, "
        "abs(total - (select median(total) from b)), bill_id limit 1"
    )
    return rows[0] if rows else None


def sample_bill(facts: Facts) -> Html | None:
    """The bill's card; None where no bill is active."""
    bill = choose(facts)
    if bill is None:
        return None
    lines = facts.rows(
        "select * from bill_lines where bill_id = ? and revision = ? order by line",
        bill["bill_id"],
        bill["revision"],
    )
    tariffs = sorted({f"{line['tariff_id']} version {line['tariff_version']}" for line in lines})
    head = [
        ("Account", bill["account_id"]),
        ("Period", f"{display.day(bill['period_start'])} to {display.day(bill['period_end'])}"),
        ("Tariff", ", ".join(tariffs) or display.NOTHING),
        ("Bill", f"{bill['bill_id']}, revision {bill['revision']}"),
        ("Measured share", display.percent(1 - (bill["estimated_share"] or 0))),
    ]
    return tag(
        "article",
        tag("h3", "A bill explained"),
        tag(
            "p",
            "The active bill closest to the median, with estimated slots where any bill has them.",
            class_="note",
        ),
        tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in head], class_="facts"),
        _line_table(bill, lines),
        tag("div", _days(facts, bill), _registers(facts, bill, lines), class_="columns"),
        class_="card bill",
    )


def check(line: Row) -> tuple[str, str]:
    """Whether quantity × rate is the amount: (mark, sentence)."""
    if line["quantity"] is None or line["rate"] is None:
        return "", "set by the charge's own rule, not by a rate"
    amount = Decimal(line["amount"])
    product = Decimal(line["quantity"]) * Decimal(line["rate"])
    if product == amount:
        return "✓", "exactly"
    for places in (2, 3, 4):
        if product.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP) == amount:
            return "✓", f"{display.exact(product)}, rounded to {places} places"
    return "≈", f"quantity × rate = {display.exact(product)}; the tariff's own rounding or proration applies"


def _line_table(bill: Row, lines: list[Row]) -> Html:
    columns = [
        Column("Line", True),
        Column("Charge"),
        Column("Tariff"),
        Column("Quantity", True),
        Column("Unit"),
        Column("×"),
        Column("Rate", True),
        Column("="),
        Column("Amount", True, bill["currency"]),
        Column("Check", prose=True),
    ]
    body: list[list[Cell | Content]] = []
    for line in lines:
        mark, told = check(line)
        rate = display.exact(line["rate"], 2)
        if line["unit"] == bill["currency"] and line["rate"] is not None:
            rate = f"{display.exact(Decimal(line['rate']) * 100)}\u202f%"
        name = [
            tag("strong", line["charge"]),
            " ",
            line["period"] or "",
            f" tier {line['tier']}" if line["tier"] else "",
        ]
        priced = line["rate"] is not None and line["quantity"] is not None
        body.append(
            [
                line["line"],
                Cell(name),
                f"{line['tariff_id']} v{line['tariff_version']}",
                display.exact(line["quantity"]),
                line["unit"],
                "×" if priced else "",
                rate,
                "=",
                display.exact(line["amount"], 2),
                Cell([tag("span", mark, class_="ok" if mark == "✓" else "soft"), " ", tag("small", told)]),
            ]
        )
    total = sum((Decimal(line["amount"]) for line in lines), Decimal(0))
    same = total == Decimal(bill["total"])
    told = "✓ sum of the lines" if same else f"the lines sum to {display.exact(total, 2)}"
    foot: list[Content] = [
        "",
        tag("strong", "Total"),
        "",
        "",
        "",
        "",
        "",
        "=",
        tag("strong", display.exact(bill["total"], 2)),
        tag("span", told, class_="ok" if same else "bad"),
    ]
    return Table(
        "Quantity × rate = amount", columns, body, foot=foot, sortable=False, name=f"bill-{bill['bill_id']}"
    ).render()


METERS = (
    "select distinct s.meter_id from service_points s join bills b on b.account_id = s.account_id "
    "where b.bill_id = ? and b.revision = ? and s.valid_from::date <= b.period_end and (s.valid_to is "
    "null or s.valid_to::date > b.period_start)"
)
"""SQL: the meters of a bill's account in its period."""


def _days(facts: Facts, bill: Row) -> Html | None:
    key = (bill["bill_id"], bill["revision"])
    rows = facts.rows(
        f"select local_day, sum(total)::double as total, sum({sum_of(MEASURED)})::bigint as measured, "
        f"sum({sum_of(MADE)})::bigint as made, "
        f"sum({sum_of(NONE_LEFT)})::bigint as missing from report_days where meter_id in ({METERS}) and "
        "channel = ? "
        "and local_day between ? and ? group by 1 order by 1",
        *key,
        facts.channel,
        bill["period_start"],
        bill["period_end"],
    )
    if not rows:
        return None
    bars = [
        Bar(
            f"{row['local_day']:%m-%d}",
            [("f2" if row["made"] else "f1", row["total"] or 0.0)],
            f"{row['local_day']:%Y-%m-%d}: {row['total'] or 0:,.3f} {facts.unit}; slots: {row['measured']} "
            "measured, "
            f"{row['made']} estimated or edited, {row['missing']} without a value",
        )
        for row in rows
    ]
    caption = f"What this account used, by day [{facts.unit}]"
    return figure(
        caption,
        legend([("f1", "all measured"), ("f2", "holds estimated slots")]),
        responsive(
            lambda width: bar_chart(bars, label=caption, unit=facts.unit, width=width, height=180), 520
        ),
    )


def _registers(facts: Facts, bill: Row, lines: list[Row]) -> Html | None:
    rows = facts.rows(
        "select period, direction, unit, sum(quantity) as quantity from determinants where meter_id in "
        f"({METERS}) "
        "and local_day between ? and ? group by all order by direction desc, period",
        bill["bill_id"],
        bill["revision"],
        bill["period_start"],
        bill["period_end"],
    )
    if not rows:
        return None
    billed: dict[str, Decimal] = {}
    for charge in dict.fromkeys(line["charge"] for line in lines if line["period"]):
        for line in lines:
            if line["charge"] == charge and line["period"] and line["quantity"] is not None:
                billed.setdefault(f"{charge}/{line['period']}", Decimal(0))
                billed[f"{charge}/{line['period']}"] += Decimal(line["quantity"])
    first = {
        period: quantity for name, quantity in reversed(billed.items()) for period in [name.partition("/")[2]]
    }
    columns = [
        Column("Period"),
        Column("Direction"),
        Column("Sum of the slots", True),
        Column("Billed", True),
        Column("Unit"),
    ]
    body: list[list[Cell | Content]] = [
        [
            row["period"],
            row["direction"],
            display.exact(row["quantity"]),
            display.exact(first.get(row["period"])) if row["direction"] == "import" else display.NOTHING,
            row["unit"],
        ]
        for row in rows
    ]
    return tag(
        "div",
        Table("From slots to billed quantities", columns, body, name="determinants").render(),
        tag("p", "Slots are summed exactly, then rounded once as the tariff says.", class_="note"),
    )
