"""The gate between a skip and a failure."""

from __future__ import annotations

import pytest

from tests.requirements_gate import gate


def test_a_present_requirement_lets_the_test_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there is neither skipped nor failed, required or not."""
    monkeypatch.setenv("METERBEAM_REQUIRE", "browser")
    gate("browser", present=True, how="")


def test_a_missing_requirement_skips_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer reads what is missing and the command that brings it."""
    monkeypatch.setenv("METERBEAM_REQUIRE", "postgres")
    with pytest.raises(pytest.skip.Exception, match="browser is missing.*apt-get install chromium"):
        gate("browser", present=False, how="apt-get install chromium")


@pytest.mark.parametrize("required", [pytest.param("x, browser", id="listed"), pytest.param("all", id="all")])
def test_what_is_required_may_not_be_skipped(monkeypatch: pytest.MonkeyPatch, required: str) -> None:
    """In CI a missing requirement is a failure."""
    monkeypatch.setenv("METERBEAM_REQUIRE", required)
    with pytest.raises(pytest.fail.Exception, match="browser is required"):
        gate("browser", present=False, how="apt-get install chromium")
