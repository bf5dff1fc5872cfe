"""The report in a real browser: silent, offline, and working by pointer and keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.report import report
from tests.pipelines import report_fixture
from tests.pipelines.chromium import Page, browser, executable
from tests.pipelines.report_town import fleet
from tests.requirements_gate import gate


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A full and an empty report as files."""
    folder = tmp_path_factory.mktemp("report")
    made = {
        "full": report(fleet(meters=12, days=70), title="Town"),
        "empty": report(report_fixture.empty(), title="Empty"),
    }
    for name, page in made.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A tab of a headless Chromium."""
    gate("browser", executable() is not None, "install Chromium (on Debian: apt-get install chromium)")
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def _look(page: Page, file: Path, *, scheme: str = "light", width: int = 1200) -> None:
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
    )
    page.open(file)


@pytest.mark.parametrize("name", ["full", "empty"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_loads_without_complaint_and_without_network(
    page: Page, pages: dict[str, Path], name: str, scheme: str, width: int
) -> None:
    """No console error, no exception, no policy violation, nothing fetched but the page and a blank icon."""
    _look(page, pages[name], scheme=scheme, width=width)
    assert page.complaints() == []
    assert [url for url in page.fetched() if url != "data:,"] == [pages[name].as_uri()]
    assert page.run("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"


def test_complaints_and_requests_are_noticed(page: Page, tmp_path: Path) -> None:
    """The test above can fail: a bad page is heard and seen."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<script>console.error('x'); fetch('http://127.0.0.1:9/y').catch(() => 0); nothing()</script>"
    )
    page.open(bad)
    assert len(page.complaints()) >= 2
    assert "http://127.0.0.1:9/y" in page.fetched()


def test_colours_follow_the_reader(page: Page, pages: dict[str, Path]) -> None:
    """Dark paper under light text for those who ask for it, and the other way round."""
    brightness = (
        "getComputedStyle(document.body).{}.match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b)"
    )
    seen = {}
    for scheme in ("light", "dark"):
        _look(page, pages["full"], scheme=scheme)
        seen[scheme] = page.run(brightness.format("backgroundColor")) - page.run(brightness.format("color"))
    assert seen["light"] > 400
    assert seen["dark"] < -400


def test_a_table_sorts_by_its_header(page: Page, pages: dict[str, Path]) -> None:
    """The first choice of a number sorts it downwards, the second upwards, by value and not by text."""
    _look(page, pages["full"])
    table = "document.querySelector('#exceptions table')"
    press = (
        f"[...{table}.querySelectorAll('th button')].find(b => b.textContent.startsWith('Findings')).click()"
    )
    column = f"[...{table}.tBodies[0].rows].map(row => Number(row.cells[3].dataset.v))"
    page.run(press)
    downwards = page.run(column)
    assert downwards == sorted(downwards, reverse=True)
    assert downwards[0] > downwards[-1]
    page.run(press)
    assert page.run(column) == sorted(downwards)
    assert page.run(f"{table}.querySelector('[aria-sort]').getAttribute('aria-sort')") == "ascending"


def test_the_matrix_opens_a_group_and_returns(page: Page, pages: dict[str, Path]) -> None:
    """Choosing a feeder shows its meters, the button leads back; by keyboard too."""
    _look(page, pages["full"])
    names = "[...document.querySelectorAll('.matrix g.row')].map(row => row.getAttribute('aria-label'))"
    feeders = page.run(names)
    assert sorted(name.partition(",")[0] for name in feeders) == ["F0", "F1", "F2", "F3"]
    page.run("document.querySelector('.matrix g.row').focus()")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter")
    assert all(name.startswith("M0") for name in page.run(names))
    page.run("document.querySelector('.back').click()")
    assert page.run(names) == feeders
    assert page.complaints() == []


def test_arrow_keys_walk_a_chart(page: Page, pages: dict[str, Path]) -> None:
    """A focused chart tells its marks one by one, in the live region that screen readers announce."""
    _look(page, pages["full"])
    page.run("document.querySelector('#completeness .wide svg.chart').focus()")
    told = []
    for _ in range(2):
        page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight")
        told.append(page.run("document.getElementById('tip').textContent"))
    assert [text[:14] for text in told] == ["Mon 2026-01-05", "Tue 2026-01-06"]
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Escape", code="Escape")
    assert page.run("document.getElementById('tip').hidden") is True


def test_smuggled_markup_does_not_run(page: Page, tmp_path: Path) -> None:
    """A meter id with a script in it is shown as text; nothing of it becomes an element."""
    evil = '<img src=x onerror="window.pwned=1"></script><script>window.pwned=1</script>'
    connection = report_fixture.empty()
    days = [
        report_fixture.day_row(
            evil, report_fixture.FIRST_DAY, ["1.5", None], qualities=["VALIDATED", "MISSING"]
        )
    ]
    report_fixture.insert(connection, "slot_days", days)
    file = tmp_path / "evil.html"
    file.write_text(report(connection, title=evil), encoding="utf-8")
    _look(page, file)
    assert page.run("document.querySelector('h1').textContent") == evil
    assert page.run("window.pwned === undefined && document.querySelectorAll('img').length === 0") is True
    page.run(
        "document.querySelector('.matrix g.row').dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    assert page.run("document.querySelector('.matrix g.row').getAttribute('aria-label')").startswith(evil)
    assert page.complaints() == []
