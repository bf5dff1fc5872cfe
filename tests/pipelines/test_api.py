"""The read API: pages add up to the view, a customer sees only what is theirs, small groups stay hidden."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from fastapi.testclient import TestClient

from pipelines.api.app import ApiOptions, build_app
from pipelines.api.rate import RateLimit
from pipelines.api.tokens import SCOPES, TokenBook, make_token
from pipelines.cli import main
from pipelines.customers import CustomerTable
from pipelines.groups import GroupRule, daily_groups
from pipelines.store.lake import Lake
from pipelines.store.views import connect
from schemas.errors import MeterbeamError
from tests.pipelines.exchanged import failed
from tests.pipelines.lake_days import commit, new_lake
from tests.pipelines.towns import make_town, run, write

Capture = pytest.CaptureFixture[str]
MOVED = datetime(2026, 3, 15, 23, tzinfo=UTC)
"""Midnight at which the tenant of the first home changes."""


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of two runs; its first home changes hands in the middle of March."""
    base = tmp_path_factory.mktemp("town")
    files = make_town(base / "in", meters=6, days=40)
    lake = base / "lake"
    run(lake, files, tariffs=files / "tariffs")
    with connect(Lake.open(lake)) as views:
        found = views.execute(
            "SELECT * FROM service_points WHERE role = 'customer' ORDER BY meter_id LIMIT 1"
        )
        names = [column[0] for column in found.description]
        point = dict(zip(names, found.fetchall()[0], strict=True))
    point |= {"account_id": "A-new", "valid_from": MOVED, "received_at": MOVED, "multiplier": 1.0}
    moved = write(base / "moved.avro", "ServicePoint", [point])
    run(lake, moved, tariffs=files / "tariffs")
    return lake


def ask_lake(lake: Path, sql: str, as_of: int | None = None) -> list[tuple[Any, ...]]:
    with connect(Lake.open(lake), as_of) as views:
        return views.execute(sql).fetchall()


