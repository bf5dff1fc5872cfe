"""The views of the output contract: names, types, contents, as-of, pruning; with and without rows."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.store.lake import Lake
from pipelines.store.views import VIEWS, connect
from schemas.lake import BILLS, DAYS, DEAD_LETTERS, DETECT_RUNS, DETERMINANTS, FAULTS, STATE_QUEUE, LakeTable
from schemas.quality import Flag, Method, Quality
from tests.pipelines.lake_days import FACTS, FIRST, commit, new_lake

MICRO = Decimal("0.000001")
TEXT, TIME, EXACT, INT, LONG = "VARCHAR", "TIMESTAMP WITH TIME ZONE", "DECIMAL(26,6)", "INTEGER", "BIGINT"
ORDER = {"received_at": TIME, "sequence": LONG, "source": TEXT}
QUEUE = {
    "meter_id": TEXT,
    "rank": INT,
    "score": "DOUBLE",
    "first_week": "DATE",
    "kwh_lost": "DOUBLE",
    "reasons": TEXT,
    "against": TEXT,
    "as_of": "DATE",
    "money_lost": "DECIMAL(24,6)",
    "currency": TEXT,
    "model": TEXT,
}
CONTRACT: dict[str, dict[str, str]] = {
    "readings": {
        "meter_id": TEXT,
        "channel": TEXT,
        "start": TIME,
        "interval_s": INT,
        "value": EXACT,
        "measured": EXACT,
        "unit": TEXT,
        "quality": TEXT,
        "method": TEXT,
        "flags": TEXT,
        "revision": INT,
    },
    "days": {
        "meter_id": TEXT,
        "channel": TEXT,
        "local_day": "DATE",
        "start": TIME,
        "interval_s": INT,
        "values": f"{EXACT}[]",
        "qualities": "VARCHAR[]",
        "methods": "VARCHAR[]",
        "flags": "VARCHAR[]",
        "total": EXACT,
        "estimated_share": "DOUBLE",
        "revision": INT,
    },
    "raw": {
        "meter_id": TEXT,
        "channel": TEXT,
        "start": TIME,
        "interval_s": INT,
        "value": "DOUBLE",
        "unit": TEXT,
        "scaler": INT,
        "quality": INT,
        **ORDER,
    },
    "registers": {
        "meter_id": TEXT,
        "channel": TEXT,
        "read_at": TIME,
        "value": "DOUBLE",
        "unit": TEXT,
        "scaler": INT,
        "dials": INT,
        "tou_register": TEXT,
        "quality": INT,
        **ORDER,
    },
    "events": {
        "meter_id": TEXT,
        "event_type": TEXT,
        "occurred_at": TIME,
        "value": "DOUBLE",
        "detail": TEXT,
        **ORDER,
    },
    "service_points": {
        "service_point_id": TEXT,
        "meter_id": TEXT,
        "account_id": TEXT,
        "role": TEXT,
        "commodity": TEXT,
        "tariff_id": TEXT,
        "bill_cycle_day": INT,
        "interval_s": INT,
        "channels": "VARCHAR[]",
        "multiplier": "DECIMAL(28,12)",
        "dials": INT,
        "capacity_kw": "DOUBLE",
        "phases": INT,
        "feeder_id": TEXT,
        "transformer_id": TEXT,
        "customer_class": TEXT,
        "status": TEXT,
        "valid_from": TIME,
        "valid_to": TIME,
        **ORDER,
    },
    "prices": {
        "series_id": TEXT,
        "start": TIME,
        "interval_s": INT,
        "price": "DECIMAL(28,12)",
        "currency": TEXT,
        **ORDER,
    },
    "edits": {
        "edit_id": TEXT,
        "kind": TEXT,
        "meter_id": TEXT,
        "channel": TEXT,
        "from": TIME,
        "to": TIME,
        "value": "DECIMAL(28,12)",
        "method": TEXT,
        "user": TEXT,
        "reason": TEXT,
        "edited_at": TIME,
        **ORDER,
    },
    "findings": {
        "rule": TEXT,
        "severity": TEXT,
        "meter_id": TEXT,
        "channel": TEXT,
        "local_day": "DATE",
        "start": TIME,
        "end": TIME,
        "seen": TEXT,
        "expected": TEXT,
        "revision": INT,
    },
    "determinants": {
        "meter_id": TEXT,
        "local_day": "DATE",
        "tariff_id": TEXT,
        "period": TEXT,
        "direction": TEXT,
        "quantity": EXACT,
        "unit": TEXT,
    },
    "bills": {
        "bill_id": TEXT,
        "account_id": TEXT,
        "period_start": "DATE",
        "period_end": "DATE",
        "revision": INT,
        "status": TEXT,
        "total": "DECIMAL(24,6)",
        "currency": TEXT,
        "estimated_share": "DOUBLE",
        "reason": TEXT,
    },
    "bill_lines": {
        "bill_id": TEXT,
        "revision": INT,
        "line": INT,
        "charge": TEXT,
        "tariff_id": TEXT,
        "tariff_version": INT,
        "period": TEXT,
        "tier": INT,
        "quantity": "DECIMAL(24,6)",
        "unit": TEXT,
        "rate": "DECIMAL(24,10)",
        "amount": "DECIMAL(24,6)",
    },
    "change_queue": QUEUE,
    "state_queue": QUEUE,
    "faults": {
        "meter_id": TEXT,
        "fault": TEXT,
        "since": "DATE",
        "until": "DATE",
        "severity": TEXT,
        "evidence": TEXT,
    },
    "settlement": {
        "feeder_id": TEXT,
        "supplier": TEXT,
        "local_day": "DATE",
        "start": TIME,
        "interval_s": INT,
        "points": LONG,
        "drawn": EXACT,
        "fed": EXACT,
        "estimated": LONG,
        "missing": LONG,
        "through": EXACT,
        "losses": EXACT,
        "share_of_losses": EXACT,
    },
    "data_quality": {
        "meter_id": TEXT,
        "channel": TEXT,
        "month": "DATE",
        "days": LONG,
        "slots": LONG,
        "completeness": "DOUBLE",
        "estimated_share": "DOUBLE",
        "timeliness": "DOUBLE",
        "score": "DOUBLE",
    },
    "feeder_balance": {
        "feeder_id": TEXT,
        "rank": "INTEGER",
        "days": "INTEGER",
        **dict.fromkeys(
            ("through_kwh", "reported_kwh", "technical_kwh", "hidden_kwh", "hidden_share"), "DOUBLE"
        ),
        "as_of": "DATE",
    },
    "gaps": {"meter_id": TEXT, "channel": TEXT, "from": TIME, "to": TIME, "slots": LONG},
    "dead_letters": {
        "run_id": TEXT,
        "source": TEXT,
        "offset": LONG,
        "kind": TEXT,
        "reason": TEXT,
        "bytes": "BLOB",
    },
    "runs": {
        "run_id": TEXT,
        "started": TIME,
        "finished": TIME,
        "inputs": TEXT,
        "counts": TEXT,
        "code_version": TEXT,
        "rules": TEXT,
        "tariffs": TEXT,
    },
    "outcomes": {
        "meter_id": TEXT,
        "inspected_on": "DATE",
        "outcome": TEXT,
        "note": TEXT,
        "user": TEXT,
        "revision": INT,
    },
    "dirty_days": {"meter_id": TEXT, "channel": TEXT, "from_day": "DATE", "to_day": "DATE"},
}


def rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """A query's rows by column name."""
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]


