"""A plausible small town for the report: gaps, estimates, two thieves, faults, bills right to the cent."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from tests.pipelines.report_fixture import FIRST_DAY, empty, insert

QUALITIES = (
    "MISSING",
    "FAILED",
    "QUESTIONABLE",
    "ESTIMATED",
    "SUBSTITUTED",
    "EDITED",
    "MEASURED",
    "VALIDATED",
    "VERIFIED",
)


def fleet(*, meters: int = 40, days: int = 84, seed: int = 7) -> duckdb.DuckDBPyConnection:
    """A small town of hourly-to-quarter-hourly homes with everything the report can show."""
    connection = empty()
    random = np.random.default_rng(seed)
    values, quality, method = _slots(random, meters, days)
    measured = np.where((quality == 3) | (quality == 0), -1, values)
    _fill_days(connection, values, measured, quality, method)
    _fill_master(connection, meters)
    _fill_findings(connection, random, meters, days)
    _fill_bills(connection, values, quality, meters, days)
    _fill_queues(connection)
    _fill_quality(connection)
    _fill_feeders(connection)
    _fill_runs(connection, meters, days)
    return connection


def _slots(random: np.random.Generator, meters: int, days: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values [micro-kWh], quality and method codes, each of shape (meters, days, 96)."""
    hour = np.arange(96) / 4
    morning, evening = np.exp(-(((hour - 7.5) / 1.4) ** 2)), np.exp(-(((hour - 19.5) / 2.4) ** 2))
    weekend = (np.arange(days) % 7 >= 5)[:, None]
    shape = (
        0.12
        + np.where(weekend, 0.35, 0.5) * morning
        + 0.8 * evening
        + weekend * 0.25 * np.exp(-(((hour - 13) / 3) ** 2))
    )
    season = 1.25 - 0.35 * np.sin(np.arange(days) / max(days, 1) * np.pi)[:, None]
    size = random.lognormal(0, 0.4, meters)[:, None, None]
    noise = random.lognormal(0, 0.35, (meters, days, 96))
    kwh = size * (shape * season)[None] * noise * 0.3
    split = days * 7 // 12 // 7 * 7
    if meters > 5:
        kwh[3, split:] *= 0.35
        kwh[5, split:, 68:92] = 0
    values = np.rint(kwh * 1e6).astype(np.int64)
    quality = np.full(values.shape, 7, np.int8)
    quality[: meters // 2] = 8
    method = np.zeros(values.shape, np.int8)
    for _ in range(meters * days // 25):
        m, d, s = random.integers(meters), random.integers(days), random.integers(90)
        n = int(random.choice([2, 4, 6, 24, 60]))
        quality[m, d, s : s + n] = 3
        method[m, d, s : s + n] = 1 if n <= 8 else (2 if random.random() < 0.5 else 18)
    bad_day = days // 2
    quality[: meters * 2 // 3, bad_day, 30:80], method[: meters * 2 // 3, bad_day, 30:80] = 3, 2
    quality[7 % meters, days - 9 :, :], values[7 % meters, days - 9 :, :] = 0, 0
    quality[9 % meters, 10, 40:44], method[9 % meters, 10, 40:44] = 4, 1
    quality[11 % meters, 20:22, :] = 2
    quality[12 % meters, 23, 10:13] = 1
    return values, quality, method


def _fill_days(
    connection: duckdb.DuckDBPyConnection,
    values: np.ndarray,
    measured: np.ndarray,
    quality: np.ndarray,
    method: np.ndarray,
) -> None:
    meters, days, slots = values.shape
    shape = (meters * days, slots)
    names = {0: "NONE", 1: "LINEAR", 2: "LIKE_DAY", 18: "LIKE_DAY_SCALED"}
    flat = pa.table(
        {
            "m": np.repeat(np.arange(meters), days),
            "d": np.tile(np.arange(days), meters),
            "v": list(np.where(quality == 0, -1, values).reshape(shape)),
            "r": list(measured.reshape(shape)),
            "q": list(quality.reshape(shape)),
            "k": list(method.reshape(shape)),
        }
    )
    connection.register("flat", flat)
    codes = "[" + ",".join(f"'{name}'" for name in QUALITIES) + "]"
    methods = "map {" + ",".join(f"{code}: '{name}'" for code, name in names.items()) + "}"
    value = (
        "list_transform({c}, lambda x: case when x < 0 then null else (x::decimal(18,0) / "
        "1000000)::decimal(18,6) end)"
    )
    connection.execute(
        f"insert into slot_days select 'M' || lpad(m::varchar, 5, '0'), 'import', date '{FIRST_DAY}' + "
        "d::integer, "
        f"(date '{FIRST_DAY}' + d::integer)::timestamp, 900, {value.format(c='v')}, {value.format(c='r')}, "
        "'kWh', "
        f"list_transform(q, lambda x: {codes}[x + 1]), list_transform(k, lambda x: {methods}[x]), "
        "list_transform(q, lambda x: ''), coalesce(list_sum(list_filter(v, lambda x: x >= 0)), "
        "0)::decimal(18,0) / 1000000, "
        "len(list_filter(q, lambda x: x in (3, 4))) / len(q), 1 from flat"
    )
    connection.unregister("flat")


def _meter(number: int) -> str:
    return f"M{number:05d}"


def _fill_master(connection: duckdb.DuckDBPyConnection, meters: int) -> None:
    connection.execute(
        "insert into service_points select 'SP' || i, 'M' || lpad(i::varchar, 5, '0'), 'A' || "
        "lpad(i::varchar, 5, '0'), "
        "'customer', 'electricity', 'town-tou', 'F' || (i % 4), case when i % 5 = 0 then 'business' else "
        "'home' end, "
        "'active', 12.0, timestamp '2025-01-01', null from range(?) t(i)",
        [meters],
    )


def _fill_findings(
    connection: duckdb.DuckDBPyConnection, random: np.random.Generator, meters: int, days: int
) -> None:
    rules = [
        ("missing", "info", 60),
        ("spike", "warning", 9),
        ("flat-line", "warning", 6),
        ("zero-run", "info", 14),
        ("sum-check", "error", 3),
        ("negative", "error", 1),
        ("high-usage", "warning", 12),
    ]
    rows = []
    for rule, severity, count in rules:
        for _ in range(count):
            day = FIRST_DAY + timedelta(days=int(random.integers(days)))
            start = datetime.combine(day, datetime.min.time()) + timedelta(
                minutes=15 * int(random.integers(90))
            )
            rows.append(
                {
                    "rule": rule,
                    "severity": severity,
                    "meter_id": _meter(int(random.integers(meters))),
                    "channel": "import",
                    "local_day": day,
                    "start": start,
                    "end": start + timedelta(hours=1),
                    "seen": "4.2 kWh",
                    "expected": "≤ 1.1 kWh",
                    "revision": 1,
                }
            )
    insert(connection, "findings", rows)
    last = datetime.combine(FIRST_DAY + timedelta(days=days), datetime.min.time())
    insert(
        connection,
        "gaps",
        [
            {
                "meter_id": _meter(7),
                "channel": "import",
                "from": last - timedelta(days=9),
                "to": last,
                "slots": 864,
            },
            {
                "meter_id": _meter(2),
                "channel": "import",
                "from": last - timedelta(days=40),
                "to": last - timedelta(days=39, hours=9),
                "slots": 60,
            },
        ],
    )
    insert(
        connection,
        "faults",
        [
            {
                "meter_id": _meter(21),
                "fault": "dead-phase",
                "since": last - timedelta(days=30),
                "until": None,
                "severity": "error",
                "evidence": "level 0.66 of own baseline within one slot; voltage_b absent",
            },
            {
                "meter_id": _meter(17),
                "fault": "clock-shift",
                "since": last - timedelta(days=51),
                "until": last - timedelta(days=12),
                "severity": "warning",
                "evidence": "best lag +60 min, correlation 0.93 against 0.71",
            },
        ],
    )


RATES = {"peak": "0.441", "off": "0.286"}


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def _fill_bills(
    connection: duckdb.DuckDBPyConnection, values: np.ndarray, quality: np.ndarray, meters: int, days: int
) -> None:
    weekday = (np.arange(days) % 7 < 5)[None, :, None]
    in_peak = ((np.arange(96) >= 64) & (np.arange(96) < 84))[None, None, :] & weekday
    peak, all_day = np.where(in_peak, values, 0).sum(2), values.sum(2)
    connection.register(
        "det",
        pa.table(
            {
                "m": np.repeat(np.arange(meters), days),
                "d": np.tile(np.arange(days), meters),
                "peak": peak.ravel(),
                "off": (all_day - peak).ravel(),
            }
        ),
    )
    connection.execute(
        f"insert into determinants select 'M' || lpad(m::varchar, 5, '0'), date '{FIRST_DAY}' + "
        "d::integer, 'town-tou', p, "
        "'import', (q::decimal(18,0) / 1000000)::decimal(18,6), 'kWh' from (unpivot det on peak, off into "
        "name p value q)"
    )
    connection.unregister("det")
    bills, lines = [], []
    for period in range(days // 28):
        span = slice(period * 28, period * 28 + 28)
        for m in range(meters):
            bill_id = f"B{period}{m:05d}"
            held = m == 7 and period == days // 28 - 1
            start = FIRST_DAY + timedelta(days=period * 28)
            own = (
                []
                if held
                else _lines(bill_id, int(peak[m, span].sum()), int((all_day - peak)[m, span].sum()))
            )
            lines += own
            bills.append(
                {
                    "bill_id": bill_id,
                    "account_id": f"A{m:05d}",
                    "period_start": start,
                    "period_end": start + timedelta(days=27),
                    "revision": 1,
                    "status": "held" if held else "active",
                    "total": sum((x["amount"] for x in own), Decimal(0)),
                    "currency": "USD",
                    "estimated_share": float(np.isin(quality[m, span], (3, 4)).mean()),
                    "reason": "864 slots missing" if held else None,
                }
            )
    insert(connection, "bills", bills)
    insert(connection, "bill_lines", lines)


def _lines(bill_id: str, peak: int, off: int) -> list[dict[str, Any]]:
    rows: list[tuple[str, str | None, Decimal, str, str]] = [("customer", None, Decimal(28), "day", "0.40")]
    for period, micro in (("peak", peak), ("off", off)):
        kwh = (Decimal(micro) / 1_000_000).quantize(Decimal("0.001"), rounding=ROUND_HALF_UP)
        rows.append(("energy", period, kwh, "kWh", RATES[period]))
    done = [
        (charge, period, quantity, unit, rate, _cents(quantity * Decimal(rate)))
        for charge, period, quantity, unit, rate in rows
    ]
    subtotal = sum((row[5] for row in done), Decimal(0))
    done.append(("tax", None, subtotal, "USD", "0.0725", _cents(subtotal * Decimal("0.0725"))))
    return [
        {
            "bill_id": bill_id,
            "revision": 1,
            "line": n + 1,
            "charge": charge,
            "tariff_id": "town-tou",
            "tariff_version": 1,
            "period": period,
            "tier": 1 if charge == "energy" else None,
            "quantity": quantity,
            "unit": unit,
            "rate": Decimal(rate),
            "amount": amount,
        }
        for n, (charge, period, quantity, unit, rate, amount) in enumerate(done)
    ]


def _fill_queues(connection: duckdb.DuckDBPyConnection) -> None:
    week, as_of = FIRST_DAY + timedelta(days=49), datetime(2026, 4, 1, tzinfo=UTC)
    rows = [
        (
            3,
            1,
            9.81,
            week,
            412.5,
            "level fell 65 % against its own first 28 days, the fleet moved −4 %; base load fell too",
            None,
            "124.37",
        ),
        (
            5,
            2,
            7.02,
            week,
            288.1,
            "zero from 17:00 to 23:00 every day; evening share 0.02, was 0.41",
            "no tamper event",
            None,
        ),
        (14, 3, 2.11, None, None, "flatter than its class", "moved out 2026-03-02", None),
        (20, 4, 1.42, None, None, "", None, None),
    ]
    for table, shift in (("change_queue", 0), ("state_queue", 1)):
        insert(
            connection,
            table,
            [
                {
                    "meter_id": _meter(m + shift * (rank > 1)),
                    "rank": rank,
                    "score": score,
                    "first_week": first,
                    "kwh_lost": lost,
                    "reasons": reasons,
                    "against": against,
                    "as_of": as_of,
                    "money_lost": money and Decimal(money),
                    "currency": money and "CHF",
                    "model": "default" if shift else None,
                }
                for m, rank, score, first, lost, reasons, against, money in rows
            ],
        )


def _fill_quality(connection: duckdb.DuckDBPyConnection) -> None:
    """Two months of the fleet, and of three series of which the last lost nothing."""
    first, then = ("meter_id", "channel", "month", "days", "slots"), ("completeness", "estimated_share")
    names = (*first, *then, "timeliness", "score")
    january, february = FIRST_DAY.replace(day=1), FIRST_DAY.replace(month=2, day=1)
    rows = [
        (None, None, january, 81, 7776, 0.97, 0.02, 0.98, 97.7),
        (None, None, february, 84, 8064, 0.94, 0.06, None, 94.0),
        (_meter(0), "import", january, 27, 2592, 0.91, 0.06, 0.94, 93.0),
        (_meter(0), "import", february, 28, 2688, 0.82, 0.18, None, 82.0),
        (_meter(1), "import", january, 27, 2592, 0.9999, 0.0, 1.0, 100.0),
        (_meter(1), "import", february, 28, 2688, 1.0, 0.0, None, 100.0),
        (_meter(2), "import", january, 27, 2592, 1.0, 0.0, 1.0, 100.0),
        (_meter(2), "import", february, 28, 2688, 1.0, 0.0, None, 100.0),
    ]
    insert(connection, "data_quality", [dict(zip(names, row, strict=True)) for row in rows])


def _fill_feeders(connection: duckdb.DuckDBPyConnection) -> None:
    """F0 loses, with two suppliers and an hour that cannot be compared; F1 gains; F2 has no meter."""
    since = datetime(2025, 1, 1, tzinfo=UTC)
    point = {"service_point_id": "SPF0", "meter_id": "FEEDER0", "role": "feeder", "feeder_id": "F0"}
    insert(connection, "service_points", [point | {"valid_from": since}])
    last = connection.execute("select max(local_day) from slot_days").fetchall()[0][0]
    hours = [
        ("F0", None, 0, 1, "4", "1"),
        ("F0", "east", 0, 1, "4", "1"),
        ("F0", None, 0, 2, "6", "0.5"),
        ("F0", None, 0, 3, "9", None),
        ("F0", None, 31, 1, "100", "50"),  # before the last 31 days
        ("F1", None, 0, 1, "8", "-0.4"),
        ("F2", None, 0, 1, None, None),
    ]
    for feeder, supplier, back, hour, through, losses in hours:
        day = last - timedelta(days=back)
        start = datetime.combine(day, datetime.min.time()) + timedelta(hours=hour)
        row = {"feeder_id": feeder, "supplier": supplier, "local_day": day, "start": start}
        insert(connection, "settlement", [row | {"through": through, "losses": losses}])
    names = ("feeder_id", "rank", "days", "through_kwh", "reported_kwh", "technical_kwh", "hidden_kwh")
    balances = [("F0", 1, 50, 1000, 900, 25, 75), ("F1", 2, 49, 500, 500, 0, 0)]
    shares = (0.075, 0.0)
    rows = [
        dict(zip(names, row, strict=True)) | {"hidden_share": share, "as_of": last}
        for row, share in zip(balances, shares, strict=True)
    ]
    insert(connection, "feeder_balance", rows)


def _fill_runs(connection: duckdb.DuckDBPyConnection, meters: int, days: int) -> None:
    total = meters * days * 96
    counts = {"readings_in": total, "stored": total - 500, "repeats": 404, "dead_letters": 96}
    insert(
        connection,
        "runs",
        [
            {
                "run_id": "run-1",
                "started": datetime(2026, 4, 1, 3, 0, tzinfo=UTC),
                "finished": datetime(2026, 4, 1, 3, 0, 9, tzinfo=UTC),
                "inputs": json.dumps(["town/readings-0.avro", "town/readings-1.avro"]),
                "counts": json.dumps(counts),
                "code_version": "0.1.0",
                "rules": json.dumps({"core": 1}),
                "tariffs": json.dumps({"town-tou": 1}),
            },
        ],
    )
    insert(
        connection,
        "dead_letters",
        [
            {
                "run_id": "run-1",
                "source": "town/readings-1.avro",
                "offset": 18_233,
                "kind": "block",
                "reason": "CRC mismatch: read 0x1f22aa01, computed 0x77b1c0de",
                "bytes": b"\x00Obj",
            },
        ],
    )
