"""One self-contained HTML page about a lake: plots first, opens offline, asks no network for anything.

Charts are inline SVG drawn here, not plotly: plotly's Python package ships only the full plotly.js
(4.8 MB, over a second to parse), draws to canvas-sized pixels that ignore the page's light and dark
colours, and cannot be read out or printed well. These charts need lines, bars and grids only; as SVG
the whole page stays in the hundreds of kilobytes, follows the reader's colour scheme, is sharp on
paper, and can be walked with the arrow keys.

The page forbids itself any connection by its Content-Security-Policy; its one script is allowed by
hash, so markup smuggled in through data could not run even if it were not escaped. It is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from importlib import resources

import duckdb

from pipelines.report import display
from pipelines.report.account import account
from pipelines.report.bills import bills
from pipelines.report.completeness import completeness
from pipelines.report.estimation import estimation
from pipelines.report.exceptions import exceptions
from pipelines.report.facts import Facts, gathered
from pipelines.report.faults import faults
from pipelines.report.gaps import gaps
from pipelines.report.headline import headline
from pipelines.report.load_profile import TouBand, load_profile
from pipelines.report.losses import losses
from pipelines.report.markup import Html, join, tag
from pipelines.report.quality import quality
from pipelines.report.section import Section
from pipelines.report.theft import state_queue, theft


def report(
    connection: duckdb.DuckDBPyConnection,
    *,
    title: str,
    timezone: str | None = None,
    as_of: datetime | None = None,
    bands: Sequence[TouBand] = (),
    suspects: int = 12,
) -> str:
    """The page.

    Args:
        connection: With the views of the output contract. Temporary tables named
            ``report_…`` are made and dropped.
        title: Heading of the page; data like any other, escaped.
        timezone: Zone of the lake's local days, shown only.
        as_of: The moment the views stand for, shown only; None means now.
        bands: Time-of-use periods to shade behind the load profile.
        suspects: How many suspects get a card with their load shapes.

    Returns:
        HTML text, to be written as UTF-8.

    Raises:
        ValueError: ``suspects`` is negative.
    """
    if suspects < 0:
        raise ValueError(f"suspects must be >= 0, got {suspects}")
    with gathered(connection, timezone) as facts:
        sections = [
            completeness(facts),
            estimation(facts),
            quality(facts),
            exceptions(facts),
            load_profile(facts, bands),
            bills(facts),
            losses(facts),
            theft(facts, suspects),
            state_queue(facts),
            faults(facts),
            gaps(facts),
            account(facts),
        ]
        return _page(title, _subtitle(facts, as_of), headline(facts), sections)


def _subtitle(facts: Facts, as_of: datetime | None) -> str:
    parts = []
    if facts.first_day is not None:
        parts.append(f"{display.day(facts.first_day)} to {display.day(facts.last_day)}")
    if facts.timezone:
        parts.append(f"local days of {facts.timezone}")
    if as_of is not None:
        parts.append(f"as of {display.moment(as_of)} UTC")
    latest = facts.rows("select max(finished) as finished from runs")[0]["finished"]
    if latest is not None:
        parts.append(f"last run finished {display.moment(latest)} UTC")
    return " · ".join(parts) or "an empty lake"


def _asset(name: str) -> str:
    return resources.files("pipelines.report").joinpath(name).read_text(encoding="utf-8")


def _page(title: str, subtitle: str, top: Html, sections: Sequence[Section]) -> str:
    style, script = _asset("report.css"), _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Html(style)),
    )
    nav = tag(
        "nav",
        [tag("a", section.short, href=f"#{section.anchor}") for section in sections],
        aria_label="Sections",
    )
    body = tag(
        "body",
        tag("a", "Skip to the report", href="#report", class_="skip"),
        tag("header", tag("h1", title), tag("p", subtitle, class_="subtitle")),
        nav,
        tag("main", top, [section.render() for section in sections], id="report"),
        tag(
            "footer",
            tag(
                "p",
                "Made by ",
                tag("code", "meterbeam report"),
                ". Everything on this page is in the lake: ",
                tag("code", "meterbeam query"),
                ".",
            ),
        ),
        tag("div", id="tip", role="status", aria_live="polite", hidden=True),
        tag("script", Html(script)),
    )
    return join([Html("<!doctype html>\n"), tag("html", head, body, lang="en"), Html("\n")])