def publish(lake: Lake, *tables: tuple[LakeTable, list[dict[str, Any]]]) -> int:
    """One run with some rows of some tables."""
    with lake.begin() as run:
        parts = []
        for table, content in tables:
            stored = pa.schema([field for field in table.schema if field.name != "run_no"])
            parts.append(run.write(table, "a", pa.Table.from_pylist(content, schema=stored)))
        run.commit(parts, {}, FACTS)
        return run.run_no


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def day_row(
    meter: str = "m1", number: int = 0, values: list[int | None] | None = None, **more: Any
) -> dict[str, Any]:
    """A row of ``days`` of six-hour slots."""
    held = values or [1, 2, 3, 4]
    return {
        "meter_id": meter,
        "channel": "import",
        "local_day": FIRST + timedelta(days=number),
        "start": midnight(FIRST + timedelta(days=number)),
        "interval_s": 21_600,
        "unit": "kWh",
        "values": held,
        "quality": Quality.VALIDATED,
        "total": sum(value or 0 for value in held),
        "estimated_slots": 0,
        "revision": 1,
        "withdrawn": False,
        **more,
    }


def missing(start: datetime, slots: int) -> dict[str, Any]:
    """A finding of missing six-hour slots."""
    end = start + timedelta(hours=6 * slots)
    return {"rule": "missing", "severity": "info", "start": start, "end": end, "seen": "x", "expected": "y"}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    return new_lake(tmp_path / "lake")