class Caller:
    """A client of the API with tokens."""

    def __init__(self, lake: Path, folder: Path, *, burst: int = 1000) -> None:
        self.tokens = folder / "tokens.json"
        self.all = make_token(self.tokens, "all", SCOPES, None, None)
        options = ApiOptions(lake, self.tokens, 1000, burst, GroupRule())
        self.client = TestClient(build_app(options))

    def get(self, path: str, token: str | None = None, **params: Any) -> Any:
        """The answer to a request."""
        headers = {"Authorization": f"Bearer {token or self.all}"}
        return self.client.get(path, params=params, headers=headers)

    def rows(self, path: str, token: str | None = None, **params: Any) -> list[dict[str, Any]]:
        """All rows, page by page."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            answer = self.get(path, token, **params, **({"cursor": cursor} if cursor else {}))
            assert answer.status_code == 200, answer.text
            found += answer.json()["rows"]
            cursor = answer.json()["next"]
            if cursor is None:
                return found


@pytest.fixture
def caller(town: Path, tmp_path: Path) -> Iterator[Caller]:
    (town / "customers.db").unlink(missing_ok=True)
    yield Caller(town, tmp_path)
    (town / "customers.db").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("path", "view", "limit"),
    [
        pytest.param("readings", "readings WHERE meter_id = 'M000001'", 700, id="readings"),
        pytest.param("days", "days", 100, id="days"),
        pytest.param("findings", "findings", 10, id="findings"),
        pytest.param("bills", "bills", 2, id="bills"),
        pytest.param("queues/change", "change_queue", 2, id="change queue"),
        pytest.param("queues/state", "state_queue", 2, id="state queue"),
        pytest.param("queues/faults", "faults", 1, id="faults"),
        pytest.param("runs", "runs", 1, id="runs"),
    ],
)
def test_pages_add_up_to_the_view(caller: Caller, town: Path, path: str, view: str, limit: int) -> None:
    """Every row once, decimals exact as text, whatever the size of a page."""
    params = {"meter_id": "M000001"} if path == "readings" else {}
    found = caller.rows(f"/v1/{path}", limit=limit, **params)
    expected = ask_lake(town, f"FROM {view}")
    assert len(found) == len(expected) > 1
    assert len({json.dumps(row, sort_keys=True) for row in found}) == len(expected)
    shown = {tuple(map(repr, map(_comparable, row.values()))) for row in found}
    assert shown == {tuple(map(repr, map(_comparable, row))) for row in expected}


def _comparable(cell: Any) -> Any:
    if isinstance(cell, list):
        return [_comparable(each) for each in cell]
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    return format(cell, "f") if isinstance(cell, Decimal) else cell


def test_filters_and_as_of(caller: Caller, town: Path) -> None:
    """Times and days bound the rows; as of run 1 the bills are those of run 1."""
    start, end = MOVED, MOVED + timedelta(hours=1)
    found = caller.rows("/v1/readings", meter_id="M000002", channel="import", start=start, end=end)
    assert [row["start"] for row in found] == [
        (start + timedelta(minutes=15 * n)).isoformat() for n in range(4)
    ]
    days = caller.rows("/v1/days", meter_id="M000002", first="2026-03-20", last="2026-03-21")
    assert {row["local_day"] for row in days} == {"2026-03-20", "2026-03-21"}
    past = {(row["bill_id"], row["revision"]) for row in caller.rows("/v1/bills", as_of="1")}
    assert past == set(ask_lake(town, "SELECT bill_id, revision FROM bills", 1))
    assert past != {(row["bill_id"], row["revision"]) for row in caller.rows("/v1/bills")}


def test_a_customer_sees_only_what_is_theirs(caller: Caller, town: Path) -> None:
    """Before the move the meter is the old tenant's, from then on the new one's; bills by account."""
    old = ask_lake(
        town, "SELECT account_id FROM service_points WHERE account_id <> 'A-new' ORDER BY meter_id"
    )[0][0]
    table = CustomerTable.of(town)
    table.add("C-old", [old])
    table.add("C-new", ["A-new"])
    meter = ask_lake(town, "SELECT meter_id FROM service_points WHERE account_id = 'A-new'")[0][0]
    starts: dict[str, set[str]] = {}
    for customer in ("C-old", "C-new"):
        token = make_token(caller.tokens, customer[2:], ("readings", "bills", "findings"), customer, None)
        rows = caller.rows("/v1/readings", token, channel="import", limit=5000)
        assert {row["meter_id"] for row in rows} == {meter}
        starts[customer] = {row["start"] for row in rows}
        for path in ("days", "findings"):
            assert {row["meter_id"] for row in caller.rows(f"/v1/{path}", token)} <= {meter}
        bills = caller.rows("/v1/bills", token)
        assert {row["account_id"] for row in bills} <= {old if customer == "C-old" else "A-new"}
        other = caller.rows("/v1/readings", token, meter_id="M000003")
        assert other == []
    assert max(starts["C-old"]) < MOVED.isoformat() == min(starts["C-new"])
    lines = caller.get("/v1/bills/any/lines", token)
    assert lines.json()["rows"] == []


def test_erasure_leaves_nothing_that_joins(caller: Caller, town: Path) -> None:
    """The token sees nothing any more, the file holds no trace, the intervals are as they were."""
    count = ask_lake(town, "SELECT count(*) FROM readings")
    who = ["--lake", str(town), "--customer", "Erika-Muster"]
    assert main(["customer", "add", *who, "--account", "A-new"]) == 0
    token = make_token(caller.tokens, "t", ("readings",), "Erika-Muster", None)
    assert caller.rows("/v1/readings", token, limit=5000)
    assert b"Erika-Muster" in (town / "customers.db").read_bytes()
    assert main(["customer", "erase", *who]) == 0
    assert caller.rows("/v1/readings", token) == []
    assert b"Erika" not in (town / "customers.db").read_bytes()
    assert not list(town.glob("customers.db-*"))
    assert ask_lake(town, "SELECT count(*) FROM readings") == count


def test_a_customers_own_data(caller: Caller, town: Path, tmp_path: Path, capsys: Capture) -> None:
    """The ZIP holds every row of theirs; another customer cannot take the account."""
    CustomerTable.of(town).add("C", ["A-new"])
    out = tmp_path / "c.zip"
    command = ["customer", "export", "--lake", str(town), "--customer", "C", "--out", str(out)]
    assert main(command) == 0
    with ZipFile(out) as archive:
        rows = {
            name: list(csv.DictReader(io.StringIO(archive.read(name).decode())))
            for name in archive.namelist()
        }
    assert set(rows) == {"readings.csv", "days.csv", "findings.csv", "bills.csv", "bill_lines.csv"}
    token = make_token(caller.tokens, "c", ("readings",), "C", None)
    assert len(rows["readings.csv"]) == len(caller.rows("/v1/readings", token, limit=5000)) > 0
    assert (
        "another customer's"
        in failed(["customer", "add", "--lake", str(town), "--customer", "D", "--account", "A-new"], capsys)[
            1
        ]
    )
    code, error = failed([*command[:5], "nobody", "--out", str(out)], capsys)
    assert (code, "nobody" in error) == (1, False)


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        pytest.param("/v1/readings", {"limit": 0}, 422, id="limit"),
        pytest.param("/v1/readings", {"limit": 10_001}, 422, id="too many"),
        pytest.param("/v1/readings", {"cursor": "x"}, 400, id="cursor"),
        pytest.param("/v1/readings", {"cursor": "WzEsIFsxXSwgInJ1bnMiXQ"}, 400, id="cursor of another view"),
        pytest.param(
            "/v1/readings",
            {"cursor": "WzEsIFsiYSIsICJiIiwgIngiXSwgInJlYWRpbmdzIl0"},
            400,
            id="cursor without a time",
        ),
        pytest.param("/v1/readings", {"start": "soon"}, 422, id="time"),
        pytest.param("/v1/readings", {"as_of": "99"}, 400, id="no such run"),
        pytest.param("/v1/days", {"as_of": "then"}, 400, id="no moment"),
        pytest.param("/v1/queues/loads", {}, 404, id="queue"),
        pytest.param(
            "/v1/groups", {"by": "name", "first": "2026-03-02", "last": "2026-03-03"}, 404, id="group"
        ),
        pytest.param("/v1/bills/' OR 1=1 --/lines", {}, 200, id="a bill that is not"),
    ],
)
def test_wrong_requests(caller: Caller, path: str, params: dict[str, Any], code: int) -> None:
    """A code and a reason; nothing of the inside."""
    answer = caller.get(path, **params)
    assert answer.status_code == code, answer.text
    assert "Traceback" not in answer.text
    if code == 200:
        assert answer.json()["rows"] == []


def test_tokens(caller: Caller, tmp_path: Path) -> None:
    """None, a wrong one, an ended one: 401. A scope that is not held, or not for customers: 403."""
    assert caller.client.get("/v1/days").status_code == 401
    assert caller.get("/v1/days", "mb_wrong").status_code == 401
    ended = make_token(caller.tokens, "ended", SCOPES, None, datetime(2020, 1, 1, tzinfo=UTC))
    assert caller.get("/v1/days", ended).status_code == 401
    narrow = make_token(caller.tokens, "narrow", ("bills",), None, None)
    assert caller.get("/v1/days", narrow).status_code == 403
    customer = make_token(caller.tokens, "customer", SCOPES, "C", None)
    assert caller.get("/v1/queues/change", customer).status_code == 403
    text = caller.tokens.read_text()
    assert all(secret not in text for secret in (caller.all, ended, narrow, customer))
    assert caller.tokens.stat().st_mode & 0o077 == 0


def test_a_token_taken_back(caller: Caller, capsys: Capture) -> None:
    """A running server refuses it, its name can be given again, and nothing of its customer stays."""
    command = ["--tokens", str(caller.tokens), "--name", "portal"]
    made = ["api", "token", *command, "--scope", "readings", "--customer", "Ada"]
    assert main(made) == 0
    token = capsys.readouterr().out.strip()
    assert caller.get("/v1/days", token).status_code == 200
    assert main(["api", "revoke", *command]) == 0
    assert caller.get("/v1/days", token).status_code == 401
    assert "Ada" not in caller.tokens.read_text()
    assert caller.tokens.stat().st_mode & 0o077 == 0
    assert failed(["api", "revoke", *command], capsys)[0] == 1
    assert main(made) == 0


def test_the_rate_limit(town: Path, tmp_path: Path) -> None:
    """The burst passes, the next one has to wait; another token does not."""
    caller = Caller(town, tmp_path, burst=3)
    codes = [caller.get("/v1/runs").status_code for _ in range(3)]
    assert codes == [200, 200, 200]
    limit = RateLimit(2, 3)
    assert [limit.wait_s("a", 10.0) for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert limit.wait_s("b", 10.0) == 0
    assert limit.wait_s("a", 10.5) == 0
    assert limit.wait_s("a", 10.75) == pytest.approx(0.25)


def test_openapi_names_every_route(caller: Caller) -> None:
    """The description is there for anyone, and each route of it asks for a token."""
    paths = caller.client.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/v1/readings", "/v1/days", "/v1/findings", "/v1/bills", "/v1/bills/{bill_id}/lines",
        "/v1/queues/{name}", "/v1/runs", "/v1/groups",
    }  # fmt: skip
    assert all(set(route) == {"get"} and route["get"]["security"] for route in paths.values())


def group_lake(points: list[tuple[str, str, str]], totals: dict[str, int]) -> Any:
    """Views with service points (meter, account, feeder) and a day's totals of meters."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        "CREATE TABLE service_points (service_point_id TEXT, meter_id TEXT, account_id TEXT, role TEXT, "
        "feeder_id TEXT, valid_from TIMESTAMPTZ, valid_to TIMESTAMPTZ)"
    )
    for meter, account, feeder in points:
        connection.execute(
            "INSERT INTO service_points VALUES (?, ?, ?, 'customer', ?, '2020-01-01', NULL)",
            [meter, meter, account, feeder],
        )
    connection.execute(
        "CREATE TABLE days (meter_id TEXT, channel TEXT, local_day DATE, start TIMESTAMPTZ, "
        "total DECIMAL(20, 6))"
    )
    for meter, total in totals.items():
        connection.execute(
            "INSERT INTO days VALUES (?, 'import', '2026-03-02', '2026-03-02', ?)", [meter, total]
        )
    return connection


