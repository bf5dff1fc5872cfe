"""Price one load under a tariff: what ``meterbeam tariff price`` does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from models.bill_run import version_stretches
from models.billing import MICRO_DP, BillState, Line, MissingPriceError, Window, price_window
from models.calendar import DayGrid, epoch_day
from pipelines.load_file import Load, utc_seconds
from schemas.errors import MeterbeamError
from schemas.tariff import Tariff, load_tariff, load_tariffs

__all__ = ["BillInputs", "price_load", "read_inputs", "tariff_versions"]

MICRO = 1_000_000
HOUR_S = 3600


@dataclass(frozen=True)
class BillInputs:
    """What a bill depends on beside the load.

    Attributes:
        first, last: First and last local day, inclusive.
        peaks_kw: Peaks of past bills by month.
        credit: Carried credit.
        surplus_kwh: Energy fed in beyond what was drawn since the last true-up.
        power_factor: None where unknown.
        events: Days of each event.
        prices: (start, price) of each series, ascending; a price holds until the next one, an hour at most.
    """

    first: date
    last: date
    peaks_kw: Mapping[str, Decimal]
    credit: Decimal
    surplus_kwh: Decimal
    power_factor: Decimal | None
    events: Mapping[str, Sequence[date]]
    prices: Mapping[str, tuple[list[int], list[Decimal]]]


def tariff_versions(path: Path) -> list[Tariff]:
    """The versions of one tariff: a YAML file, or a folder of them.

    Raises:
        MeterbeamError: A file is wrong, or the folder holds several tariffs or none.
    """
    if not path.is_dir():
        return [load_tariff(path)]
    found = load_tariffs(path)
    if len(found) != 1:
        raise MeterbeamError(
            str(path), f"the tariffs {', '.join(sorted(found)) or 'none'}", "versions of one tariff"
        )
    return next(iter(found.values()))


def read_inputs(
    first: date, last: date, state: Path | None, events: Path | None, prices: Path | None
) -> BillInputs:
    """Read state, events and prices.

    Raises:
        MeterbeamError: A file cannot be used; names it, the field, what stands there and what was expected.
    """
    known = _object(state) if state else {}
    fields = ("past_peaks_kw", "credit", "power_factor", "surplus_kwh")
    unknown = set(known) - set(fields)
    if unknown:
        raise MeterbeamError(
            str(state), f"the field {sorted(unknown)[0]!r}", f"fields of {', '.join(fields)}"
        )
    peaks = known.get("past_peaks_kw") or {}
    if not isinstance(peaks, dict):
        raise MeterbeamError(
            f"{state}: past_peaks_kw", repr(peaks), 'peaks by month such as {"2026-01": "4.2"}'
        )
    factor = known.get("power_factor")
    return BillInputs(
        first=first,
        last=last,
        peaks_kw={
            _month(month, state): _decimal(kw, f"{state}: past_peaks_kw.{month}")
            for month, kw in peaks.items()
        },
        credit=_decimal(known.get("credit") or "0", f"{state}: credit"),
        surplus_kwh=_decimal(known.get("surplus_kwh") or "0", f"{state}: surplus_kwh"),
        power_factor=None if factor is None else _decimal(factor, f"{state}: power_factor"),
        events=_events(events) if events else {},
        prices=_prices(prices) if prices else {},
    )


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"), parse_float=str)
    except FileNotFoundError as error:
        raise MeterbeamError(str(path), "no such file", "a JSON object") from error
    except ValueError as error:
        raise MeterbeamError(str(path), str(error), "a JSON object") from error
    if not isinstance(content, dict):
        raise MeterbeamError(str(path), f"a JSON {type(content).__name__}", "a JSON object")
    return content


def _decimal(value: object, where: str) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise MeterbeamError(where, repr(value), 'a decimal number as text such as "4.2"') from error
    if isinstance(value, bool) or not number.is_finite():
        raise MeterbeamError(where, repr(value), 'a decimal number as text such as "4.2"')
    return number


def _month(text: str, where: Path | None) -> str:
    try:
        date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise MeterbeamError(f"{where}: past_peaks_kw", repr(text), "a month such as 2026-01") from error
    return text


def _events(path: Path) -> dict[str, list[date]]:
    found = {}
    for event, days in _object(path).items():
        try:
            found[event] = [date.fromisoformat(day) for day in days]
        except (TypeError, ValueError) as error:
            raise MeterbeamError(f"{path}: {event}", repr(days), 'days such as ["2026-07-14"]') from error
    return found


def _prices(path: Path) -> dict[str, tuple[list[int], list[Decimal]]]:
    """Price series from CSV or Parquet with series_id, start_utc and price (kept as decimals)."""
    if not path.is_file():
        raise MeterbeamError(str(path), "no such file", "prices in Parquet or CSV")
    columns = ["series_id", "start_utc", "price"]
    try:
        if path.suffix.lower() == ".parquet":
            table = pq.read_table(path)
        else:
            kinds = csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()))
            table = csv.read_csv(path, convert_options=kinds)
        rows = table.select(columns)
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise MeterbeamError(str(path), str(error), f"the columns {', '.join(columns)}") from error
    found: dict[str, dict[int, Decimal]] = {}
    moments = utc_seconds(rows["start_utc"], str(path)).tolist()
    for series, at, price in zip(
        rows["series_id"].to_pylist(), moments, rows["price"].to_pylist(), strict=True
    ):
        if price is None:
            continue
        known = found.setdefault(series, {})
        number = _decimal(price, f"{path}, series {series}")
        if known.setdefault(at, number) != number:
            moment = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
            raise MeterbeamError(f"{path}, series {series}", f"two prices at {moment}", "one price at a time")
    return {series: (sorted(by), [by[at] for at in sorted(by)]) for series, by in found.items()}


def price_load(versions: Sequence[Tariff], load: Load, inputs: BillInputs) -> dict[str, Any]:
    """One bill, one sub-bill for each version in force.

    Args:
        versions: Of one tariff.
        load: Longer than the bill or just as long.
        inputs: The bill's days and what it depends on.

    Returns:
        lines, total, billed_days, slots and the new state; numbers as decimal text.

    Raises:
        MeterbeamError: The load, the tariff and the inputs do not fit each other.
    """
    first, last = epoch_day(inputs.first), epoch_day(inputs.last)
    stretches = version_stretches(versions, first, last)
    _check(versions, stretches, load, inputs)
    dp = versions[0].rounding.money_dp
    state = _state_in(inputs, dp)
    lines: list[dict[str, Any]] = []
    total, slots = Decimal(0), 0
    for low, high, tariff in stretches:
        grid = DayGrid(tariff.timezone, load.interval_s, low, high - low + 1)
        imported, exported = load.on(grid)
        window = Window(
            grid=grid,
            imported=imported,
            exported=exported,
            month=inputs.last.year * 12 + inputs.last.month - 1,
            billed_days=last - first + 1,
            events={e: frozenset(epoch_day(day) for day in days) for e, days in inputs.events.items()},
            power_factor=[inputs.power_factor],
            closes=high == last,
            prices={series: _at(grid, known) for series, known in inputs.prices.items()},
        )
        try:
            priced = price_window(tariff, window, state)
        except MissingPriceError as error:
            at = (
                ""
                if error.second is None
                else f" at {datetime.fromtimestamp(error.second, UTC):%Y-%m-%dT%H:%M:%SZ}"
            )
            raise MeterbeamError(
                "--prices", f"no price of series {error.series}{at}", "a price for every slot"
            ) from error
        state = priced.state
        money = tariff.rounding.money_dp if tariff.rounding.money_at == "line" else MICRO_DP
        lines += [_line(tariff, line, money) for line in priced.lines if line.amount[0]]
        total += Decimal(int(priced.total[0])).scaleb(-tariff.rounding.money_dp)
        slots += grid.slots
    return {
        "tariff": versions[0].id,
        "currency": versions[0].currency,
        "lines": lines,
        "total": str(total),
        "billed_days": last - first + 1,
        "slots": slots,
        "state": _state_out(state, inputs, dp),
    }


def _check(
    versions: Sequence[Tariff], stretches: Sequence[tuple[int, int, Tariff]], load: Load, inputs: BillInputs
) -> None:
    covered = sum(high - low + 1 for low, high, _ in stretches)
    if covered < (inputs.last - inputs.first).days + 1:
        known = ", ".join(
            f"{v.version} from {v.effective.from_} to {v.effective.to or 'now'}" for v in versions
        )
        raise MeterbeamError(
            f"tariff {versions[0].id}",
            f"{(inputs.last - inputs.first).days + 1 - covered} days of the bill without a version in force",
            f"days within its versions: {known}",
        )
    for _, _, tariff in stretches:
        if load.interval_s % 60 or load.interval_s // 60 not in tariff.interval.accepts_min:
            accepted = ", ".join(map(str, tariff.interval.accepts_min))
            raise MeterbeamError(
                load.where,
                f"slots of {load.interval_s} s",
                f"slots of {accepted} minutes, as tariff {tariff.id} accepts",
            )
        for event, days in inputs.events.items():
            if days and event not in tariff.calendar.events:
                known = ", ".join(sorted(tariff.calendar.events)) or "none"
                raise MeterbeamError(
                    "--events", f"the event {event!r}", f"events of tariff {tariff.id}: {known}"
                )


def _at(grid: DayGrid, known: tuple[list[int], list[Decimal]]) -> list[Decimal | None]:
    """Price at each slot: that of the latest start at or before it, less than an hour back."""
    starts, prices = known
    place = np.searchsorted(np.array(starts, np.int64), grid.starts, side="right") - 1
    found: list[Decimal | None] = []
    for second, at in zip(grid.starts.tolist(), place.tolist(), strict=True):
        fits = at >= 0 and second - starts[at] < HOUR_S
        found.append(prices[at] if fits else None)
    return found


def _state_in(inputs: BillInputs, dp: int) -> BillState:
    peaks = {
        int(month[:4]) * 12 + int(month[5:]) - 1: np.array([int((kw * MICRO).to_integral_value())], np.int64)
        for month, kw in inputs.peaks_kw.items()
    }
    credit = np.array([int(inputs.credit.scaleb(dp).to_integral_value())], np.int64)
    surplus = np.array([int((inputs.surplus_kwh * MICRO).to_integral_value())], np.int64)
    return BillState(peaks, credit, surplus)


def _state_out(state: BillState, inputs: BillInputs, dp: int) -> dict[str, Any]:
    peaks = {
        f"{month // 12}-{month % 12 + 1:02d}": _plain(Decimal(int(kw[0])).scaleb(-MICRO_DP))
        for month, kw in sorted(state.peaks_kw.items())
        if kw[0] >= 0
    }
    out: dict[str, Any] = {"past_peaks_kw": peaks, "credit": str(Decimal(int(state.credit[0])).scaleb(-dp))}
    if inputs.power_factor is not None:
        out["power_factor"] = str(inputs.power_factor)
    if state.surplus[0]:
        out["surplus_kwh"] = _plain(Decimal(int(state.surplus[0])).scaleb(-MICRO_DP))
    return out


def _line(tariff: Tariff, line: Line, money_dp: int) -> dict[str, Any]:
    quantity = Decimal(int(line.quantity[0])).scaleb(-line.quantity_dp)
    return {
        "charge": line.charge,
        "period": line.period,
        "tier": line.tier or None,
        "quantity": _plain(quantity) if line.unit in ("day", "month") else str(quantity),
        "unit": line.unit,
        "rate": None if line.rate is None else str(line.rate),
        "amount": str(Decimal(int(line.amount[0])).scaleb(-money_dp)),
        "tariff_version": tariff.version,
    }


def _plain(number: Decimal) -> str:
    """Without trailing zeros or an exponent."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