@pytest.mark.parametrize("filled", [pytest.param(False, id="empty"), pytest.param(True, id="after a run")])
def test_every_view_has_its_columns_and_types(lake: Lake, filled: bool) -> None:
    """The contract holds over no files as over some: names, order and types."""
    if filled:
        commit(lake, {("m1", 0): (5, 1), ("m2", 0): (5, 2)})
    assert set(VIEWS) == set(CONTRACT)
    with connect(lake) as connection:
        for view, columns in CONTRACT.items():
            described = rows(connection, f"DESCRIBE {view}")
            assert {row["column_name"]: row["column_type"] for row in described} == columns, view
            assert [row["column_name"] for row in described] == list(columns), view
            count = rows(connection, f"SELECT count(*) AS n FROM {view}")[0]["n"]
            assert count == (
                0 if not filled else {"readings": 4, "days": 2, "runs": 1, "data_quality": 3}.get(view, 0)
            ), view
        names = [row["name"] for row in rows(connection, "SHOW TABLES")]
        assert sorted(names) == sorted(CONTRACT)


def test_a_day_slot_by_slot(lake: Lake) -> None:
    """Lists that are null stand for the same in every slot; a measured null is none, not the value."""
    mixed = day_row(
        values=[10, None, -3, (1 << 62)],
        quality=None,
        qualities=[Quality.VALIDATED, Quality.MISSING, Quality.QUESTIONABLE, Quality.SUBSTITUTED],
        methods=[0, 0, 0, Method.LIKE_DAY_SCALED],
        flags=[0, 0, Flag.NEGATIVE | Flag.CONFLICT, Flag.SPIKE],
        measured=[10, None, -3, 99],
        estimated_slots=1,
    )
    publish(lake, (DAYS, [day_row("m0"), mixed]))
    with connect(lake) as connection:
        found = rows(connection, "SELECT * FROM readings ORDER BY meter_id, start")
        day = rows(connection, "SELECT * FROM days WHERE meter_id = 'm1'")[0]
    start = midnight(FIRST)
    assert [row["start"] for row in found[4:]] == [start + timedelta(hours=6 * k) for k in range(4)]
    shown = ("value", "measured", "quality", "method", "flags")
    assert [tuple(row[name] for name in shown) for row in found] == [
        *((Decimal(k) * MICRO, Decimal(k) * MICRO, "VALIDATED", "none", "") for k in (1, 2, 3, 4)),
        (10 * MICRO, 10 * MICRO, "VALIDATED", "none", ""),
        (None, None, "MISSING", "none", ""),
        (-3 * MICRO, -3 * MICRO, "QUESTIONABLE", "none", "conflict|negative"),
        ((1 << 62) * MICRO, 99 * MICRO, "SUBSTITUTED", "like_day_scaled", "spike"),
    ]
    assert day["values"] == [row["value"] for row in found[4:]]
    assert day["qualities"] == [row["quality"] for row in found[4:]]
    assert day["methods"] == [row["method"] for row in found[4:]]
    assert day["flags"] == [row["flags"] for row in found[4:]]
    assert (day["estimated_share"], day["total"]) == (0.25, ((1 << 62) + 7) * MICRO)