@pytest.mark.parametrize(
    ("totals", "shown"),
    [
        pytest.param([10] * 15, True, id="fifteen alike"),
        pytest.param([10] * 14, False, id="fourteen"),
        pytest.param([10] * 19 + [33], True, id="one just within 15 percent"),
        pytest.param([10] * 19 + [34], False, id="one above 15 percent"),
        pytest.param([10] * 19 + [-34], False, id="one that feeds in more"),
    ],
)
def test_the_fifteen_fifteen_rule(totals: list[int], shown: bool) -> None:
    """A group of at least 15 customers of whom none has more than 15 % is shown, any other is not."""
    points = [(f"m{n}", f"a{n}", "F") for n in range(len(totals))]
    connection = group_lake(points, {f"m{n}": total for n, total in enumerate(totals)})
    day = date(2026, 3, 2)
    rows = connection.execute(daily_groups("feeder_id", GroupRule()), ["import", day, day]).fetchall()
    assert rows == ([("F", day, len(totals), sum(totals))] if shown else [])


def test_meters_of_one_customer_count_once() -> None:
    """Thirty meters of two accounts are two customers."""
    connection = group_lake([(f"m{n}", f"a{n % 2}", "F") for n in range(30)], {f"m{n}": 1 for n in range(30)})
    day = date(2026, 3, 2)
    assert connection.execute(daily_groups("feeder_id", GroupRule()), ["import", day, day]).fetchall() == []
    loose = GroupRule(2, 0.5)
    assert connection.execute(daily_groups("feeder_id", loose), ["import", day, day]).fetchall()[0][2:] == (
        2,
        30,
    )


