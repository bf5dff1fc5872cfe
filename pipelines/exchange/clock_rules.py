"""When a zone changes its clocks, as the 32-bit rules of ESPI (DstRuleType of IEEE 2030.5).

Bits from the lowest: 12 seconds of the hour, 5 hour, 3 weekday (1 = Monday), 5 day of the month, 3
operator, 4 month. Operators 2 to 5: first to fourth such weekday of the month; 7: the last one.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

__all__ = ["ClockRules", "clock_rules"]

NONE = 0xFFFFFFFF
"""Rule of a zone that has no daylight saving."""
LAST = 7
YEARS = 6
"""Following years that tell the last Sunday of a month from the fourth."""


@dataclass(frozen=True)
class ClockRules:
    """Offsets east of UTC and of daylight saving [s], and the rules of its start and end."""

    offset_s: int
    saving_s: int
    start: int
    end: int


@lru_cache(maxsize=256)
def clock_rules(zone: str, year: int) -> ClockRules:
    """The clock of a zone in a year.

    Args:
        zone: IANA name.
        year: Calendar year.
    """
    tz = ZoneInfo(zone)
    offset = min(_offset(tz, year, month) for month in (1, 7))
    saving = max(_offset(tz, year, month) for month in (1, 7)) - offset
    starts = [change for y in range(year, year + YEARS) for change in _changes(tz, y) if change[1] > 0]
    ends = [change for y in range(year, year + YEARS) for change in _changes(tz, y) if change[1] < 0]
    if not saving or not starts or not ends:
        return ClockRules(offset, 0, NONE, NONE)
    return ClockRules(offset, saving, _rule([at for at, _ in starts]), _rule([at for at, _ in ends]))


def _offset(tz: ZoneInfo, year: int, month: int) -> int:
    found = datetime(year, month, 1, tzinfo=tz).utcoffset()
    assert found is not None
    return int(found.total_seconds())


def _changes(tz: ZoneInfo, year: int) -> list[tuple[datetime, int]]:
    """Wall time, before the change, at which the clock moves, and by how many seconds."""
    found = []
    moment = datetime(year, 1, 1, tzinfo=UTC)
    while moment.year == year:
        later = moment + timedelta(hours=1)
        before, after = (at.astimezone(tz).utcoffset() for at in (moment, later))
        assert before is not None
        assert after is not None
        if before != after:
            wall = (later.replace(tzinfo=None) + before).replace(tzinfo=None)
            found.append((wall, int((after - before).total_seconds())))
        moment = later
    return found


def _rule(changes: list[datetime]) -> int:
    """The rule that all of these changes follow, by the first one."""
    first = changes[0]
    last = all(at.day + 7 > monthrange(at.year, at.month)[1] for at in changes)
    operator = LAST if last else 2 + (first.day - 1) // 7
    weekday = first.isoweekday()
    seconds = first.minute * 60 + first.second
    return first.month << 28 | operator << 25 | weekday << 17 | first.hour << 12 | seconds
