"""Bills of the tariffs of this folder, reckoned one by one, each in its own few lines of plain arithmetic.

It reads no tariff and shares no code with Meterbeam: it was written from what each tariff is meant to charge.
``python compute.py`` writes the .json files beside it, which the tests compare with what Meterbeam prices.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

Line = tuple[str, str | None, int | None, Decimal, str, Decimal]
"""Charge, period, tier, quantity, unit, amount."""
CENT = Decimal("0.01")


def round_to(value: Decimal, step: Decimal = CENT) -> Decimal:
    """Half away from zero."""
    return value.quantize(step, ROUND_HALF_UP)


def load(zone: str, first: date, last: date, scale: int) -> Iterator[tuple[datetime, Decimal]]:
    """Half hours of the local days with the kWh of each: a pattern without meaning, never long the same."""
    here = ZoneInfo(zone)
    at = datetime(first.year, first.month, first.day, tzinfo=here).astimezone(UTC)
    after = last + timedelta(days=1)
    end = datetime(after.year, after.month, after.day, tzinfo=here).astimezone(UTC)
    number = 0
    while at < end:
        yield at, Decimal(50 + number * 7919 % 1000) * scale / 1000
        at, number = at + timedelta(minutes=30), number + 1


def local(at: datetime, zone: str) -> datetime:
    """Wall clock."""
    return at.astimezone(ZoneInfo(zone))


def sums(slots: Iterator[tuple[datetime, Decimal]], band: Callable[[datetime], str]) -> dict[str, Decimal]:
    """Energy by band, to three decimals."""
    found: dict[str, Decimal] = {}
    for at, kwh in slots:
        found[band(at)] = found.get(band(at), Decimal(0)) + kwh
    return {name: round_to(kwh, Decimal("0.001")) for name, kwh in found.items()}


def times(charge: str, kwh: dict[str, Decimal], rates: dict[str, str]) -> list[Line]:
    """A line a band."""
    return [
        (charge, name, None, kwh[name], "kWh", round_to(kwh[name] * Decimal(rates[name])))
        for name in sorted(rates)
        if name in kwh
    ]


def amount(lines: list[Line], *charges: str) -> Decimal:
    """Sum of some charges, or of all."""
    return sum((line[5] for line in lines if not charges or line[0] in charges), Decimal(0))


def ontario() -> list[Line]:
    """Victoria Day is a holiday; the season changes with 1 May; 30 days."""
    zone = "America/Toronto"

    def band(at: datetime) -> str:
        here = local(at, zone)
        hour = here.hour
        if here.weekday() >= 5 or here.date() == date(2026, 5, 18):
            return "off"
        if here.month < 5:
            return "peak" if 7 <= hour < 11 or 17 <= hour < 19 else "mid" if 11 <= hour < 17 else "night"
        return "peak" if 11 <= hour < 17 else "mid" if 7 <= hour < 11 or 17 <= hour < 19 else "night"

    kwh = sums(load(zone, date(2026, 4, 20), date(2026, 5, 19), 2), band)
    lines = times("electricity", kwh, {"off": "0.098", "night": "0.098", "mid": "0.157", "peak": "0.203"})
    lines.append(("delivery", None, None, Decimal(1), "month", Decimal("41.17")))
    lines += times("transmission", kwh, dict.fromkeys(("off", "night", "mid", "peak"), "0.0126"))
    base = amount(lines)
    lines.append(("rebate", None, None, base, "CAD", round_to(-base * Decimal("0.131"))))
    lines.append(("hst", None, None, base, "CAD", round_to(base * Decimal("0.13"))))
    return lines


def california() -> list[Line]:
    """16 days of September at 9.8 kWh, 14 of October at 9.7 kWh; each fills its own allowance in time."""
    zone, lines = "America/Los_Angeles", []
    parts = (
        (
            "summer",
            date(2026, 9, 15),
            date(2026, 9, 30),
            Decimal("9.8") * 16,
            ("0.50", "0.61"),
            ("0.39", "0.50"),
        ),
        (
            "winter",
            date(2026, 10, 1),
            date(2026, 10, 14),
            Decimal("9.7") * 14,
            ("0.38", "0.49"),
            ("0.35", "0.46"),
        ),
    )
    slots = list(load(zone, date(2026, 9, 15), date(2026, 10, 14), 1))
    for season, first, last, limit, peak, rest in parts:
        used = Decimal(0)
        found: dict[tuple[str, int], Decimal] = {}
        for at, kwh in slots:
            here = local(at, zone)
            if not first <= here.date() <= last:
                continue
            band = f"{season} peak" if 16 <= here.hour < 21 else f"{season} day"
            below = max(min(kwh, limit - used), Decimal(0))
            for tier, part in ((1, below), (2, kwh - below)):
                found[band, tier] = found.get((band, tier), Decimal(0)) + part
            used += kwh
        rates = {f"{season} peak": peak, f"{season} day": rest}
        for (band, tier), kwh in sorted(found.items()):
            cost = round_to(kwh * Decimal(rates[band][tier - 1]))
            lines.append((season, band, tier, round_to(kwh, Decimal("0.001")), "kWh", cost))
    return [line for line in lines if line[5]]


def economy7() -> list[Line]:
    """From 29 March on the night is 01:30 to 08:30 on the wall: the meter's clock stays on GMT."""

    def band(at: datetime) -> str:
        minute = at.hour * 60 + at.minute  # London keeps GMT in winter
        return "night" if 30 <= minute < 450 else "day"

    kwh = sums(load("Europe/London", date(2026, 3, 10), date(2026, 4, 8), 1), band)
    lines = times("unit", kwh, {"night": "0.1489", "day": "0.3127"})
    lines.append(("standing", None, None, Decimal(30), "day", round_to(30 * Decimal("0.6097"))))
    base = amount(lines)
    lines.append(("vat", None, None, base, "GBP", round_to(base * Decimal("0.05"))))
    return lines