LISTS = st.integers(1, 5).flatmap(
    lambda n: st.fixed_dictionaries(
        {
            "values": st.lists(
                st.one_of(st.none(), st.integers(-(1 << 62), 1 << 62)), min_size=n, max_size=n
            ),
            "quality": st.one_of(st.none(), st.sampled_from(list(Quality))),
            "qualities": st.lists(st.sampled_from(list(Quality)), min_size=n, max_size=n),
            "methods": st.none() | st.lists(st.sampled_from(list(Method)), min_size=n, max_size=n),
            "flags": st.none() | st.lists(st.integers(0, 4095), min_size=n, max_size=n),
            "measured": st.none()
            | st.lists(st.one_of(st.none(), st.integers(0, 1 << 40)), min_size=n, max_size=n),
        }
    )
)


def expected_reading(day: dict[str, Any], i: int) -> tuple[Any, ...]:
    """One slot, by the words of the table's schema."""
    exact = [None if v is None else Decimal(v) * MICRO for v in day["values"]]
    measured = exact[i]
    if day["measured"] is not None:
        measured = None if day["measured"][i] is None else Decimal(day["measured"][i]) * MICRO
    quality = day["quality"] if day["quality"] is not None else day["qualities"][i]
    flags = Flag(day["flags"][i]) if day["flags"] else Flag(0)
    return (
        day["start"] + timedelta(seconds=i * day["interval_s"]),
        exact[i],
        measured,
        Quality(quality).name,
        Method(day["methods"][i] if day["methods"] else 0).name.lower(),
        "|".join((flag.name or "").lower() for flag in Flag if flag in flags),
    )


@settings(max_examples=15)
@given(st.lists(LISTS, min_size=1, max_size=6))
def test_readings_equal_the_slow_expansion(days: list[dict[str, Any]]) -> None:
    """Whatever a day holds, ``readings`` and ``days`` say it slot by slot, exactly."""
    content = []
    for number, lists in enumerate(days):
        if lists["quality"] is not None:
            lists = {**lists, "qualities": None}
        content.append(day_row(number=number) | lists | {"total": 0})
    expected = [expected_reading(day, i) for day in content for i in range(len(day["values"]))]
    with TemporaryDirectory() as folder:
        lake = new_lake(Path(folder) / "lake")
        publish(lake, (DAYS, content))
        with connect(lake) as connection:
            found = connection.execute(
                "SELECT start, value, measured, quality, method, flags FROM readings ORDER BY start"
            ).fetchall()
            listed = connection.execute(
                'SELECT list_zip("values", qualities, methods, flags) FROM days ORDER BY start'
            ).fetchall()
    assert found == expected
    assert [tuple(item) for (row,) in listed for item in row] == [(e[1], *e[3:]) for e in expected]


def test_current_rows_and_withdrawn_ones(lake: Lake) -> None:
    """A day shows its greatest revision; a withdrawn day has no readings, but may keep findings."""
    finding = missing(midnight(FIRST), 1) | {"rule": "no_service_point"}
    publish(lake, (DAYS, [day_row("m1"), day_row("m2")]))
    gone = {"meter_id": "m2", "channel": "import", "local_day": FIRST, "revision": 2, "withdrawn": True}
    whole = {**gone, "meter_id": "m3", "channel": "", "revision": 1, "findings": [finding]}
    publish(lake, (DAYS, [day_row("m1", values=[9], revision=2), {**gone, "findings": [finding]}, whole]))
    with connect(lake) as connection:
        assert connection.execute("SELECT meter_id, value, revision FROM readings").fetchall() == [
            ("m1", 9 * MICRO, 2)
        ]
        findings = connection.execute("SELECT rule, meter_id, channel, revision FROM findings ORDER BY 2")
        assert findings.fetchall() == [
            ("no_service_point", "m2", "import", 2),
            ("no_service_point", "m3", None, 1),
        ]
    for as_of in (1, lake.at(1).finished, lake.runs()["run_id"][0].as_py()):
        with connect(lake, as_of) as connection:
            counts = connection.execute(
                "SELECT count(*), max(revision), count(DISTINCT meter_id) FROM readings"
            )
            assert counts.fetchall() == [(8, 1, 2)]
            assert connection.execute("SELECT count(*) FROM findings").fetchall() == [(0,)]
            assert connection.execute("SELECT count(*) FROM runs").fetchall() == [(1,)]


