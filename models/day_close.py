"""When a local day of a stream closes: once the watermark has passed its end and the grace after it."""

from __future__ import annotations

from models.calendar import local_day, local_midnight

__all__ = ["close_second", "closed_by"]


def close_second(zone: str, day: int, grace_s: int) -> int:
    """UTC second from which a local day is closed.

    Args:
        zone: Time zone of the lake.
        day: Epoch day.
        grace_s: Time after the day's end in which readings are still in time. [s]
    """
    return local_midnight(zone, day + 1) + grace_s


def closed_by(zone: str, second: int, grace_s: int) -> int:
    """The last local day (epoch day) that is closed at a UTC second."""
    return local_day(zone, second - grace_s) - 1