def germany() -> list[Line]:
    """17 days of 2027 and 14 of 2028, which has 366."""
    zone = "Europe/Berlin"
    kwh = sums(load(zone, date(2027, 12, 15), date(2028, 1, 14), 1), lambda at: "all")
    years = Decimal(17) / 365 + Decimal(14) / 366
    short = round_to(years, Decimal("0.000001"))
    lines: list[Line] = [("Grundpreis", None, None, short, "year", round_to(years * Decimal("128.40")))]
    lines += times("Arbeitspreis", kwh, {"all": "0.2417"}) + times("Stromsteuer", kwh, {"all": "0.0205"})
    lines.append(("Treuebonus", None, None, short, "year", -round_to(years * Decimal("36.50"))))
    base = amount(lines)
    lines.append(("Umsatzsteuer", None, None, base, "EUR", round_to(base * Decimal("0.19"))))
    return lines


def australia() -> list[Line]:
    """12 days of the high season in March, 19 of the low one in April; summer time ends on 5 April."""
    zone = "Australia/Sydney"
    slots = list(load(zone, date(2026, 3, 20), date(2026, 4, 19), 2))

    def band(at: datetime) -> str:
        here = local(at, zone)
        if here.weekday() >= 5 or not 15 <= here.hour < 21:
            return "rest"
        return "evening high" if here.month == 3 else "evening low"

    kwh = sums(iter(slots), band)
    lines: list[Line] = [("supply", None, None, Decimal(31), "day", round_to(31 * Decimal("0.9350")))]
    lines += times("usage", kwh, {"evening high": "0.3012", "evening low": "0.3012", "rest": "0.2244"})
    for name, rate, days in (("evening high", "0.3456", 12), ("evening low", "0.1234", 19)):
        kw = round_to(max(part for at, part in slots if band(at) == name) * 2)
        lines.append(("demand", name, None, kw, "kW", round_to(kw * Decimal(rate) * days)))
    base = amount(lines)
    lines.append(("gst", None, None, base, "AUD", round_to(base * Decimal("0.10"))))
    return lines


