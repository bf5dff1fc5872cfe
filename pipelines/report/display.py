"""Numbers, dates and lists as people read them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

NARROW_SPACE = "\u202f"
NOTHING = "–"


def count(value: float | Decimal | None) -> str:
    """A whole number with thousands separators."""
    return NOTHING if value is None else f"{int(value):,}"


def amount(value: float | Decimal | None, places: int = 1) -> str:
    """A quantity with thousands separators and a real minus sign, half away from zero."""
    if value is None:
        return NOTHING
    rounded = Decimal(str(value)).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    return f"{rounded:,}".replace("-", "−")


def exact(value: Decimal | None, least: int = 0) -> str:
    """A decimal with every digit that counts: trailing zeros dropped beyond ``least`` places."""
    if value is None:
        return NOTHING
    whole, _, part = f"{value:,f}".partition(".")
    part = part.rstrip("0").ljust(least, "0")
    return f"{whole}.{part}".rstrip(".").replace("-", "−")


def money(value: Decimal | None, currency: str = "") -> str:
    """An amount of money: at least two places, more only if they are not zero."""
    return NOTHING if value is None else f"{exact(Decimal(value), 2)}{NARROW_SPACE}{currency}".rstrip()


def percent(part: float | Decimal | None, whole: float | Decimal | None = 1, places: int = 2) -> str:
    """A share, rounded so that only everything is 100 % and only nothing is 0 %."""
    if part is None or not whole:
        return NOTHING
    share = Decimal(str(part)) / Decimal(str(whole)) * 100
    step = Decimal(1).scaleb(-places)
    shown = share.quantize(step, rounding=ROUND_HALF_UP)
    if shown == 100 and share < 100:
        shown -= step
    if shown == 0 and share > 0:
        return f"<{NARROW_SPACE}{step}{NARROW_SPACE}%"
    return f"{exact(shown)}{NARROW_SPACE}%"


def day(value: date | datetime | None) -> str:
    """A date as YYYY-MM-DD."""
    return NOTHING if value is None else value.strftime("%Y-%m-%d")


def moment(value: date | datetime | None) -> str:
    """A UTC moment to the minute, seconds only where they are not zero; one without a zone is in UTC."""
    if not isinstance(value, datetime):
        return day(value)
    if value.tzinfo is not None:
        value = value.astimezone(UTC)
    return value.strftime("%Y-%m-%d %H:%M:%S" if value.second else "%Y-%m-%d %H:%M")


def seconds(value: float | None) -> str:
    """A duration in its natural unit."""
    if value is None:
        return NOTHING
    if value < 120:
        return f"{value:,.1f}{NARROW_SPACE}s"
    return f"{value / 60:,.1f}{NARROW_SPACE}min" if value < 7_200 else f"{value / 3600:,.1f}{NARROW_SPACE}h"


def items(value: Any) -> list[str]:
    """Reasons, counts or versions as short lines, whether stored as a list, as JSON or as text with "
    "semicolons.
    """
    if value is None or value == "":
        return []
    if isinstance(value, str) and value[:1] in "[{":
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            return [value]
    if isinstance(value, dict):
        return [f"{key}: {_plain(item)}" for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return [part.strip() for part in str(value).split(";") if part.strip()]


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    return ", ".join(map(_plain, value)) if isinstance(value, (list, tuple)) else str(value)
