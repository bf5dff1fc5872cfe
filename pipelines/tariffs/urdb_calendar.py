"""The 12 × 24 schedules of a URDB rate as seasons and periods of a tariff."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from typing import Any

from pipelines.tariffs.urdb_rate import HOURS, MONTHS, Matrix, Tier, UrdbRate

__all__ = ["Schedule", "calendar_fields", "read_schedule"]

_LAST = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


@dataclass(frozen=True)
class Schedule:
    """Which period holds when.

    Attributes:
        prefix: Of period ids.
        weekday, weekend: Period numbers by month and hour.
    """

    prefix: str
    weekday: Matrix
    weekend: Matrix

    def numbers(self) -> list[int]:
        """Periods that hold at some time."""
        return sorted({cell for table in (self.weekday, self.weekend) for row in table for cell in row})

    def months_of(self, month: int) -> list[int]:
        """Periods that hold in a month, 0 = January."""
        return sorted({*self.weekday[month], *self.weekend[month]})

    def name(self, number: int) -> str:
        """Id of a period."""
        return f"{self.prefix}{number}"


def read_schedule(rate: UrdbRate, kind: str, structure: list[list[Tier]], prefix: str) -> Schedule:
    """The two schedules of ``energy`` or ``demand``.

    Raises:
        MeterbeamError: A schedule is missing, or names a period without rates.
    """
    tables = []
    names = [f"{kind}{day}schedule" for day in ("weekday", "weekend")]
    for name in names:
        table = rate.schedule(name)
        if table is None:
            if len(structure) > 1 or any(rate.has(other) for other in names):
                found = "nothing"
                raise rate.error(name, found, f"12 × 24 periods of {kind}ratestructure")
            rate.assumed.append(f"{name} is absent: the only period holds always")
            table = [[0] * HOURS for _ in range(MONTHS)]
        for month, row in enumerate(table):
            for hour, cell in enumerate(row):
                if cell >= len(structure):
                    known = f"0 to {len(structure) - 1}" if structure else "none"
                    expected = f"a period of {kind}ratestructure: {known}"
                    raise rate.error(f"{name}[{month}][{hour}]", f"period {cell}", expected)
        tables.append(table)
    schedule = Schedule(prefix, *tables)
    for number in range(len(structure)):
        if number not in schedule.numbers():
            rate.assumed.append(f"{kind}ratestructure[{number}] is in no schedule and is left out")
    return schedule


def calendar_fields(energy: Schedule, demand: Schedule | None) -> dict[str, Any]:
    """Seasons and periods as a tariff file has them."""
    both = [energy] if demand is None else [energy, demand]
    seasons = _seasons(both)
    named = len(seasons) > 1
    fields: dict[str, Any] = {}
    if named:
        fields["seasons"] = {
            name: [f"{months[0] + 1:02d}-01", f"{months[-1] + 1:02d}-{_LAST[months[-1]]:02d}"]
            for name, months in seasons.items()
        }
    fields["periods"] = _periods(energy, seasons, named)
    if demand is not None:
        fields["demand_periods"] = _periods(demand, seasons, named)
    return fields


def _seasons(schedules: list[Schedule]) -> dict[str, list[int]]:
    """Runs of months with equal rows, around the turn of the year, by name."""
    rows = [[(s.weekday[m], s.weekend[m]) for s in schedules] for m in range(MONTHS)]
    first = [m for m in range(MONTHS) if rows[m] != rows[m - 1]] or [0]
    runs = []
    for place, begin in enumerate(first):
        end = first[(place + 1) % len(first)]
        runs.append([(begin + i) % MONTHS for i in range((end - begin - 1) % MONTHS + 1)])
    return {_season_name(months): months for months in runs}


def _season_name(months: list[int]) -> str:
    names = [calendar.month_abbr[m + 1].lower() for m in months]
    return names[0] if len(names) == 1 else f"{names[0]}-{names[-1]}"


def _periods(schedule: Schedule, seasons: dict[str, list[int]], named: bool) -> list[dict[str, Any]]:
    fields = []
    for number in schedule.numbers():
        by_season = {
            name: _spans(schedule.weekday[months[0]], schedule.weekend[months[0]], number)
            for name, months in seasons.items()
        }
        spans = list(by_season.values())
        if not named or all(each == spans[0] for each in spans):
            times = spans[0]
        else:
            times = [{"season": name, **span} for name, each in by_season.items() for span in each]
        period = {"id": schedule.name(number), **times[0]}
        if len(times) > 1:
            period["also"] = times[1:]
        fields.append(period)
    return fields


def _spans(weekday: list[int], weekend: list[int], number: int) -> list[dict[str, Any]]:
    if weekday == weekend:
        return [{**at} for at in _ranges(weekday, number)]
    return [
        {"days": days, **at}
        for days, row in (("weekday", weekday), ("weekend", weekend))
        for at in _ranges(row, number)
    ]


def _ranges(row: list[int], number: int) -> list[dict[str, list[str]]]:
    """Runs of hours of a period; the hours around midnight are one run."""
    hours = [hour for hour in range(HOURS) if row[hour] == number]
    if len(hours) == HOURS:
        return [{}]
    begins = [hour for hour in hours if row[hour - 1] != number]
    ranges = []
    for begin in begins:
        length = next(n for n in range(1, HOURS) if row[(begin + n) % HOURS] != number)
        end = (begin + length - 1) % HOURS + 1
        ranges.append({"at": [f"{begin:02d}:00", f"{end:02d}:00"]})
    return ranges
