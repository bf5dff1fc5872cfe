"""What a test needs beside Python: skipped with a word on how to get it, or failed where it is required.

``METERBEAM_REQUIRE=browser,shared`` lists what may not be skipped; ``all`` means everything.
"""

from __future__ import annotations

import os

import pytest

__all__ = ["gate"]


def gate(name: str, present: bool, how: str) -> None:
    """Go on if a requirement is present; otherwise skip, or fail where it is required.

    Args:
        name: Name of the requirement, as in ``METERBEAM_REQUIRE``: ``"browser"``.
        present: Whether it is there.
        how: How to get it: ``"apt-get install chromium"``.
    """
    if present:
        return
    required = {word.strip() for word in os.environ.get("METERBEAM_REQUIRE", "").split(",")}
    if name in required or "all" in required:
        pytest.fail(f"{name} is required by METERBEAM_REQUIRE and missing. To get it: {how}", pytrace=False)
    pytest.skip(f"{name} is missing. To get it: {how}")
