"""Price one load under a tariff: what ``meterbeam tariff price`` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from models.bill_lines import BillLine, decimal_bills
from models.bill_prices import prices_on, version_stretches
from models.bill_state import month_number
from models.billing import BillState, MissingPriceError, UnpriceableError, Window, price_window
from models.calendar import DAY_S, DayGrid, epoch_day, utc_text
from models.series import Int
from pipelines.tariffs.bill_inputs import BillInputs, EventFeed
from pipelines.tariffs.load_file import Load
from schemas.errors import MeterbeamError
from schemas.tariff import Tariff, load_tariff, load_tariffs

__all__ = ["price_load", "tariff_versions"]

MICRO = 1_000_000


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
    _check_days(versions, stretches, inputs)
    _check_span(load, inputs)
    for _, _, tariff in stretches:
        _check_load(tariff, load)
        _check_events(tariff, inputs)
    dp = versions[0].rounding.money_dp
    state = _state_in(versions, inputs, dp)
    lines: list[dict[str, Any]] = []
    total, slots = Decimal(0), 0
    for low, high, tariff in stretches:
        grid = DayGrid(tariff.timezone, load.interval_s, low, high - low + 1)
        try:
            priced = price_window(tariff, _window(tariff, grid, load, inputs), state)
        except UnpriceableError as error:
            where = inputs.prices_file if isinstance(error, MissingPriceError) else load.where
            raise MeterbeamError(f"{where}, tariff {tariff.id}", error.found, error.expected) from error
        state = priced.state
        lines += [_shown(tariff, line) for line in decimal_bills(priced)[0]]
        total += Decimal(int(priced.total[0])).scaleb(-tariff.rounding.money_dp)
        slots += grid.slots
    state_out: dict[str, Any] = {"past_peaks_kw": {}, **state.fields(0, dp)}
    if inputs.power_factor is not None:
        state_out["power_factor"] = str(inputs.power_factor)
    return {
        "tariff": versions[0].id,
        "currency": versions[0].currency,
        "lines": lines,
        "total": str(total),
        "billed_days": last - first + 1,
        "slots": slots,
        "state": state_out,
    }


def _window(tariff: Tariff, grid: DayGrid, load: Load, inputs: BillInputs) -> Window:
    at = load.columns_on(grid)
    only = inputs.prices.get(None)
    series = {charge.series for charge in tariff.charges if charge.type == "energy_series"}
    if only is not None and len(series) > 1:
        names = ", ".join(sorted(series))
        raise MeterbeamError(
            inputs.prices_file, "no column series_id", f"one, as there are the series {names}"
        )
    known = {name: inputs.prices.get(name, only) for name in series}
    return Window(
        grid=grid,
        imported=load.imported[at][None],
        exported=None if load.exported is None else load.exported[at][None],
        month=inputs.last.year * 12 + inputs.last.month - 1,
        billed_days=(inputs.last - inputs.first).days + 1,
        events={e: frozenset(map(epoch_day, feed.days)) for e, feed in inputs.events.items()},
        power_factor=[inputs.power_factor],
        of_bill=_of_bill(tariff, load, inputs),
        prices=prices_on(tariff, grid, {name: s for name, s in known.items() if s is not None}),
        stretches={e: _moments(feed, tariff.timezone) for e, feed in inputs.events.items()},
        reactive={channel: values[at][None] for channel, values in load.reactive.items()},
        closes=grid.last_day == epoch_day(inputs.last),
    )


def _of_bill(tariff: Tariff, load: Load, inputs: BillInputs) -> tuple[Int, Int] | None:
    """Energy drawn and reactive energy drawn in the whole bill; None where the load has none."""
    if "reactive_import" not in load.reactive:
        return None
    first, last = epoch_day(inputs.first), epoch_day(inputs.last)
    at = load.columns_on(DayGrid(tariff.timezone, load.interval_s, first, last - first + 1))
    active, reactive = (
        values[at].sum(keepdims=True) for values in (load.imported, load.reactive["reactive_import"])
    )
    return active, reactive


def _moments(feed: EventFeed, zone: str) -> list[tuple[int, int]]:
    """Stretches as UTC seconds; moments without an offset are local."""

    def second(moment: datetime) -> int:
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))
        return int((zoned - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())

    return [(second(low), second(high)) for low, high in feed.stretches]


def _check_days(
    versions: Sequence[Tariff], stretches: Sequence[tuple[int, int, Tariff]], inputs: BillInputs
) -> None:
    billed = (inputs.last - inputs.first).days + 1
    covered = sum(high - low + 1 for low, high, _ in stretches)
    if covered < billed:
        known = ", ".join(
            f"{v.version} from {v.effective.from_} to {v.effective.to or 'now'}" for v in versions
        )
        raise MeterbeamError(
            f"tariff {versions[0].id}",
            f"{billed - covered} of the {billed} days {inputs.first} to {inputs.last} without a version",
            f"days within its versions: {known}",
        )
    first = versions[0]
    for other in versions[1:]:
        mine = other.currency, other.timezone, other.rounding.money_dp
        if mine != (first.currency, first.timezone, first.rounding.money_dp):
            raise MeterbeamError(
                f"tariff {first.id}, version {other.version}",
                f"{other.currency}, {other.timezone}, money_dp {other.rounding.money_dp}",
                f"{first.currency}, {first.timezone}, money_dp {first.rounding.money_dp}, as in version "
                f"{first.version}",
            )


def _check_span(load: Load, inputs: BillInputs) -> None:
    """A load that begins or ends a day or more away is refused before years of slots are laid out."""
    begins, ends = int(load.starts[0]), int(load.starts[-1])
    if begins > (epoch_day(inputs.first) + 2) * DAY_S or ends < (epoch_day(inputs.last) - 1) * DAY_S:
        found = f"values from {utc_text(begins)} to {utc_text(ends)}"
        raise MeterbeamError(load.where, found, f"every slot of {inputs.first} to {inputs.last}")


def _check_load(tariff: Tariff, load: Load) -> None:
    if load.interval_s % 60 or load.interval_s // 60 not in tariff.interval.accepts_min:
        accepted = ", ".join(map(str, tariff.interval.accepts_min))
        found = f"slots of {load.interval_s / 60:g} minutes"
        raise MeterbeamError(load.where, found, f"slots of {accepted} minutes, as tariff {tariff.id} accepts")
    wanted = "m3" if tariff.conversion is not None else tariff.unit
    if load.unit != wanted:
        column = f"import_{wanted.lower()}"
        raise MeterbeamError(load.where, f"a load in {load.unit}", f"{column}, as tariff {tariff.id} prices")


def _check_events(tariff: Tariff, inputs: BillInputs) -> None:
    for event, feed in inputs.events.items():
        where = f"{inputs.events_file}: {event}"
        known = tariff.calendar.events.get(event)
        if known is None:
            if feed.days or feed.stretches:
                names = ", ".join(sorted(tariff.calendar.events)) or "none"
                raise MeterbeamError(where, f"the event {event!r}", f"events of tariff {tariff.id}: {names}")
            continue
        for low, high in _moments(feed, tariff.timezone):
            if high <= low:
                found = f"a stretch that ends at {datetime.fromtimestamp(high, UTC):%Y-%m-%dT%H:%MZ}"
                raise MeterbeamError(where, found, "an end after its start")
        if known.max_per_year is not None:
            days = {*feed.days, *(low.date() for low, _ in feed.stretches)}
            for year, count in Counter(day.year for day in days).items():
                if count > known.max_per_year:
                    found = f"{count} days of {event} in {year}"
                    raise MeterbeamError(where, found, f"at most {known.max_per_year} a year")


def _state_in(versions: Sequence[Tariff], inputs: BillInputs, dp: int) -> BillState:
    periods = {period.id for version in versions for period in version.calendar.periods}
    charges = {charge.id for version in versions for charge in version.charges}
    for field, names, known in (
        ("rollover_kwh", inputs.rollover_kwh, periods),
        ("charge_peaks_kw", inputs.charge_peaks_kw, charges),
    ):
        for name in names:
            if name not in known:
                raise MeterbeamError.unknown(f"{inputs.state_file}: {field}", name, sorted(known))
    if inputs.credit != round(inputs.credit, dp):
        expected = f"at most {dp} decimals, as the money of tariff {versions[0].id} has"
        raise MeterbeamError(f"{inputs.state_file}: credit", str(inputs.credit), expected)

    def micro(value: Decimal) -> Int:
        return np.array([int(value * MICRO)], np.int64)

    return BillState(
        {month_number(month): micro(kw) for month, kw in inputs.peaks_kw.items()},
        np.array([int(inputs.credit.scaleb(dp))], np.int64),
        micro(inputs.surplus_kwh),
        {period: micro(kwh) for period, kwh in inputs.rollover_kwh.items()},
        {
            (charge, month_number(month)): micro(kw)
            for charge, peaks in inputs.charge_peaks_kw.items()
            for month, kw in peaks.items()
        },
    )


def _shown(tariff: Tariff, line: BillLine) -> dict[str, Any]:
    return {
        "charge": line.charge,
        "period": line.period,
        "tier": line.tier,
        "quantity": str(line.quantity),
        "unit": line.unit,
        "rate": None if line.rate is None else str(line.rate),
        "amount": str(line.amount),
        "tariff_version": tariff.version,
    }
