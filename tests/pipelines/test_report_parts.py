"""Parts of the report: numbers as shown, scales, markup, the redone line."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.report import chart, completeness, display
from pipelines.report.markup import Html, data_block, escape, tag
from pipelines.report.sample_bill import check


@pytest.mark.parametrize(
    ("quantity", "rate", "amount", "mark"),
    [
        pytest.param("31", "0.40", "12.40", "✓", id="exact"),
        pytest.param("3.75", "4.50", "16.88", "✓", id="half-away-from-zero"),
        pytest.param("-1", "0.125", "-0.13", "✓", id="negative"),
        pytest.param("10", "0.333", "3.40", "≈", id="own-rule"),
        pytest.param("65.342", None, "-3.27", "", id="no-rate"),
    ],
)
def test_check_redoes_a_line(quantity: str, rate: str | None, amount: str, mark: str) -> None:
    """A line is ticked only where quantity × rate, rounded half away from zero, is its amount."""
    line = {
        "quantity": Decimal(quantity),
        "rate": rate and Decimal(rate),
        "amount": Decimal(amount).quantize(Decimal("0.000001")),
    }
    assert check(line)[0] == mark


@given(st.lists(st.integers(-1, 1000), min_size=1, max_size=60))
def test_run_length_loses_nothing(values: list[int]) -> None:
    """Expanding the coded row gives the row."""
    expanded = []
    for part in completeness.run_length(values).split(","):
        value, _, times = part.partition("x")
        expanded += [int(value)] * int(times or 1)
    assert expanded == values


@given(part=st.integers(0, 10**6), whole=st.integers(1, 10**6))
def test_only_everything_is_a_hundred_percent_and_only_nothing_is_zero(part: int, whole: int) -> None:
    """Rounding never hides a missing slot or a single estimate."""
    part = min(part, whole)
    shown = display.percent(part, whole)
    assert (shown == "100\u202f%") == (part == whole)
    assert (shown == "0\u202f%") == (part == 0)


@given(low=st.floats(0, 1e6), span=st.floats(1e-3, 1e6))
def test_ticks_cover_the_data_in_few_round_steps(low: float, span: float) -> None:
    """The first tick is at or below the data, the last at or above, with at most seven between."""
    made = chart.ticks(low, low + span)
    tolerance = 1e-6 * max(1.0, low + span)
    assert made[0] <= low + tolerance
    assert made[-1] >= low + span - tolerance
    assert 2 <= len(made) <= 8


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(None, [], id="none"),
        pytest.param("", [], id="empty"),
        pytest.param("one; two", ["one", "two"], id="semicolons"),
        pytest.param('["a", "b; c"]', ["a", "b; c"], id="json-list"),
        pytest.param('{"core": 1}', ["core: 1"], id="json-object"),
        pytest.param("[not json", ["[not json"], id="bracket"),
        pytest.param(["x", 0.123456], ["x", "0.1235"], id="list"),
    ],
)
def test_items_reads_reasons_in_any_form(value: Any, shown: list[str]) -> None:
    """Lists, JSON and plain text become the same short lines."""
    assert display.items(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(datetime(2026, 3, 1, 6, 5, tzinfo=UTC), "2026-03-01 06:05", id="minute"),
        pytest.param(datetime.fromisoformat("2026-03-01T06:05:07+02:00"), "2026-03-01 04:05:07", id="zone"),
        pytest.param(date(2026, 3, 1), "2026-03-01", id="day"),
        pytest.param(None, "–", id="none"),
    ],
)  # fmt: skip
def test_moments_are_in_utc(value: Any, shown: str) -> None:
    """A moment with a zone is brought to UTC, a day stays a day."""
    assert display.moment(value) == shown


def test_markup_escapes_what_is_not_markup() -> None:
    """Strings are data, ``Html`` is markup; attributes lose their quotes."""
    assert tag("p", "<b>", Html("<i>x</i>"), title='"<') == '<p title="&quot;&lt;">&lt;b&gt;<i>x</i></p>'
    assert escape("'") == "&#x27;"
    assert (
        data_block("d", {"a": "</script>"})
        == '<script type="application/json" data-name="d">{"a":"\\u003c/script>"}</script>'
    )


def test_the_package_ships_what_the_page_needs() -> None:
    """Style and script are files of the package, found beside its code."""
    folder = Path(chart.__file__).parent
    assert {path.name for path in folder.iterdir() if path.suffix in (".css", ".js")} == {
        "report.css",
        "report.js",
    }
