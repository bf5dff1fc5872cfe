"""Names of time zones."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["known_timezone"]


def known_timezone(name: str) -> str:
    """The name, if the IANA database knows it.

    Raises:
        ValueError: It does not; says what is expected.
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("a time zone of the IANA database, such as Europe/Zurich") from error
    return name