def india() -> list[Line]:
    """20 days, two thirds of a month: slabs end at 67, 133 and 200 kWh; whole rupees and whole units."""
    total = sum((kwh for _, kwh in load("Asia/Kolkata", date(2026, 7, 1), date(2026, 7, 20), 1)), Decimal(0))
    edges = [Decimal(0), *(Decimal(limit) * 20 / 30 for limit in (100, 200, 300)), Decimal(10**9)]
    lines: list[Line] = []
    for tier, rate in enumerate(("3.00", "4.75", "6.50", "7.10"), 1):
        part = min(total, edges[tier]) - min(total, edges[tier - 1])
        kwh = round_to(part, Decimal(1))
        lines.append(("energy", "all", tier, kwh, "kWh", round_to(kwh * Decimal(rate), Decimal(1))))
    share = Decimal(20) / 30
    energy = amount(lines)
    month = round_to(share, Decimal("0.000001"))
    lines.append(("sanctioned load", None, None, month, "month", round_to(150 * share, Decimal(1))))
    lines.append(("duty", None, None, energy, "INR", round_to(energy * Decimal("0.06"), Decimal(1))))
    lines.append(("subsidy", None, None, month, "month", -round_to(100 * share, Decimal(1))))
    return [line for line in lines if line[5]]


def france() -> list[Line]:
    """EJP on 14 January and on the last day of the bill, whose hour after midnight lies in the next bill."""
    zone = "Europe/Paris"
    slots = list(load(zone, date(2026, 1, 1), date(2026, 1, 31), 1))
    kwh = sums(iter(slots), lambda at: "all")
    called = (date(2026, 1, 14), date(2026, 1, 31))

    def on(at: datetime) -> bool:
        here = local(at, zone)
        return (here.date() in called and here.hour >= 7) or (
            here.date() - timedelta(days=1) in called and here.hour < 1
        )

    peak = round_to(sum((part for at, part in slots if on(at)), Decimal(0)), Decimal("0.001"))
    lines: list[Line] = [("abonnement", None, None, Decimal(1), "month", Decimal("16.38"))]
    lines += times("consommation", kwh, {"all": "0.1658"})
    lines.append(("pointe", None, None, peak, "kWh", round_to(peak * Decimal("1.4342"))))
    lines += times("accise", kwh, {"all": "0.02998"})
    lines.append(
        ("tva reduite", None, None, Decimal("16.38"), "EUR", round_to(Decimal("16.38") * Decimal("0.055")))
    )
    base = amount(lines, "consommation", "pointe", "accise")
    lines.append(("tva", None, None, base, "EUR", round_to(base * Decimal("0.20"))))
    return lines


def italy() -> list[Line]:
    """Easter Monday, Liberation Day (a Saturday); 5 kWh a day are free of excise, shared by band."""
    zone = "Europe/Rome"

    def band(at: datetime) -> str:
        here = local(at, zone)
        sunday = here.weekday() == 6 or here.date() in (date(2026, 4, 6), date(2026, 4, 25))
        if sunday or here.hour >= 23 or here.hour < 7:
            return "F3"
        return "F1" if here.weekday() < 5 and 8 <= here.hour < 19 else "F2"

    exact: dict[str, Decimal] = {}
    for at, part in load(zone, date(2026, 4, 1), date(2026, 4, 30), 1):
        exact[band(at)] = exact.get(band(at), Decimal(0)) + part
    kwh = {name: round_to(part, Decimal("0.001")) for name, part in exact.items()}
    lines = times("energia", kwh, {"F1": "0.14213", "F2": "0.13687", "F3": "0.11204"})
    years = Decimal(30) / 365
    lines.append(
        ("quota fissa", None, None, round_to(years, Decimal("0.000001")), "year", round_to(years * 144))
    )
    total = sum(exact.values())
    for name in sorted(exact):
        part = round_to(exact[name] * (total - 150) / total, Decimal("0.001"))
        lines.append(("accise", name, 2, part, "kWh", round_to(part * Decimal("0.0227"))))
    base = amount(lines)
    lines.append(("iva", None, None, base, "EUR", round_to(base * Decimal("0.10"))))
    return lines


