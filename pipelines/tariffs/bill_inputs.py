"""What a bill depends on beside the load: state of the bill before, events, prices; read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from models.bill_prices import PriceSeries
from pipelines.tariffs.price_file import read_prices
from schemas.errors import MeterbeamError

__all__ = ["BillInputs", "EventFeed", "read_inputs"]

DECIMAL = 'a decimal number as text such as "4.2"'
STATE_FIELDS = ("past_peaks_kw", "charge_peaks_kw", "rollover_kwh", "credit", "surplus_kwh", "power_factor")
MICRO_DP = 6


@dataclass(frozen=True)
class EventFeed:
    """Days and stretches of one event.

    Attributes:
        days: Local days.
        stretches: First and last moment, local where they have no offset.
    """

    days: tuple[date, ...]
    stretches: tuple[tuple[datetime, datetime], ...]


@dataclass(frozen=True)
class BillInputs:
    """What a bill depends on beside the load.

    Attributes:
        first, last: First and last local day, inclusive.
        peaks_kw: Peaks of past bills by month.
        charge_peaks_kw: Peaks of past bills by charge and month.
        rollover_kwh: Energy carried by period.
        credit: Carried credit.
        surplus_kwh: Energy fed in beyond what was drawn since the last true-up.
        power_factor: None where unknown.
        events: Feed of each event.
        prices: Each series.
        state_file, events_file, prices_file: Where these were read, for messages.
    """

    first: date
    last: date
    peaks_kw: Mapping[str, Decimal] = field(default_factory=dict)
    charge_peaks_kw: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)
    rollover_kwh: Mapping[str, Decimal] = field(default_factory=dict)
    credit: Decimal = Decimal(0)
    surplus_kwh: Decimal = Decimal(0)
    power_factor: Decimal | None = None
    events: Mapping[str, EventFeed] = field(default_factory=dict)
    prices: Mapping[str | None, PriceSeries] = field(default_factory=dict)
    state_file: str = "--state"
    events_file: str = "--events"
    prices_file: str = "--prices"


def read_inputs(
    first: date, last: date, state: Path | None, events: Path | None, prices: Path | None
) -> BillInputs:
    """Read state, events and prices.

    Raises:
        MeterbeamError: A file cannot be used; names it, the field, what stands there and what was expected.
    """
    known = _object(state) if state else {}
    where = str(state)
    for name in known:
        if name not in STATE_FIELDS:
            raise MeterbeamError(where, f"the field {name!r}", f"fields of {', '.join(STATE_FIELDS)}")
    charges = _mapping(known.get("charge_peaks_kw"), f"{where}: charge_peaks_kw")
    factor = known.get("power_factor")
    return BillInputs(
        first=first,
        last=last,
        peaks_kw=_peaks(known.get("past_peaks_kw"), f"{where}: past_peaks_kw"),
        charge_peaks_kw={c: _peaks(peaks, f"{where}: charge_peaks_kw.{c}") for c, peaks in charges.items()},
        rollover_kwh={
            period: _decimal(kwh, f"{where}: rollover_kwh.{period}")
            for period, kwh in _mapping(known.get("rollover_kwh"), f"{where}: rollover_kwh").items()
        },
        credit=_decimal(_or_zero(known.get("credit")), f"{where}: credit"),
        surplus_kwh=_decimal(_or_zero(known.get("surplus_kwh")), f"{where}: surplus_kwh", signed=True),
        power_factor=None if factor is None else _power_factor(factor, f"{where}: power_factor"),
        events=_events(events) if events else {},
        prices=read_prices(prices) if prices else {},
        state_file=where if state else "--state",
        events_file=str(events) if events else "--events",
        prices_file=str(prices) if prices else "--prices",
    )


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"), object_pairs_hook=_once)
    except FileNotFoundError as error:
        raise MeterbeamError(str(path), "no such file", "a JSON object") from error
    except (ValueError, RecursionError) as error:
        raise MeterbeamError(str(path), str(error), "a JSON object") from error
    if not isinstance(content, dict):
        raise MeterbeamError(str(path), f"a JSON {type(content).__name__}", "a JSON object")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ValueError(f"the field {name!r} twice")
    return dict(pairs)


def _or_zero(value: object) -> object:
    return "0" if value is None else value


def _mapping(value: object, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MeterbeamError(where, repr(value), "a JSON object with a number for each name")
    return {name: each for name, each in value.items() if each is not None}


def _decimal(value: object, where: str, *, signed: bool = False) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise MeterbeamError(where, repr(value), DECIMAL)
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise MeterbeamError(where, repr(value), DECIMAL) from error
    if not number.is_finite() or abs(number) >= 10**12:
        raise MeterbeamError(where, repr(value), DECIMAL)
    if number != round(number, MICRO_DP):
        raise MeterbeamError(where, repr(value), f"at most {MICRO_DP} decimals")
    if number < 0 and not signed:
        raise MeterbeamError(where, repr(value), "a number that is not negative")
    return number


def _power_factor(value: object, where: str) -> Decimal:
    factor = _decimal(value, where)
    if not 0 < factor <= 1:
        raise MeterbeamError(where, repr(value), "a power factor above 0, at most 1")
    return factor


def _peaks(value: object, where: str) -> dict[str, Decimal]:
    found = {}
    for month, kw in _mapping(value, where).items():
        try:
            day = date.fromisoformat(f"{month}-01")
        except ValueError as error:
            raise MeterbeamError(where, repr(month), "a month such as 2026-01") from error
        found[f"{day:%Y-%m}"] = _decimal(kw, f"{where}.{month}")
    return found


def _events(path: Path) -> dict[str, EventFeed]:
    found = {}
    expected = 'days such as "2026-07-14" or stretches such as "2026-07-14T16:00/2026-07-14T18:00"'
    for event, items in _object(path).items():
        where = f"{path}: {event}"
        if items is not None and not isinstance(items, list):
            raise MeterbeamError(where, repr(items), f"a list of {expected}")
        days: list[date] = []
        stretches: list[tuple[datetime, datetime]] = []
        for item in items or ():
            try:
                low, slash, high = str(item).partition("/")
                if slash:
                    stretches.append((datetime.fromisoformat(low), datetime.fromisoformat(high)))
                else:
                    days.append(date.fromisoformat(str(item)))
            except ValueError as error:
                raise MeterbeamError(where, repr(item), expected) from error
        found[event] = EventFeed(tuple(dict.fromkeys(days)), tuple(stretches))
    return found
