"""Tariff files: what is accepted, and that every error names its line and both sides."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from schemas.errors import MeterbeamError
from schemas.tariff import Energy, load_tariff, load_tariffs, parse_tariff

EXAMPLE = Path(__file__).parent.parent / "golden" / "tariffs" / "tariff_example.yaml"
TEXT = EXAMPLE.read_text("utf-8")


def line_of(text: str, part: str) -> int:
    """Number of the first line that holds a part."""
    return next(i for i, line in enumerate(text.splitlines(), 1) if part in line)


def test_the_example_is_a_tariff() -> None:
    """The complete example loads; money is decimal as written."""
    tariff = load_tariff(EXAMPLE)
    energy = tariff.charges[2]
    assert isinstance(energy, Energy)
    assert (tariff.id, tariff.version, len(tariff.charges)) == ("demo-tou-nb", 1, 9)
    assert energy.of_period("s_peak") == (Decimal("0.441"), Decimal("0.522"))
    assert [str(rate) for rate in energy.of_period("s_off")] == ["0.318", "0.399"]


@pytest.mark.parametrize(
    ("old", "new", "at", "words"),
    [
        pytest.param('"0.40"', "0.40", "customer", ["found 0.4", 'text, "0.4"'], id="money as a float"),
        pytest.param('"0.60"', "true", "cpp,   type", ["found True", "as text"], id="money as a bool"),
        pytest.param(
            'limits: ["11"]', "limits: [11.5]", "limits:", ["found 11.5", "as text"], id="limit as a float"
        ),
        pytest.param(
            '["16:00", "21:00"]}\n    - {id: w_peak',
            '["16:00", "25:00"]}\n    - {id: w_peak',
            "id: s_peak",
            ["'25:00'", '"24:00"'],
            id="no clock time",
        ),
        pytest.param('"09-30"', '"09-31"', "seasons:", ["'09-31'", "06-01"], id="no day of the year"),
        pytest.param(
            '"10-01"',
            '"10-02"',
            "periods:",
            ["no period", "10-01", "season none"],
            id="a day without a season",
        ),
        pytest.param(
            "{id: w_off,  season: winter, days: all}",
            "{id: w_off,  season: winter, days: weekend}",
            "periods:",
            ["no period for 00:00–16:00 on a monday", "season winter"],
            id="weekday mornings uncovered",
        ),
        pytest.param(
            "- {id: s_peak, season: summer, days: weekday, at",
            "- {id: all, season: summer, days: all}\n    - {id: s_peak, season: summer, days: weekday, at",
            "id: s_peak",
            ["'s_peak'", "holds at some time"],
            id="a hidden period",
        ),
        pytest.param(
            "season: winter, days: all",
            "season: autumn, days: all",
            "id: w_off",
            ["'autumn'", "summer, winter"],
            id="an unknown season",
        ),
        pytest.param(
            "event: cpp,", "event: cpq,", "event: cpq", ["'cpq'", "one of: cpp"], id="an unknown event"
        ),
        pytest.param(
            "periods: [s_peak, w_peak]",
            "periods: [s_peak, x]",
            "id: demand",
            ["'x'", "w_off"],
            id="an unknown demand period",
        ),
        pytest.param(
            's_off: "0.05", w_peak',
            'zz: "0.05", w_peak',
            "id: export",
            ["rate.zz", "'zz'"],
            id="an unknown export period",
        ),
        pytest.param(
            "of: [energy, cpp, demand]",
            "of: [energy, cpp, tax]",
            "id: rider",
            ["'tax', whose line comes after", "one of:"],
            id="a share of a later line",
        ),
        pytest.param(
            's_peak: ["0.441", "0.522"]',
            's_peak: ["0.441"]',
            "rates: {s_peak",
            ["1 rates", "2, one a tier"],
            id="too few rates",
        ),
        pytest.param(
            "type: tax,",
            "type: tacks,",
            "id: tax",
            ["tacks", "one of: fixed"],
            id="an unknown charge",
        ),
        pytest.param(
            "of: subtotal", "base: subtotal", "id: tax", ["unknown field base"], id="an unknown field"
        ),
        pytest.param('rate: "0.0725",', "", "id: tax", ["nothing", "the field rate"], id="a missing field"),
        pytest.param(
            "America/Los_Angeles",
            "America/Los_Angles",
            "timezone:",
            ["Los_Angles", "IANA"],
            id="no time zone",
        ),
        pytest.param("{id: tax, ", "{id: rider, ", "{id: rider,    type", ["a second"], id="an id twice"),
        pytest.param("currency: USD", "currency: [USD", "timezone", ["valid YAML"], id="broken YAML"),
        pytest.param(
            '"09-30"]', '"10-01"]', "seasons:", ["10-01", "without a common day"], id="seasons that overlap"
        ),
    ],
)
def test_errors_name_line_and_both_sides(old: str, new: str, at: str, words: list[str]) -> None:
    """A wrong tariff is refused with the line it is on, what stands there and what was expected."""
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    with pytest.raises(MeterbeamError) as caught:
        parse_tariff(text, "home.yaml")
    message = str(caught.value)
    assert message.startswith(f"home.yaml, line {line_of(text, at)}"), message
    for word in words:
        assert word in message


def test_versions_by_day_in_force(tmp_path: Path) -> None:
    """A folder gives each tariff's versions in the order they come into force."""
    (tmp_path / "b.yaml").write_text(TEXT, "utf-8")
    later = TEXT.replace("version: 1", "version: 2").replace("from: 2026-01-01", "from: 2027-01-01")
    (tmp_path / "a.yml").write_text(later, "utf-8")
    found = load_tariffs(tmp_path)
    assert [(t.version, t.effective.from_.year) for t in found["demo-tou-nb"]] == [(1, 2026), (2, 2027)]


def test_two_versions_from_one_day_are_refused(tmp_path: Path) -> None:
    """Which of two versions holds must be plain."""
    (tmp_path / "a.yaml").write_text(TEXT, "utf-8")
    (tmp_path / "b.yaml").write_text(TEXT.replace("version: 1", "version: 2"), "utf-8")
    with pytest.raises(MeterbeamError, match=r"b\.yaml: tariff demo-tou-nb: found version 2 from 2026-01-01"):
        load_tariffs(tmp_path)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    """No folder is an error, not an empty book."""
    with pytest.raises(MeterbeamError, match="a folder of tariff YAML files"):
        load_tariffs(tmp_path / "none")