def test_gaps_run_over_midnight(lake: Lake) -> None:
    """Missing slots that touch are one gap, days apart or not; those apart are two."""
    first, second, third = (midnight(FIRST + timedelta(days=k)) for k in range(3))
    other = missing(first, 4) | {"rule": "zero_run"}
    publish(
        lake,
        (
            DAYS,
            [
                day_row(
                    number=0, findings=[missing(first, 1), missing(first + timedelta(hours=18), 1), other]
                ),
                day_row(number=1, findings=[missing(second, 4)]),
                day_row(number=2, findings=[missing(third, 2)]),
                day_row("m2", number=1, findings=[missing(second, 4)]),
            ],
        ),
    )
    with connect(lake) as connection:
        found = connection.execute('SELECT meter_id, "from", "to", slots FROM gaps ORDER BY ALL').fetchall()
    assert found == [
        ("m1", first, first + timedelta(hours=6), 1),
        ("m1", first + timedelta(hours=18), third + timedelta(hours=12), 7),
        ("m2", second, third, 4),
    ]


def bill(revision: int, total: str, status: str = "active") -> dict[str, Any]:
    """A revision of one bill with one line."""
    return {
        "bill_id": "b1",
        "account_id": "a1",
        "period_start": FIRST,
        "period_end": FIRST + timedelta(days=30),
        "status": status,
        "total": Decimal(total),
        "currency": "CHF",
        "lines": [{"line": 1, "charge": "energy", "rate": Decimal("0.2"), "amount": Decimal(total)}],
        "revision": revision,
        "withdrawn": False,
    }


def test_bills_determinants_queues_and_letters(lake: Lake) -> None:
    """Older revisions of a bill are reversed; queues are those of the latest detect run."""
    item = {"period": "peak", "direction": "import", "quantity": 1_500_000, "unit": "kWh"}
    determinant = {
        "meter_id": "m1",
        "local_day": FIRST,
        "tariff_id": "t",
        "lines": [item, {**item, "period": "off", "quantity": 1}],
        "revision": 1,
        "withdrawn": False,
    }
    letter = {
        "run_id": "r",
        "source": "x.avro",
        "offset": 17,
        "kind": "block",
        "reason": "CRC",
        "bytes": b"\0\1",
    }
    fault = {"meter_id": "m1", "fault": "stuck", "since": FIRST, "severity": "error"}
    detect = (DETECT_RUNS, [{"as_of": FIRST, "meters": 2}])
    publish(lake, (BILLS, [bill(1, "10.05")]), (DETERMINANTS, [determinant]), (DEAD_LETTERS, [letter]))
    queue = [{"meter_id": meter, "rank": rank, "score": 1 / rank} for rank, meter in ((1, "m1"), (2, "m2"))]
    publish(lake, (BILLS, [bill(2, "9.95")]), (STATE_QUEUE, queue), (FAULTS, [fault]), detect)
    publish(lake, (STATE_QUEUE, queue[:1]), detect)
    with connect(lake) as connection:
        bills = connection.execute("SELECT revision, status, total FROM bills ORDER BY 1").fetchall()
        lines = connection.execute(
            "SELECT revision, line, rate, amount FROM bill_lines ORDER BY 1"
        ).fetchall()
        assert connection.execute("SELECT period, quantity FROM determinants ORDER BY 1").fetchall() == [
            ("off", MICRO),
            ("peak", Decimal("1.5")),
        ]
        assert connection.execute("SELECT meter_id, rank FROM state_queue").fetchall() == [("m1", 1)]
        assert connection.execute("SELECT * FROM faults").fetchall() == []
        letters = connection.execute('SELECT run_id, "offset", bytes FROM dead_letters').fetchall()
    assert bills == [(1, "reversed", Decimal("10.05")), (2, "active", Decimal("9.95"))]
    assert lines == [(1, 1, Decimal("0.2"), Decimal("10.05")), (2, 1, Decimal("0.2"), Decimal("9.95"))]
    assert letters == [("r", 17, b"\0\1")]
    with connect(lake, 2) as connection:
        assert connection.execute("SELECT meter_id FROM state_queue ORDER BY rank").fetchall() == [
            ("m1",),
            ("m2",),
        ]
        assert connection.execute("SELECT fault FROM faults").fetchall() == [("stuck",)]
    with connect(lake, 1) as connection:
        assert connection.execute("SELECT revision, status FROM bills").fetchall() == [(1, "active")]
        assert connection.execute("SELECT * FROM state_queue").fetchall() == []