def kvarh_of(kwh: Decimal) -> Decimal:
    """The reactive energy beside a slot's active energy: three tenths of it and 20 varh."""
    return kwh * 3 / 10 + Decimal("0.02")


def switzerland() -> list[Line]:
    """High and low tariff with the tax in the prices, demand in kVA, a total in steps of 5 Rappen."""
    zone = "Europe/Zurich"

    def band(at: datetime) -> str:
        here = local(at, zone)
        ends = {5: 13, 6: 0}.get(here.weekday(), 20)
        return "high" if 7 <= here.hour < ends else "low"

    slots = list(load(zone, date(2026, 3, 9), date(2026, 4, 8), 2))
    kwh = sums(iter(slots), band)
    lines: list[Line] = [("basic", None, None, Decimal(31), "day", Decimal("9.30"))]
    lines += times("energy", kwh, {"high": "0.1985", "low": "0.1432"})
    squares = max(part**2 + kvarh_of(part) ** 2 for _, part in slots)
    kva = max(round_to(squares.sqrt() * 2), Decimal(1))
    lines.append(("demand", None, None, kva, "kVA", round_to(kva * Decimal("7.57"))))
    gross = amount(lines)
    held = round_to(gross * Decimal("0.081") / Decimal("1.081"))
    lines.append(("mwst", None, None, held, "CHF included", Decimal("0.00")))
    lacking = round_to(gross / Decimal("0.05"), Decimal(1)) * Decimal("0.05") - gross
    if lacking:
        lines.append(("coins", None, None, lacking, "CHF", lacking))
    return lines


BILLS: dict[str, tuple[Callable[[], list[Line]], str, str, str, int, dict[str, list[str]]]] = {
    "ontario-tou": (ontario, "America/Toronto", "2026-04-20", "2026-05-19", 2, {}),
    "california-baseline": (california, "America/Los_Angeles", "2026-09-15", "2026-10-14", 1, {}),
    "uk-economy7": (economy7, "Europe/London", "2026-03-10", "2026-04-08", 1, {}),
    "germany-annual": (germany, "Europe/Berlin", "2027-12-15", "2028-01-14", 1, {}),
    "australia-demand": (australia, "Australia/Sydney", "2026-03-20", "2026-04-19", 2, {}),
    "india-slabs": (india, "Asia/Kolkata", "2026-07-01", "2026-07-20", 1, {}),
    "france-ejp": (
        france,
        "Europe/Paris",
        "2026-01-01",
        "2026-01-31",
        1,
        {"ejp": ["2026-01-14", "2026-01-31"]},
    ),
    "italy-bands": (italy, "Europe/Rome", "2026-04-01", "2026-04-30", 1, {}),
    "switzerland-business": (switzerland, "Europe/Zurich", "2026-03-09", "2026-04-08", 2, {}),
}
"""By tariff: its bill, zone, first and last day, scale of the load, event days."""


def main() -> None:
    """Write the bills."""
    for name, (bill, zone, first, last, scale, events) in BILLS.items():
        lines = bill()
        made = {
            "zone": zone,
            "from": first,
            "to": last,
            "scale": scale,
            "events": events,
            "lines": [[*line[:3], str(line[3]), line[4], str(line[5])] for line in lines],
            "total": str(amount(lines)),
        }
        (Path(__file__).parent / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