def test_groups_of_a_small_town_are_hidden(caller: Caller) -> None:
    """Six homes are no group; the answer is empty, not an error."""
    answer = caller.get("/v1/groups", by="commodity", first="2026-03-02", last="2026-03-31")
    assert (answer.status_code, answer.json()["rows"]) == (200, [])


def test_token_files_that_cannot_be_read(tmp_path: Path, town: Path, capsys: Capture) -> None:
    """One clear message, exit 1; the content is not repeated."""
    file = tmp_path / "tokens.json"
    file.write_text('[{"name": "s3cret"}]')
    with pytest.raises(MeterbeamError, match="api token"):
        TokenBook(file)
    code, error = failed(["api", "serve", "--lake", str(town), "--tokens", str(file)], capsys)
    assert (code, "s3cret" in error) == (1, False)
    assert failed(["api", "token", "--tokens", str(file), "--name", "n", "--scope", "all"], capsys)[0] == 2


def test_the_mapping_is_a_plain_table(caller: Caller, town: Path) -> None:
    """Other programs can read it."""
    CustomerTable.of(town).add("C", ["A-1", "A-2"])
    with sqlite3.connect(town / "customers.db") as connection:
        assert connection.execute("SELECT * FROM customers ORDER BY 2").fetchall() == [
            ("C", "A-1"),
            ("C", "A-2"),
        ]
    connection.close()