def test_views_sql_serves_any_duckdb(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``views.sql`` gives a plain DuckDB the same rows, also after the lake has moved and run twice."""
    publish(lake, (DAYS, [day_row("m1"), day_row("m2", findings=[missing(midnight(FIRST), 2)])]))
    publish(lake, (DAYS, [day_row("m1", values=[9], revision=2)]))
    shutil.move(lake.path, tmp_path / "moved 'here'")
    monkeypatch.chdir(tmp_path / "moved 'here'")
    with duckdb.connect() as plain, connect(Lake.open(Path())) as ours:
        for _ in range(2):
            plain.execute(Path("views.sql").read_text("utf-8"))
        for view in set(VIEWS) - {"raw", "data_quality"}:  # these two read the raw zone by our own reader
            sql = f"SELECT * FROM {view} ORDER BY ALL"
            assert plain.execute(sql).fetchall() == ours.execute(sql).fetchall()
        assert plain.execute("SELECT count(*) FROM readings").fetchall() == [(5,)]


def test_a_query_of_one_meter_skips_other_files(lake: Lake) -> None:
    """Bloom filters tell DuckDB which files cannot hold a meter."""
    meters = [f"m{number}" for number in range(8)]
    with lake.begin() as run:
        stored = pa.schema([field for field in DAYS.schema if field.name != "run_no"])
        parts = [
            run.write(
                DAYS, meter, pa.Table.from_pylist([day_row(meter), day_row(f"z{meter}")], schema=stored)
            )
            for meter in meters
        ]
        run.commit(parts, {}, FACTS)
    with duckdb.connect() as plain:
        probe = plain.execute(
            "SELECT bloom_filter_excludes FROM parquet_bloom_probe(?, 'meter_id', 'm3')", [lake.files("days")]
        ).fetchall()
    assert sorted(excluded for (excluded,) in probe) == [False] + [True] * 7


def test_names_in_sql_are_views_only(lake: Lake) -> None:
    """A variable of the calling Python code is no table."""
    secret = pa.table({"x": [1]})
    with connect(lake) as connection, pytest.raises(duckdb.CatalogException):
        connection.execute("SELECT * FROM secret")
    assert secret.num_rows == 1


def test_the_session_is_in_utc(lake: Lake) -> None:
    """Times read and shown are UTC, whatever the machine's zone."""
    with connect(lake) as connection:
        assert connection.execute("SELECT (TIMESTAMPTZ '2026-01-01 00:00:00')::VARCHAR").fetchall() == [
            ("2026-01-01 00:00:00+00",)
        ]
