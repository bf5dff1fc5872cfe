"""A bill as the customer's page: one self-contained HTML file with a picture of the usage."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from html import escape
from typing import Any

__all__ = ["bill_page"]

COLOURS = ("#2f6690", "#d98c3f", "#6a994e", "#9c6644", "#7b6d8d", "#c8553d")
WIDTH, HEIGHT = 720, 180
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222 }
body { max-width: 760px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.3rem }
table { border-collapse: collapse; width: 100% }
td, th { padding: .25rem .5rem; text-align: left }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
tr + tr { border-top: 1px solid #ddd }
tr.total { font-weight: 600; border-top: 2px solid #222 }
.key span { margin-right: 1rem }
.note { color: #555 }
.beside td:last-child { width: 60% }
.bar { height: 1rem; background: #2f6690 }
@page { size: A4; margin: 15mm }
@media print { body { margin: 0 } }
"""


def bill_page(bill: Mapping[str, Any]) -> str:
    """The page of an explained bill (``explain_bill``)."""
    rows = "".join(_row(line) for line in bill["lines"])
    title = f"Bill {bill['period_start']} to {bill['period_end']}"
    total = "" if bill["total"] is None else f"{bill['total']} {bill['currency']}"
    note = f"<p class=note>{escape(bill['reason'])}</p>" if bill["reason"] else ""
    correction = ""
    if bill["changes"] is not None:
        before = bill["changes"]["total_before"]
        correction = f"<p>This bill replaces revision {bill['changes']['revision_before']} of {before}.</p>"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{escape(title)}</h1>
<p>Account {escape(bill["account_id"])}, bill {escape(bill["bill_id"])}, revision {bill["revision"]}</p>
{correction}{note}{_picture(bill["lines"])}{_beside(bill)}
<table><tr><th>Charge<th class=n>Quantity<th><th class=n>Rate<th class=n>{escape(bill["currency"] or "")}</tr>
{rows}<tr class=total><td>Total<td><td><td><td class=n>{escape(total)}</tr></table>
</body></html>
"""


def _beside(bill: Mapping[str, Any]) -> str:
    """Own use beside the mean of the neighbours, and how much of the bill is estimated."""
    said = ""
    if bill["estimated_share"]:
        said = f"<p class=note>{bill['estimated_share']:.1%} of the readings are estimated.</p>"
    others = bill["neighbours"]
    if others is None:
        return said
    most = max(Decimal(others["own"]), Decimal(others["mean"]), Decimal(1))
    names = ("You", others["own"]), (f"Mean of {others['customers']} neighbours", others["mean"])
    bars = "".join(
        f"<tr><td>{name}<td class=n>{value}<td><div class=bar style='width:"
        f"{int(100 * max(Decimal(value), Decimal(0)) / most)}%'></div></tr>"
        for name, value in names
    )
    return f"{said}<table class=beside>{bars}</table>"


def _row(line: Mapping[str, Any]) -> str:
    parts = [line["charge"], line["period"], f"tier {line['tier']}" if line["tier"] else None]
    name = escape(" · ".join(part for part in parts if part))
    cells = f"<td class=n>{line['quantity']}<td>{escape(line['unit'])}<td class=n>{line['rate'] or ''}"
    return f"<tr><td>{name}{cells}<td class=n>{line['amount']}</tr>\n"


def _bands(lines: list[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Energy drawn by period and local day, from the lines of the first charge that prices a period."""
    bands: dict[str, dict[str, int]] = {}
    taken: set[tuple[str, str, str]] = set()
    for line in lines:
        if line["period"] is None or line["unit"] in ("kW", "kVA"):
            continue
        for day in line.get("days", ()):
            address = line["service_point_id"], line["period"], day["local_day"]
            if address not in taken:
                taken.add(address)
                of = bands.setdefault(line["period"], {})
                whole, _, decimals = day["quantity"].partition(".")
                of[day["local_day"]] = of.get(day["local_day"], 0) + int(whole + decimals.ljust(6, "0")[:6])
    return bands


def _picture(lines: list[Mapping[str, Any]]) -> str:
    """Stacked bars: a day each, a colour a period."""
    bands = _bands(lines)
    days = sorted({day for of in bands.values() for day in of})
    if not days:
        return ""
    highest = max(sum(of.get(day, 0) for of in bands.values()) for day in days) or 1
    step = WIDTH // len(days)
    bars = []
    for place, day in enumerate(days):
        base = HEIGHT
        for colour, (period, of) in zip(_colours(len(bands)), bands.items(), strict=True):
            height = of.get(day, 0) * (HEIGHT - 10) // highest
            base -= height
            said = f"{day} {period}: {of.get(day, 0) // 1000 / 1000:.3f}"
            bars.append(
                f'<rect x="{place * step}" y="{base}" width="{max(step - 2, 1)}" height="{height}" '
                f'fill="{colour}"><title>{escape(said)}</title></rect>'
            )
    key = "".join(
        f'<span style="color:{colour}">■</span><span>{escape(period)}</span>'
        for colour, period in zip(_colours(len(bands)), bands, strict=True)
    )
    said = f"Energy by day and period, {days[0]} to {days[-1]}"
    frame = f'<svg role="img" aria-label="{escape(said)}" viewBox="0 0 {WIDTH} {HEIGHT}" width="100%">'
    return f"{frame}{''.join(bars)}</svg><p class=key>{key}</p>"


def _colours(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]
