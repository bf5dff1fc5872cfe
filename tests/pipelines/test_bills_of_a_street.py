"""Bills of a street over four months, reckoned once more in plain fractions, slot by slot.

Tiers in time order by day, time of use, a ratchet, proration and net billing with carried credit; a leap
day, a clock change, a new version of the tariff in mid-month, a move-in, an exchange, a change of account,
and two service points on one account.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipelines.cli import main
from pipelines.store.lake import Lake
from pipelines.store.views import connect
from tests.pipelines.towns import run, write

ZONE = ZoneInfo("America/Los_Angeles")
TARIFF = """
id: street
version: 1
effective: {from: 2027-01-01, to: 2028-02-17}
currency: USD
timezone: America/Los_Angeles
calendar:
  holidays: {named: [presidents], as: weekend}
  periods: [{id: peak, days: weekday, at: ["16:00", "21:00"]}, {id: off}]
charges:
  - {id: meter, type: fixed, amount: "6.00", per: month, prorate: {normal: [27, 35], denom: 30}}
  - id: energy
    type: energy
    tiers: {scope: bill_total_chronological, unit: kWh/day, limits: ["11"]}
    rates: {peak: ["0.44", "0.52"], off: ["0.28", "0.36"]}
  - {id: demand, type: demand, window_min: 60, periods: [peak], rate: "4.50", ratchet: {pct: "0.75"}}
  - id: sun
    type: export
    netting: interval
    rate: {peak: "0.20", off: "0.15"}
    applies_to: [energy]
    carry: dollars
  - {id: tax, type: tax, rate: "0.0725"}
"""
SECOND = (("version: 1", "version: 2"), ("from: 2027-01-01, to: 2028-02-17", "from: 2028-02-18"),
          ('"6.00"', '"7.50"'), ('"0.44", "0.52"', '"0.47", "0.55"'), ('"4.50"', '"5.25"'))  # fmt: skip
NEW = date(2028, 2, 18)
FIRST, LAST = date(2028, 1, 12), date(2028, 5, 14)
VERSIONS: dict[int, dict[str, Any]] = {
    1: {"meter": "6.00", "peak": ("0.44", "0.52"), "off": ("0.28", "0.36"), "kw": "4.50"},
    2: {"meter": "7.50", "peak": ("0.47", "0.55"), "off": ("0.28", "0.36"), "kw": "5.25"},
}
BILLS = [
    # service point, account, first and last day of each bill in a row
    ("SP1", "A1", [("2028-01-20", "2028-02-11"), ("2028-02-12", "2028-03-11"), ("2028-03-12", "2028-04-11"),
                   ("2028-04-12", "2028-05-11")]),
    ("SP2", "A1", [("2028-01-12", "2028-02-11"), ("2028-02-12", "2028-03-11"), ("2028-03-12", "2028-04-11"),
                   ("2028-04-12", "2028-05-11")]),
    ("SP3", "A2", [("2028-01-12", "2028-02-11"), ("2028-02-12", "2028-03-11"), ("2028-03-12", "2028-03-19")]),
    ("SP3", "A3", [("2028-03-20", "2028-04-11"), ("2028-04-12", "2028-05-11")]),
]  # fmt: skip


def midnight(day: date) -> datetime:
    """Local midnight in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC)


def hours(first: date, last: date) -> Iterator[datetime]:
    """Starts of the hours of local days, UTC."""
    at, end = midnight(first), midnight(last + timedelta(days=1))
    while at < end:
        yield at
        at += timedelta(hours=1)


def drawn(point: str, at: datetime) -> int:
    """Wh in an hour: more from 15 to 20 UTC, drifting with the day of the month, a peak on 7 February."""
    number = int(point[2])
    base = 300 * number + (at.day * 7 + at.hour * 3) % 40
    if at.hour in (0, 1, 2) and at.date() == date(2028, 2, 8):
        return base + 900
    return base + 150 * (at.hour % 6)


def fed(point: str, at: datetime) -> int:
    """Wh that SP3 feeds in around noon."""
    return 2900 - 9 * at.day if point == "SP3" and 18 <= at.hour < 23 else 0


def half_up(value: Fraction, dp: int) -> Fraction:
    """Rounded half away from zero."""
    scaled = abs(value) * 10**dp
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Fraction(whole if value >= 0 else -whole, 10**dp)


def period(at: datetime) -> str:
    """Peak or off, by the wall clock; Presidents' Day 2028 is 21 February."""
    local = at.astimezone(ZONE)
    working = local.weekday() < 5 and local.date() != date(2028, 2, 21)
    return "peak" if working and 16 <= local.hour < 21 else "off"


