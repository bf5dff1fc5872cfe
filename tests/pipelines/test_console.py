"""What a user sees: summaries, errors and progress."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from pipelines import console
from schemas.errors import MeterbeamError


def test_a_summary_is_two_columns_with_nested_parts_indented(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers are grouped, an empty list and None say none."""
    console.show_summary(
        {"readings_in": 1234567, "account": {"stored": 5, "dead letters": []}, "report": None}
    )
    assert capsys.readouterr().out == (
        "readings in  1,234,567\naccount\n  stored        5\n  dead letters  none\nreport       none\n"
    )


def test_a_json_summary_keeps_money_exact_and_days_readable(capsys: pytest.CaptureFixture[str]) -> None:
    """Decimals are text, days ISO 8601, numpy scalars plain numbers; nothing else is on stdout."""
    console.show_summary(
        {"total": Decimal("12.30"), "day": dt.date(2024, 3, 31), "n": np.int64(7), "lake": Path("x")},
        as_json=True,
    )
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"total": "12.30", "day": "2024-03-31", "n": 7, "lake": "x"}


def test_a_summary_of_something_else_is_refused() -> None:
    """An object without a meaning in JSON is a fault of the command."""
    with pytest.raises(TypeError, match="got object"):
        console.show_summary({"x": object()}, as_json=True)


def test_an_error_goes_to_stderr_with_both_sides(capsys: pytest.CaptureFixture[str]) -> None:
    """Stdout stays clean for results."""
    console.show_error(MeterbeamError("f.avro", "a", "b"))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "error: f.avro\n  found:    a\n  expected: b\n"


@pytest.mark.parametrize(
    ("error", "where", "found"),
    [
        pytest.param(PermissionError(13, "Permission denied", "x"), "x", "permission denied", id="file"),
        pytest.param(
            ConnectionResetError(104, "Connection reset by peer"),
            "the system, which names no file",
            "connection reset by peer (errno 104)",
            id="network",
        ),
        pytest.param(
            OSError("Could not connect to server"),
            "the system, which names no file",
            "could not connect to server",
            id="text",
        ),
        pytest.param(TimeoutError(), "the system, which names no file", "timeouterror", id="bare"),
    ],
)
def test_an_error_of_the_system_says_what_was_found(error: OSError, where: str, found: str) -> None:
    """With its file where there is one, and never without a word of what happened."""
    told = console.from_os_error(error)
    assert (told.where, told.found) == (where, found)
    assert told.expected


def test_progress_is_quiet_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A log file gets no bars."""
    with console.progress("Ingest", total=10) as advance:
        advance()
        advance(9)
    assert capsys.readouterr() == ("", "")


def test_progress_on_a_terminal_shows_rate_and_label(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal the label and the unit a second are drawn, on stderr only."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with console.progress("Ingest", total=10, unit="readings") as advance:
        advance(10)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Ingest" in shown.err
    assert "readings/s" in shown.err
