"""Hypothesis profiles and the fixtures that every layer uses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.requirements_gate import gate

REPO = Path(__file__).resolve().parent.parent

# No deadlines: a test never times anything, and machines that run them are shared.
_ALWAYS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", _ALWAYS, max_examples=40)
settings.register_profile("ci", _ALWAYS, max_examples=60, derandomize=True, print_blob=True)
settings.register_profile("nightly", _ALWAYS, max_examples=2_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the checkout."""
    return REPO


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Real meters and golden bills beside the repository; the test is skipped where they are absent."""
    folder = Path(os.environ.get("METERBEAM_SHARED", REPO.parent / "shared"))
    gate(
        "shared",
        (folder / "data").is_dir(),
        f"put the shared data at {folder}, or set METERBEAM_SHARED to the folder with data/ and tariffs/",
    )
    return folder