class Chain:
    """Bills of one service point and account in a row."""

    def __init__(self, point: str) -> None:
        self.point = point
        self.credit = Fraction(0)
        self.peaks: dict[tuple[int, int], Fraction] = {}

    def bill(self, first: date, last: date) -> list[tuple[str, str | None, int | None, Fraction]]:
        """Lines with their amounts; zero lines are left out."""
        lines = []
        stretches = [(first, min(last, NEW - timedelta(days=1)), 1), (max(first, NEW), last, 2)]
        for low, high, version in stretches:
            if low <= high:
                lines += self._stretch(low, high, version, (last - first).days + 1, (last.year, last.month))
        return [line for line in lines if line[-1]]

    def _stretch(
        self, low: date, high: date, version: int, billed: int, month: tuple[int, int]
    ) -> list[tuple[str, str | None, int | None, Fraction]]:
        rates, days = VERSIONS[version], (high - low).days + 1
        share = Fraction(days, billed)
        month_part = 1 if 27 <= billed <= 35 else Fraction(billed, 30)
        lines: list[Any] = [("meter", None, None, half_up(Fraction(rates["meter"]) * month_part * share, 2))]
        tiers: dict[tuple[str, int], Fraction] = {}
        sold = {"peak": Fraction(0), "off": Fraction(0)}
        cap, until, peak = Fraction(11 * days), Fraction(0), Fraction(0)
        for at in hours(low, high):
            net = Fraction(drawn(self.point, at) - fed(self.point, at), 1000)
            name = period(at)
            sold[name] += max(-net, Fraction(0))
            use: Fraction = max(net, Fraction(0))
            below: Fraction = min(max(cap - until, Fraction(0)), use)
            tiers[name, 1] = tiers.get((name, 1), Fraction(0)) + below
            tiers[name, 2] = tiers.get((name, 2), Fraction(0)) + use - below
            until += use
            if name == "peak":
                peak = max(peak, use)
        for name in ("off", "peak"):
            for tier in (1, 2):
                amount = half_up(tiers.get((name, tier), Fraction(0)), 3) * Fraction(rates[name][tier - 1])
                lines.append(("energy", name, tier, half_up(amount, 2)))
        energy = sum((line[-1] for line in lines if line[0] == "energy"), Fraction(0))
        earlier = [kw for then, kw in self.peaks.items() if then != month]
        past = max([Fraction(0), *earlier])
        billed_kw = max(half_up(peak, 2), half_up(past * Fraction("0.75"), 2))
        lines.append(("demand", None, None, half_up(billed_kw * Fraction(rates["kw"]) * share, 2)))
        self.peaks[month] = max(self.peaks.get(month, Fraction(0)), peak)
        earned = half_up(
            half_up(sold["peak"], 3) * Fraction("0.20") + half_up(sold["off"], 3) * Fraction("0.15"), 2
        )
        used = min(self.credit + earned, energy)
        self.credit += earned - used
        lines.append(("sun", None, None, -used))
        lines.append(("tax", None, None, half_up(sum(line[-1] for line in lines) * Fraction("0.0725"), 2)))
        return lines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three service points, four meters, three accounts, both versions; a lake of it all."""
    folder = tmp_path_factory.mktemp("street")
    (folder / "tariffs").mkdir()
    (folder / "tariffs" / "one.yaml").write_text(TARIFF)
    second = TARIFF
    for old, new in SECOND:
        assert old in second
        second = second.replace(old, new)
    (folder / "tariffs" / "two.yaml").write_text(second)
    common = {"tariff_id": "street", "interval_s": 3600, "channels": ["import"], "bill_cycle_day": 12}
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    points = [
        ("SP1", "m1", "A1", midnight(date(2028, 1, 20))),
        ("SP1", "m9", "A1", midnight(date(2028, 3, 3))),
        ("SP2", "m2", "A1", long_ago),
        ("SP3", "m3", "A2", long_ago),
        ("SP3", "m3", "A3", midnight(date(2028, 3, 20))),
    ]
    names = "service_point_id", "meter_id", "account_id", "valid_from"
    write(
        folder / "in" / "points.avro",
        "ServicePoint",
        [dict(zip(names, row, strict=True)) | common for row in points],
    )
    blocks = []
    for point, meter, low, high in (
        ("SP1", "m1", date(2028, 1, 20), date(2028, 3, 2)), ("SP1", "m9", date(2028, 3, 3), LAST),
        ("SP2", "m2", FIRST, LAST), ("SP3", "m3", FIRST, LAST),
    ):  # fmt: skip
        for channel, wh in (("import", drawn), ("export", fed)):
            day = low
            while day <= high and (channel == "import" or point == "SP3"):
                values = [wh(point, at) for at in hours(day, day)]
                blocks.append(
                    {"meter_id": meter, "channel": channel, "start": midnight(day), "interval_s": 3600,
                     "values": values, "unit": "Wh", "received_at": midnight(day) + timedelta(hours=26)}
                )  # fmt: skip
                day += timedelta(days=1)
    write(folder / "in" / "loads.avro", "IntervalBlock", blocks)
    run(
        folder / "lake",
        folder / "in",
        tariffs=folder / "tariffs",
        timezone="America/Los_Angeles",
        detect=False,
    )
    return folder


def test_every_line_of_every_bill(folder: Path) -> None:
    """The lake's lines are the reckoned ones; no other bills."""
    with connect(Lake.open(folder / "lake")) as connection:
        found = connection.execute(
            "SELECT account_id, period_start::VARCHAR, period_end::VARCHAR, l.service_point_id, l.charge, "
            "l.period, l.tier, l.amount FROM (SELECT *, unnest(lines) AS l FROM stored.bills_current) "
            "WHERE status = 'active' ORDER BY ALL"
        ).fetchall()
        others = connection.execute("SELECT count(*) FROM bills WHERE status <> 'active'").fetchone()
    lines: dict[tuple[str, str, str], list[tuple[Any, ...]]] = {}
    for account, low, high, point, *line, amount in found:
        lines.setdefault((point, account, low), []).append((*line, Fraction(amount)))
        assert low <= high
    expected: dict[tuple[str, str, str], list[tuple[Any, ...]]] = {}
    for point, account, spans in BILLS:
        chain = Chain(point)
        for low, high in spans:
            # SP1 moves in on the 20th: its first bill begins then, beside that of SP2 from the 12th.
            expected[point, account, low] = chain.bill(date.fromisoformat(low), date.fromisoformat(high))

    def order(line: tuple[Any, ...]) -> tuple[str, ...]:
        return tuple(map(str, line))

    assert set(lines) == set(expected)
    for key, mine in expected.items():
        assert sorted(lines[key], key=order) == sorted(mine, key=order), key
    assert others == (0,)


