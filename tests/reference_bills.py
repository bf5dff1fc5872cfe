"""Bills the slow way: one meter, slot by slot, in fractions, straight from the words of docs/tariffs.md.

Kept apart from the kernels on purpose: it shares no code with them but the calendar's named holidays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import isqrt
from typing import Any
from zoneinfo import ZoneInfo

from models.tou import holidays_of
from schemas.tariff import DAY_NAMES, Demand, Energy, Export, Period, Prorate, Span, Tariff

MICRO = 10**6


@dataclass
class SlowState:
    """What a bill takes from the one before and hands on; months are year · 12 + month − 1."""

    peaks: dict[int, int] = field(default_factory=dict)
    credit: Fraction = Fraction(0)
    surplus: int = 0
    bank: dict[str, int] = field(default_factory=dict)
    own_peaks: dict[tuple[str, int], int] = field(default_factory=dict)


@dataclass(frozen=True)
class SlowLoad:
    """One meter's slots and all else a bill depends on; energies in micro-units."""

    starts: Sequence[int]
    interval_s: int
    imported: Sequence[int]
    exported: Sequence[int] | None
    days: int
    billed_days: int
    month: int
    events: Mapping[str, frozenset[date]]
    stretches: Mapping[str, Sequence[tuple[int, int]]]
    prices: Mapping[str, Sequence[Decimal]]
    reactive: Mapping[str, Sequence[int]]
    power_factor: Decimal | None
    closes: bool = True


def nearest(value: Fraction, dp: int, mode: str) -> Fraction:
    """Round to some decimals."""
    scaled = abs(value) * 10**dp
    whole, rest = scaled.numerator // scaled.denominator, scaled - scaled.numerator // scaled.denominator
    if mode == "up":
        whole += rest > 0
    elif mode == "half_up":
        whole += rest >= Fraction(1, 2)
    elif mode == "half_even":
        whole += rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2 == 1)
    return Fraction(whole if value >= 0 else -whole, 10**dp)


def local_time(version: Tariff, second: int) -> datetime:
    """The tariff's clock at a UTC second."""
    here = datetime.fromtimestamp(second, ZoneInfo(version.timezone))
    return here - (here.dst() or timedelta()) if version.clock == "standard" else here


def standard_second(version: Tariff, second: int) -> int:
    """A UTC second on the clock of the zone's standard time."""
    here = datetime.fromtimestamp(second, ZoneInfo(version.timezone))
    offset = (here.utcoffset() or timedelta()) - (here.dst() or timedelta())
    return second + int(offset.total_seconds())


def slow_period(version: Tariff, second: int, *, demand: bool = False) -> str:
    """Period of the slot that starts at a UTC second, straight from the words of the tariff."""
    here = local_time(version, second)
    day, weekday = here.date(), here.weekday()
    if day in holidays_of(version.calendar.holidays, day.year):
        weekday = 5 if version.calendar.holidays.as_ == "saturday" else 6
    season = None
    for name, (first, last) in version.calendar.seasons.items():
        here_md = (day.month, day.day)
        inside = first <= here_md <= last if first <= last else here_md >= first or here_md <= last
        season = season or (name if inside else None)
    own = version.calendar.demand_periods if demand else ()
    for period in own or version.calendar.periods:
        for span in (period, *period.also):
            if _holds(span, season, weekday, here.hour * 60 + here.minute):
                return period.id
    raise AssertionError("no period")


def _holds(span: Span, season: str | None, weekday: int, minute: int) -> bool:
    groups = {"all": DAY_NAMES, "weekday": DAY_NAMES[:5], "weekend": DAY_NAMES[5:]}
    names = (span.days,) if isinstance(span.days, str) else span.days
    if DAY_NAMES[weekday] not in [one for name in names for one in groups.get(name, (name,))]:
        return False
    low, high = span.at or (0, 1440)
    at = low <= minute < high if low < high else minute >= low or minute < high
    return at and span.season in (None, season)