def test_a_parameter_that_a_route_does_not_have_is_refused(caller: Caller) -> None:
    """A misspelt filter would return everything: the answer names those there are."""
    answer = caller.get("/v1/readings", meter="M000001")
    assert answer.status_code == 422
    assert "no parameter 'meter', expected of: as_of, channel, cursor, end, limit, meter_id" in answer.text
    assert caller.get("/v1/queues/change", meter_id="M000001").status_code == 422


def test_a_token_file_that_cannot_be_read_is_the_servers_fault(caller: Caller) -> None:
    """The caller learns that, and not where the file lies."""
    caller.tokens.write_text("no json", "utf-8")
    answer = caller.get("/v1/runs")
    assert answer.status_code == 500
    assert str(caller.tokens) not in answer.text


def test_the_help_page_needs_nothing_from_elsewhere(caller: Caller) -> None:
    """``/docs`` is one page that names no other host, and its schema lists what can be asked."""
    page = caller.client.get("/docs")
    assert page.status_code == 200
    assert "openapi.json" in page.text
    assert "://" not in page.text
    assert "/v1/readings" in caller.client.get("/openapi.json").json()["paths"]


def test_pages_stay_at_the_run_of_the_first(tmp_path: Path) -> None:
    """A run that is published between two pages moves no row: the second page is of the first one's run."""
    lake = new_lake(tmp_path / "lake")
    commit(lake, {("m2", 0): (1, 1), ("m3", 0): (2, 1)})
    caller = Caller(lake.path, tmp_path)
    first = caller.get("/v1/days", limit=1).json()
    commit(lake, {("m1", 0): (9, 1), ("m3", 0): (None, 2)})
    second = caller.get("/v1/days", limit=1, cursor=first["next"]).json()
    assert [row["meter_id"] for row in first["rows"] + second["rows"]] == ["m2", "m3"]
    assert (first["as_of_run"], second["as_of_run"]) == (1, 1)
    assert [row["meter_id"] for row in caller.rows("/v1/days", limit=1)] == ["m1", "m2"]


def test_no_answer_repeats_a_token_or_a_customer(
    caller: Caller, tmp_path: Path, capsys: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused requests, wrong commands and their logs show neither a token nor a customer's name."""
    caplog.set_level("DEBUG")
    name = "Ada Lovelace"
    token = make_token(caller.tokens, "hers", ("readings",), name, None)
    answers = [
        caller.get("/v1/readings", "mb_" + "x" * 40),
        caller.get("/v1/groups", token, by="feeder_id", first="2026-03-01", last="2026-03-02"),
        caller.get("/v1/readings", token, cursor="no cursor"),
        caller.get("/v1/readings", token, as_of="never"),
        caller.get("/v1/readings", token, limit=0),
    ]
    assert [answer.status_code for answer in answers] == [401, 403, 400, 400, 422]
    lake = str(new_lake(tmp_path / "lake").path)
    main(["customer", "export", "--lake", lake, "--customer", name, "--out", str(tmp_path / "x.zip")])
    main(["customer", "erase", "--lake", lake, "--customer", name])
    said = "".join(answer.text for answer in answers) + caplog.text + "".join(capsys.readouterr())
    assert token not in said
    assert caller.all not in said
    assert name not in said
    assert token not in caller.tokens.read_text()
