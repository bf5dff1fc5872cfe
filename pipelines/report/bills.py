"""What was billed: the distribution, what is held, and one bill a customer could redo."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from pipelines.report import display
from pipelines.report.chart import Bar, bar_chart, responsive, ticks
from pipelines.report.facts import Facts, Row
from pipelines.report.markup import Cell, Column, Content, Html, Table, absent, figure, tag
from pipelines.report.sample_bill import sample_bill
from pipelines.report.section import Section


def bills(facts: Facts) -> Section:
    """The section."""
    title = "Bills"
    states = {
        row["status"]: row["n"]
        for row in facts.rows("select status, count(*) as n from bills group by status")
    }
    if not states:
        return Section("bills", title, None, absent("No bills:", _why_none(facts)))
    lead = ", ".join(f"{display.count(n)} {status}" for status, n in sorted(states.items())) + "."
    currencies = facts.rows(
        "select currency, count(*) as n from bills where status = 'active' group by currency order by n "
        "desc, currency"
    )
    body: list[Content] = [_distribution(facts, row["currency"]) for row in currencies]
    if not currencies:
        body.append(absent("No bill is active:", "every bill is held or reversed; the reasons are below."))
    body += [_held(facts), sample_bill(facts)]
    return Section("bills", title, lead, body)


def _why_none(facts: Facts) -> str:
    if not facts.meters:
        return "this lake holds no readings."
    if not facts.service_points:
        return "this lake has no service points, so its meters are billed to nobody."
    if not facts.count("determinants"):
        return "no service point names a tariff that this lake holds."
    return "no billing period lies wholly inside the days processed so far."


def _distribution(facts: Facts, currency: str) -> Html:
    row = facts.one(
        "select count(*) as n, sum(total) as total, median(total) as middle, min(total) as low, "
        "max(total) as high, "
        "quantile_cont(total::double, 0.1) as p10, quantile_cont(total::double, 0.9) as p90 from bills "
        "where status = 'active' and currency = ?",
        currency,
    )
    edges = ticks(float(row["low"]), max(float(row["high"]), float(row["low"]) + 1), 24)
    step = edges[1] - edges[0]
    counts = {
        int(found["bin"]): found["n"]
        for found in facts.rows(
            "select floor((total::double - ?) / ?) as bin, count(*) as n from bills where status = "
            "'active' and currency = ? group by 1",
            edges[0],
            step,
            currency,
        )
    }
    bars = [
        Bar(
            display.amount(edges[0] + n * step, 0 if step >= 1 else 2),
            [("f1", counts.get(n, 0))],
            f"{display.amount(edges[0] + n * step, 2)} to {display.amount(edges[0] + (n + 1) * step, 2)} "
            f"{currency}: {counts.get(n, 0):,} bills",
        )
        for n in range(max(counts) + 1)
    ]
    middle = (float(row["middle"]) - edges[0]) / step
    key = [
        ("Bills", display.count(row["n"])),
        ("Total", display.money(row["total"], currency)),
        ("Mean", display.money(Decimal(row["total"] / row["n"]).quantize(Decimal("0.01")), currency)),
        ("Median", f"{display.amount(row['middle'], 2)}\u202f{currency}"),
        (
            "Tenth to ninetieth percentile",
            f"{display.amount(row['p10'], 2)} – {display.amount(row['p90'], 2)}\u202f{currency}",
        ),
    ]
    caption = f"How active bills are distributed [{currency}]"
    return tag(
        "div",
        figure(
            caption,
            responsive(
                lambda width: bar_chart(
                    bars, label=caption, unit="bills", width=width, marks=[(middle, "median")]
                ),
                620,
            ),
        ),
        tag(
            "dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in key], class_="key-figures"
        ),
        class_="split",
    )


def _held(facts: Facts) -> Html | None:
    rows: Sequence[Row] = facts.rows(
        "select account_id, bill_id, period_start, period_end, reason from bills where status = 'held' "
        "order by period_end, account_id limit 50"
    )
    if not rows:
        return None
    columns = [
        Column("Account"),
        Column("Bill"),
        Column("From"),
        Column("To"),
        Column("Held because", prose=True),
    ]
    body: list[list[Cell | Content]] = [
        [
            row["account_id"],
            tag("code", row["bill_id"]),
            display.day(row["period_start"]),
            display.day(row["period_end"]),
            "; ".join(display.items(row["reason"])) or display.NOTHING,
        ]
        for row in rows
    ]
    return Table(
        "Bills held",
        columns,
        body,
        total=facts.count("bills", "status = 'held'"),
        query="select * from bills where status = 'held'",
        name="held-bills",
    ).render()