def test_tariff_price_gives_the_same_bills(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A load file, bill after bill with the state handed on, has the reckoned lines too."""
    for point, account, spans in BILLS:
        load, state, chain = tmp_path / f"{point}.csv", tmp_path / f"{point}{account}.json", Chain(point)
        rows = [
            f"{at:%Y-%m-%dT%H:%M:%SZ},{Decimal(drawn(point, at)) / 1000},{Decimal(fed(point, at)) / 1000}\n"
            for at in hours(FIRST, LAST)
        ]
        load.write_text("start_utc,import_kwh,export_kwh\n" + "".join(rows))
        state.write_text("{}")
        for low, high in spans:
            span = ["--from", low, "--to", high, "--state", str(state), "--json"]
            assert main(["tariff", "price", str(folder / "tariffs"), "--load", str(load), *span]) == 0
            bill = json.loads(capsys.readouterr().out)
            lines = [(ln["charge"], ln["period"], ln["tier"], Fraction(ln["amount"])) for ln in bill["lines"]]
            assert lines == chain.bill(date.fromisoformat(low), date.fromisoformat(high))
            state.write_text(json.dumps(bill["state"]))


def test_a_late_peak_goes_on_through_the_ratchet(folder: Path, tmp_path: Path) -> None:
    """A higher peak in February re-issues the bills of February to May of its service point, no others."""
    day = date(2028, 2, 9)
    values = [drawn("SP2", at) + (2500 if at.hour == 1 and at.day == 10 else 0) for at in hours(day, day)]
    late = {"meter_id": "m2", "channel": "import", "start": midnight(day), "interval_s": 3600,
            "values": values, "unit": "Wh", "received_at": midnight(LAST)}  # fmt: skip
    inputs = write(tmp_path / "late.avro", "IntervalBlock", [late])
    run(folder / "lake", inputs, timezone=ZONE.key, detect=False)
    with connect(Lake.open(folder / "lake")) as connection:
        found = connection.execute(
            "SELECT account_id, period_start::VARCHAR FROM bills WHERE revision = 2 ORDER BY ALL"
        ).fetchall()
        kw = connection.execute(
            "SELECT DISTINCT l.quantity FROM (SELECT unnest(lines) AS l FROM stored.bills_current "
            "WHERE revision = 2) WHERE l.charge = 'demand' AND l.service_point_id = 'SP2' ORDER BY 1"
        ).fetchall()
    peak = Decimal(max(values)) / 1000
    assert found == [("A1", low) for low, _ in BILLS[1][2]]
    assert [value for (value,) in kw] == [round(peak * 3 / 4, 2), round(peak, 2)]
