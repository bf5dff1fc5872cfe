"""A tariff's calendar as text: which period holds in each month and hour."""

from __future__ import annotations

from datetime import date, timedelta

from schemas.tariff import Tariff

__all__ = ["calendar_picture"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
DAY_TYPES = (("weekdays", range(5)), ("Saturdays", range(5, 6)), ("Sundays", range(6, 7)))
MIXED = "*"


def calendar_picture(tariff: Tariff, year: int = 2025) -> str:
    """A 12 × 24 table for each kind of day, a letter a period; ``*`` where an hour or a month has several.

    Where demand has periods of its own, their tables follow.

    Args:
        tariff: The tariff.
        year: Whose days stand for their month; holidays are left out.
    """
    picture = _tables(tariff, year, demand=False)
    if tariff.calendar.demand_periods:
        picture += ["Periods of demand", *_tables(tariff, year, demand=True)]
    return "\n\n".join(picture)


def _tables(tariff: Tariff, year: int, *, demand: bool) -> list[str]:
    periods = tariff.calendar.of_demand() if demand else tariff.calendar.periods
    legend = "  ".join(f"{LETTERS[i % len(LETTERS)]} {period.id}" for i, period in enumerate(periods))
    blocks = [legend]
    for label, weekdays in DAY_TYPES:
        rows = [f"{label:<10}" + "".join(f"{hour:02d} " for hour in range(24)).rstrip()]
        for month in range(1, 13):
            days = [day for day in _days(year, month) if day.weekday() in weekdays]
            tables = {
                (season, day.weekday()): tariff.calendar.minutes(season, day.weekday(), demand=demand)
                for day in days
                for season in (tariff.calendar.season_of(day),)
            }
            cells = [_letter(list(tables.values()), hour) for hour in range(24)]
            rows.append(f"{MONTHS[month - 1]:<10}" + "  ".join(cells))
        blocks.append("\n".join(rows))
    return blocks


def _letter(tables: list[list[int]], hour: int) -> str:
    codes = {code for table in tables for code in table[hour * 60 : hour * 60 + 60]}
    return LETTERS[codes.pop() % len(LETTERS)] if len(codes) == 1 else MIXED


def _days(year: int, month: int) -> list[date]:
    first = date(year, month, 1)
    return [day for i in range(31) if (day := first + timedelta(days=i)).month == month]