def in_event(version: Tariff, event: str, load: SlowLoad, second: int) -> bool:
    """Whether a slot lies in an event's hours."""
    if any(low <= second < high for low, high in load.stretches.get(event, ())):
        return True
    at = version.calendar.events[event].at
    if at is None:
        return False
    here = local_time(version, second)
    minute, days = here.hour * 60 + here.minute, load.events.get(event, frozenset())
    if at[0] < at[1]:
        return here.date() in days and at[0] <= minute < at[1]
    before = here.date() - timedelta(days=1)
    return (here.date() in days and minute >= at[0]) or (before in days and minute < at[1])


class SlowBill:
    """One bill of one meter.

    Attributes:
        lines: (charge, period, tier, quantity, unit, rate, amount), zero lines left out.
        total: Of the bill.
        state: For the next one.
    """

    def __init__(self, version: Tariff, load: SlowLoad, state: SlowState) -> None:
        self.version, self.load, self.before = version, load, state
        self.rounding = version.rounding
        self.dp = self.rounding.money_dp if self.rounding.money_at == "line" else 6
        self.share = Fraction(load.days, load.billed_days)
        self.lines: list[tuple[str, str | None, int | None, Fraction, str, Decimal | None, Fraction]] = []
        self.period = [slow_period(version, second) for second in load.starts]
        self.demand_period = [slow_period(version, second, demand=True) for second in load.starts]
        self.exports = [c for c in version.charges if isinstance(c, Export)]
        self._net()
        steps: list[Callable[[], None]] = [
            self._fixed, self._energy, self._hours, self._reactive, self._demand, self._coincident,
            self._percent, self._export, self._minimum, self._taxed_credit, self._tax, self._free_credit,
            self._true_up, self._rounding,
        ]  # fmt: skip
        self.credit = state.credit
        for step in steps:
            step()
        self.total = nearest(
            sum((line[-1] for line in self.lines), Fraction(0)), self.rounding.money_dp, self.mode
        )
        self._hand_on()

    @property
    def mode(self) -> str:
        return self.rounding.mode

    def of(self, kind: str) -> list[Any]:
        return [charge for charge in self.version.charges if charge.type == kind]

    def add(
        self, charge: str, quantity: Fraction, unit: str, rate: Decimal | None, exact: Fraction, **named: Any
    ) -> None:
        amount = nearest(exact, self.dp, self.mode)
        if amount or (named.get("told") and quantity):
            line = charge, named.get("period"), named.get("tier"), quantity, unit, rate, amount
            self.lines.append(line)

    def sum_of(self, charges: Sequence[str]) -> Fraction:
        return sum((line[-1] for line in self.lines if line[0] in charges), Fraction(0))

    def kwh(self, micro: int | Fraction) -> Fraction:
        return nearest(Fraction(micro) / MICRO, self.rounding.kwh_dp, self.mode)

    def month(self, prorate: Prorate | None) -> Fraction:
        days = self.load.billed_days
        if prorate is None or prorate.normal[0] <= days <= prorate.normal[1]:
            return self.share
        return Fraction(days, prorate.denom) * self.share

    def _net(self) -> None:
        load = self.load
        self.drawn, self.fed = list(load.imported), list(load.exported or [0] * len(load.imported))
        self.metered = list(self.drawn)
        netting = self.exports[0].netting if self.exports and load.exported is not None else "none"
        if netting in ("interval", "hour"):
            net = [a - b for a, b in zip(self.drawn, self.fed, strict=True)]
            self.metered = [max(n, 0) for n in net]
            if netting == "hour":
                net = self._hourly(net)
            self.drawn, self.fed = [max(n, 0) for n in net], [max(-n, 0) for n in net]
        self.drawn_in, self.fed_in = self._by_period(self.drawn), self._by_period(self.fed)
        self.billed, self.excess = dict(self.drawn_in), dict(self.fed_in)
        if self.exports and self.exports[0].netting == "month":
            for name in self.billed:
                net_kwh = self.drawn_in[name] - self.fed_in[name] - self.before.bank.get(name, 0)
                self.billed[name], self.excess[name] = max(net_kwh, 0), max(-net_kwh, 0)

    def _hourly(self, net: Sequence[int]) -> list[int]:
        out, hour_before, first = [0] * len(net), None, 0
        for i, second in enumerate(self.load.starts):
            hour = standard_second(self.version, second) // 3600
            first = i if hour != hour_before else first
            out[first] += net[i]
            hour_before = hour
        return out

    def _by_period(self, load: Sequence[int]) -> dict[str, int]:
        sums = {period.id: 0 for period in self.version.calendar.periods}
        for name, energy in zip(self.period, load, strict=True):
            sums[name] += energy
        return sums

    def _fixed(self) -> None:
        for charge in self.of("fixed"):
            self._due(charge, 1)

    def _local_days(self) -> set[date]:
        zone = ZoneInfo(self.version.timezone)
        return {datetime.fromtimestamp(second, zone).date() for second in self.load.starts}

    def _season_days(self, names: Sequence[str], periods: Sequence[Period]) -> int:
        """Local days in whose season one of some periods is the first that holds, some minute of a week."""
        spans = [(period.id, span) for period in periods for span in (period, *period.also)]
        minutes = range(0, 1440, 15)

        def occurs(season: str | None) -> bool:
            return any(
                next(name for name, span in spans if _holds(span, season, weekday, minute)) in names
                for weekday in range(7)
                for minute in minutes
            )

        return sum(occurs(self.version.calendar.season_of(day)) for day in self._local_days())

    def _due_share(self, charge: Any) -> Fraction:
        if charge.per == "year":
            lengths = [date(d.year + 1, 1, 1) - date(d.year, 1, 1) for d in self._local_days()]
            return sum((Fraction(1, length.days) for length in lengths), Fraction(0))
        return Fraction(self.load.days) if charge.per == "day" else self.month(charge.prorate)

    def _due(self, charge: Any, sign: int) -> None:
        if self.load.month % 12 + 1 not in charge.months:
            return
        share = self._due_share(charge)
        quantity = nearest(share, 0 if charge.per == "day" else 6, "half_up")
        exact = nearest(share * Fraction(charge.amount), self.dp, self.mode) * sign
        self.add(charge.id, quantity, charge.per, charge.amount, exact)

    def _energy(self) -> None:
        for charge in self.of("energy"):
            if charge.direction == "export" and self.load.exported is None:
                continue
            if self.load.month % 12 + 1 not in charge.months:
                continue
            registers = self._tiers(charge)
            for name in sorted(charge.rates):
                for tier, rate in enumerate(charge.of_period(name)):
                    quantity = self.kwh(registers[name][tier])
                    number = tier + 1 if charge.tiers else None
                    exact = quantity * Fraction(rate)
                    self.add(charge.id, quantity, self.version.unit, rate, exact, period=name, tier=number)

    def _tiers(self, charge: Energy) -> dict[str, list[Fraction]]:
        taken = charge.direction == "import"
        load, sums = (self.drawn, self.billed) if taken else (self.fed, self.fed_in)
        if charge.tiers is None:
            return {name: [Fraction(sums[name])] for name in charge.rates}
        caps = self._caps(charge)
        count = len(caps) + 1
        if charge.tiers.scope == "bill_total_chronological":
            found = {name: [Fraction(0)] * count for name in charge.rates}
            seen = 0
            for name, energy in zip(self.period, load, strict=True):
                if name in found:
                    for tier, part in enumerate(_ladder(energy, caps, seen)):
                        found[name][tier] += part
                    seen += energy
            return found
        if charge.tiers.scope == "per_period":
            return {name: [Fraction(p) for p in _ladder(sums[name], caps)] for name in charge.rates}
        total = sum(sums[name] for name in charge.rates)
        parts = _ladder(total, caps)
        return {
            name: [Fraction(sums[name] * part, total) if total else Fraction(0) for part in parts]
            for name in charge.rates
        }

    def _caps(self, charge: Energy) -> list[int]:
        assert charge.tiers is not None
        share = (
            Fraction(self.load.days)
            if charge.tiers.unit.endswith("/day")
            else self.month(charge.tiers.prorate)
        )
        if charge.tiers.days == "season":
            counted = self._season_days(list(charge.rates), self.version.calendar.periods)
            share = share * counted / self.load.days
        if "/kW" in charge.tiers.unit:
            demand = next(c for c in self.of("demand") if c.id == charge.tiers.demand)
            share *= self._billed_kw(demand, demand.periods)
        caps = [nearest(Fraction(limit) * share * MICRO, 0, "half_up") for limit in charge.tiers.limits]
        return [int(cap) for cap in caps]

    def _hours(self) -> None:
        for charge in self.version.charges:
            if charge.type not in ("energy_adder", "energy_series"):
                continue
            load = self.drawn if charge.direction == "import" else self.fed
            if charge.type == "energy_adder":
                hit = [in_event(self.version, charge.event, self.load, second) for second in self.load.starts]
                quantity = self.kwh(sum(e for e, h in zip(load, hit, strict=True) if h))
                self.add(
                    charge.id, quantity, self.version.unit, charge.rate, quantity * Fraction(charge.rate)
                )
            else:
                prices = self.load.prices[charge.series]
                exact = sum(
                    Fraction(e, MICRO) * (Fraction(p) * Fraction(charge.multiplier) + Fraction(charge.adder))
                    for e, p in zip(load, prices, strict=True)
                )
                self.add(charge.id, self.kwh(sum(load)), self.version.unit, None, Fraction(exact))

    def _reactive(self) -> None:
        for charge in self.of("reactive"):
            at = [i for i, name in enumerate(self.period) if charge.periods is None or name in charge.periods]
            kvarh = sum(self.load.reactive[charge.channel][i] for i in at)
            free = sum(self.drawn[i] for i in at) * Fraction(charge.free_per_kwh)
            quantity = self.kwh(max(kvarh - free, Fraction(0)))
            self.add(charge.id, quantity, "kvarh", charge.rate, quantity * Fraction(charge.rate))

    def _windows(self, minutes: int, method: str) -> list[tuple[list[int], Fraction]]:
        """Slots and mean micro-kW of each window."""
        seconds = max(minutes * 60, self.load.interval_s)
        width, found = seconds // self.load.interval_s, []
        for first in range(len(self.metered) - width + 1):
            if method == "block" and standard_second(self.version, self.load.starts[first]) % seconds:
                continue
            slots = list(range(first, first + width))
            found.append((slots, Fraction(sum(self.metered[i] for i in slots) * 3600, seconds)))
        return found

    def _peak(self, charge: Demand, periods: Sequence[str] | None) -> int:
        windows = self._windows(charge.window_min, charge.method)
        if charge.unit == "kVA":
            windows = [(slots, self._apparent(slots, charge.window_min)) for slots, _ in windows]
        counted = [kw for slots, kw in windows if periods is None or self.demand_period[slots[-1]] in periods]
        return int(max(counted, default=Fraction(0)))

    def _apparent(self, slots: Sequence[int], minutes: int) -> Fraction:
        """Micro-kVA of a window: the root of its two energies' squares, rounded down."""
        kwh, kvarh = (
            sum(of[i] for i in slots) for of in (self.metered, self.load.reactive["reactive_import"])
        )
        seconds = max(minutes * 60, self.load.interval_s)
        return Fraction(isqrt(kwh**2 + kvarh**2) * 3600, seconds)

    def _billed_kw(self, charge: Demand, periods: Sequence[str] | None) -> Fraction:
        kw = Fraction(self._peak(charge, periods), MICRO)
        factor = self.load.power_factor
        if charge.pf is not None and factor is not None and factor < charge.pf.target:
            kw = kw * Fraction(charge.pf.target) / Fraction(factor)
        if charge.ratchet is not None:
            for back in range(1, charge.ratchet.lookback + 1):
                month = self.load.month - back
                of_bill = self.before.peaks.get(month) if charge.unit == "kW" else None
                past = self.before.own_peaks.get((charge.id, month), of_bill)
                if past is not None and month % 12 + 1 in charge.ratchet.months:
                    kw = max(kw, Fraction(charge.ratchet.pct) * past / MICRO)
        return nearest(max(kw, Fraction(charge.min_kw)), self.rounding.kw_dp, self.mode)

    def _demand(self) -> None:
        for charge in self.of("demand"):
            if self.load.month % 12 + 1 not in charge.months:
                continue
            for part, rates in charge.parts().items():
                names = part or charge.periods
                own = self.version.calendar.demand_periods or self.version.calendar.periods
                days = self.load.days
                if names is not None:
                    days = self._season_days(names, own)
                if not days:
                    continue
                share = Fraction(days) if charge.per == "day" else self.month(charge.prorate)
                limits = charge.tiers.limits if charge.tiers else ()
                pieces = _ladder(self._billed_kw(charge, names), [Fraction(limit) for limit in limits])
                for tier, (kw, rate) in enumerate(zip(pieces, rates, strict=True)):
                    number = tier + 1 if limits else None
                    exact = kw * Fraction(rate) * share
                    period = part[0] if part else None
                    self.add(charge.id, kw, charge.unit, rate, exact, period=period, tier=number)

    def _coincident(self) -> None:
        for charge in self.of("coincident_demand"):
            if self.load.month % 12 + 1 not in charge.months:
                continue
            hit = [in_event(self.version, charge.event, self.load, second) for second in self.load.starts]
            by_event: dict[int, Fraction] = {}
            for slots, kw in self._windows(charge.window_min, charge.method):
                if all(hit[i] for i in slots):
                    begin = slots[0]
                    while begin and hit[begin - 1]:
                        begin -= 1
                    by_event[begin] = max(by_event.get(begin, Fraction(0)), Fraction(int(kw)))
            highest = list(by_event.values()) or [Fraction(0)]
            micro = max(highest) if charge.of == "highest" else sum(highest) / len(highest)
            kw = nearest(Fraction(micro) / MICRO, self.rounding.kw_dp, self.mode)
            self.add(charge.id, kw, "kW", charge.rate, kw * Fraction(charge.rate) * self.share)

    def _percent(self) -> None:
        for charge in self.of("percent"):
            base = self.sum_of(charge.of)
            self.add(charge.id, base, self.version.currency, charge.rate, base * Fraction(charge.rate))

    def _export(self) -> None:
        for charge in self.exports:
            if charge.rate is None:
                continue
            quantity = earned = Fraction(0)
            for name, energy in self.excess.items():
                rate = charge.rate_of(name)
                if rate is not None:
                    quantity += self.kwh(energy)
                    earned += self.kwh(energy) * Fraction(rate)
            earned = nearest(earned, self.dp, self.mode)
            used = earned
            if charge.mode != "buy_all_sell_all":
                available = self.credit + earned
                due = max(self.sum_of(charge.applies_to), Fraction(0))
                used = available if charge.carry == "paid" else min(available, due)
                self.credit = available - used if charge.carry == "dollars" else Fraction(0)
            self.add(charge.id, quantity, self.version.unit, None, -used)
        self.credit = nearest(self.credit, self.rounding.money_dp, self.mode)

    def _minimum(self) -> None:
        for charge in self.of("minimum"):
            share = self._due_share(charge)
            least = nearest(share * Fraction(charge.amount), self.dp, self.mode)
            lacking = max(least - self.sum_of(charge.covers), Fraction(0))
            self.add(charge.id, lacking, self.version.currency, Decimal(1), lacking)

    def _taxed_credit(self) -> None:
        for charge in self.of("credit"):
            if charge.taxed:
                self._due(charge, -1)

    def _free_credit(self) -> None:
        for charge in self.of("credit"):
            if not charge.taxed:
                self._due(charge, -1)

    def _tax(self) -> None:
        taxes = [charge.id for charge in self.of("tax")]
        for charge in self.of("tax"):
            every = charge.of == "subtotal"
            base = [
                line[-1] for line in self.lines if (line[0] not in taxes if every else line[0] in charge.of)
            ]
            if charge.included:
                parts = base if self.rounding.tax_on == "line" else [sum(base, Fraction(0))]
                inside = Fraction(charge.rate) / (1 + Fraction(charge.rate))
                held = sum((nearest(part * inside, self.dp, self.mode) for part in parts), Fraction(0))
                unit = f"{self.version.currency} included"
                self.add(charge.id, held, unit, None, Fraction(0), told=True)
                continue
            rate, whole = Fraction(charge.rate), sum(base, Fraction(0))
            exact = whole * rate
            if self.rounding.tax_on == "line":
                exact = sum((nearest(amount * rate, self.dp, self.mode) for amount in base), Fraction(0))
            self.add(charge.id, whole, self.version.currency, charge.rate, exact)

    def _true_up(self) -> None:
        self.bank, self.surplus = dict(self.before.bank), self.before.surplus
        for charge in self.exports:
            if charge.carry == "kwh":
                self.bank = dict(self.excess)
            if charge.true_up is None:
                continue
            if charge.carry != "kwh":
                self.surplus += sum(self.fed) - sum(self.drawn)
            if not self.load.closes or self.load.month % 12 + 1 != charge.true_up.month:
                continue
            name, rate = f"{charge.id} true-up", charge.true_up.rate
            left = self.kwh(sum(self.bank.values()) if charge.carry == "kwh" else max(self.surplus, 0))
            self.add(name, left, self.version.unit, -rate, -left * Fraction(rate))
            if charge.carry == "kwh":
                self.bank = {}
                continue
            if charge.true_up.credit == "paid":
                self.add(name, self.credit, self.version.currency, None, -self.credit)
            self.surplus = 0
            self.credit = self.credit if charge.true_up.credit == "kept" else Fraction(0)

    def _rounding(self) -> None:
        for charge in self.of("rounding"):
            step, whole = Fraction(charge.to), sum((line[-1] for line in self.lines), Fraction(0))
            lacking = nearest(whole / step, 0, self.mode) * step - whole
            self.add(charge.id, lacking, self.version.currency, Decimal(1), lacking)

    def _hand_on(self) -> None:
        peaks, own = dict(self.before.peaks), dict(self.before.own_peaks)
        month, demands = self.load.month, self.of("demand")
        measured = {
            charge.id: max(self._peak(charge, part or charge.periods) for part in charge.parts())
            for charge in demands
        }
        active = [measured[charge.id] for charge in demands if charge.unit == "kW"]
        if active:
            peaks[month] = max(peaks.get(month, 0), *active)
        if (len(measured) > 1 or not active) and any(charge.ratchet is not None for charge in demands):
            for name, peak in measured.items():
                own[name, month] = max(own.get((name, month), 0), peak)
        self.state = SlowState(peaks, self.credit, self.surplus, self.bank, own)


def _ladder(amount: Any, caps: Sequence[Any], seen: Any = 0) -> list[Any]:
    """Parts of an amount by tier, after ``seen`` has filled the ladder already."""
    parts = []
    for low, high in zip([0, *caps], [*caps, None], strict=True):
        top = seen + amount if high is None else min(seen + amount, high)
        parts.append(max(top - max(seen, low), 0))
    return parts
