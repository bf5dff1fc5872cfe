"""A lake on object storage, behind a real S3-compatible server: as on disk, kills and rivals included."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from fastapi.testclient import TestClient

from models.calendar import day_date
from pipelines.api.app import ApiOptions, build_app
from pipelines.api.tokens import make_token
from pipelines.backfill import BackfillOptions, dirty_backfill
from pipelines.batch.shard_ranges import ShardRange
from pipelines.cli import main
from pipelines.cluster.flink_workers import _new_receipts
from pipelines.customers import CustomerTable
from pipelines.groups import GroupRule
from pipelines.store.lake import Lake
from pipelines.store.lease import LEASE_S, LakeBusyError
from pipelines.store.views import connect
from schemas.errors import MeterbeamError
from schemas.lake import DAYS
from tests.models.ledger_worlds import world
from tests.pipelines.lake_child import METERS, make_run, run_content, run_dirty
from tests.pipelines.lake_days import FACTS, commit, day_rows, dirty, held, new_lake
from tests.pipelines.s3_server import SECRET, s3_server
from tests.pipelines.stream_messages import disorder, stream
from tests.pipelines.test_backfill_worlds import RECORD, as_sent, files
from tests.pipelines.test_lake_kill import KILLED, STEPS, Child
from tests.pipelines.test_stream_law import COMMON
from tests.pipelines.towns import assert_equal, make_town, run, tables
from transforms.receipts import _write
from transforms.storage import ObjectPath, place, remove_tree

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class FakeReceipt:
    """What a worker of a cluster leaves."""

    work: ShardRange


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket of a running server."""
    with s3_server(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture(scope="module")
def child(bucket: str) -> Iterator[Child]:
    """One process that forks the victims, with the server in its environment."""
    made = Child()
    yield made
    made.end()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Input of a small town."""
    return make_town(tmp_path_factory.mktemp("town"), days=28)


def meterbeam(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, to its very end."""
    command = [sys.executable, "-m", "pipelines.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_all_of_it_in_a_bucket(bucket: str, town: Path, tmp_path: Path) -> None:
    """Backfill with workers, detect, maintain, query, as-of and report: the same rows as on disk, and every
    process ends clean.
    """
    lake = f"{bucket}/all/of it"
    options = ("--timezone", "Europe/Zurich", "--shards", 3, "--workers", 2, "--tariffs", town / "tariffs")
    done = [meterbeam("backfill", town, "--lake", lake, *options)]
    run(tmp_path / "disk", town, tariffs=town / "tariffs")
    assert_equal(tmp_path / "disk", place(lake))
    first = tables(place(lake))
    done += [meterbeam("detect", "--lake", lake), meterbeam("lake", "maintain", "--lake", lake)]
    assert tables(place(lake)) == first
    count = ("query", "SELECT count(*) AS n FROM readings", "--format", "csv")
    done.append(meterbeam(*count, "--lake", lake, "--as-of", 1))
    assert [(command.returncode, command.stderr) for command in done] == [(0, "")] * len(done)
    assert done[-1].stdout == f"n\n{len(first['readings'])}\n"
    assert main(["report", "--lake", lake, "--out", str(tmp_path / "report.html")]) == 0
    assert (tmp_path / "report.html").stat().st_size > 50_000
    # Without --tariffs, a later run prices by those that the lake keeps.
    again = meterbeam("backfill", town, "--lake", lake, "--workers", 1, "--json")
    assert json.loads(again.stdout)["days_written"] == 0


@pytest.mark.parametrize("step", ["begun", "days committed", "runs written", "runs committed"])
def test_killed_at_a_step(step: str, bucket: str, child: Child) -> None:
    """Before ``runs`` is committed a killed run is invisible, after it is complete; the next goes on."""
    folder = new_lake(place(f"{bucket}/kill/{STEPS.index(step)}")).path
    make_run(folder)
    assert child.order(folder, step) == KILLED
    complete = 1 + (STEPS.index(step) >= STEPS.index("runs committed"))
    for ordinal in (complete, complete + 1):
        lake = Lake.open(folder)
        assert lake.runs().num_rows == ordinal
        assert (held(lake), dirty(lake)) == (run_content(ordinal), run_dirty(ordinal))
        assert lake.table("days").num_rows == ordinal * len(METERS) * 2
        if ordinal == complete:
            assert child.order(folder, "-") == "0"
    known = {path for number in lake.runs()["run_no"].to_pylist() for path in lake.at(number).files("days")}
    assert {str(path) for path in (folder / "tables" / "days").glob("part-*")} == known


def test_a_backfill_killed_with_its_workers(bucket: str, town: Path, tmp_path: Path) -> None:
    """Killed in the middle, a lake shows no run or a whole one, and the next backfill ends equal."""
    run(tmp_path / "whole", town)
    lake = f"{bucket}/backfill"
    options = ["--timezone", "Europe/Zurich", "--shards", "3", "--lake", lake]
    command = [sys.executable, "-m", "pipelines.cli", "backfill", str(town), *options]
    quiet = subprocess.DEVNULL
    victim = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=quiet, stderr=quiet)
    while not list((place(lake) / "raw").glob("*/*")) and victim.poll() is None:
        time.sleep(0.05)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait()
    assert not Lake.open(place(lake)).run_no
    run(place(lake), town)
    assert_equal(tmp_path / "whole", place(lake))


def test_a_stream_into_a_bucket_ends_in_the_tables_of_its_backfill(bucket: str, tmp_path: Path) -> None:
    """A nasty world in disorder, then a backfill of its late days; as of the stream's last run, its days."""
    chance = random.Random(1)
    made = world(chance, days=24, meters=2)
    through = day_date(made.last_day)
    run(tmp_path / "backfill", *files(tmp_path / "in", made.records), detect=False, through=through, **COMMON)
    sent = [(RECORD[kind], as_sent(kind, row)) for kind, row in made.records]
    lake = place(f"{bucket}/stream")
    stream(lake, disorder(sent, chance, through, 8), shards=3, **COMMON)
    streamed, before = Lake.open(lake).run_no, tables(lake)["days"]
    dirty_backfill(BackfillOptions((), lake, workers=0, detect=False, **COMMON))
    assert_equal(tmp_path / "backfill", lake)
    with connect(Lake.open(lake), streamed) as then:
        assert then.execute("SELECT count(*) FROM days").fetchone() == (len(before),)


def test_receipts_of_work_done_elsewhere(bucket: str) -> None:
    """A receipt is read once it is whole, one for each work however often it was done."""
    folder = place(f"{bucket}/receipts")
    work = ShardRange((0,), 1)
    for _ in range(2):
        _write(FakeReceipt(work), str(folder))
    received: set[str] = set()
    assert list(_new_receipts(folder, received)) == [FakeReceipt(work)]
    assert list(_new_receipts(folder, received)) == []
    remove_tree(folder)
    assert not folder.is_dir()


def test_two_runs_at_once(bucket: str) -> None:
    """The second run is refused and told who holds the lake; the first is not disturbed."""
    lake = new_lake(place(f"{bucket}/two"))
    with lake.begin() as first:
        with pytest.raises(LakeBusyError, match=rf"process {os.getpid()} on .* since 20\d\d-"):
            Lake.open(lake.path).begin().__enter__()
        first.commit([first.write(DAYS, "a", day_rows({("m1", 0): (5, 1)}))], {}, FACTS)
    assert commit(Lake.open(lake.path), {("m1", 0): (6, 2)}) == 2
    assert held(Lake.open(lake.path)) == {("m1", 0): (6, 2)}


def test_a_run_that_lost_its_lease_publishes_nothing(bucket: str) -> None:
    """A process that slept while another took the lake is refused at its next commit."""
    lake = new_lake(place(f"{bucket}/lost"))
    lock = lake.path / "lock"
    assert isinstance(lock, ObjectPath)
    with lake.begin() as sleeper:
        part = sleeper.write(DAYS, "a", day_rows({("m1", 0): (5, 1)}))
        lock.write_bytes(json.dumps({"run_no": 1}).encode())  # as if it had run out, and another had ended
        assert commit(Lake.open(lake.path), {("m1", 0): (7, 1)}) == 2
        with pytest.raises(MeterbeamError, match="no such file"):
            sleeper.commit([part], {}, FACTS)  # the other swept it away
        with pytest.raises(LakeBusyError):
            sleeper.commit([], {}, FACTS)
    assert held(Lake.open(lake.path)) == {("m1", 0): (7, 1)}


def test_two_that_both_believe_they_hold_it(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the lease fails, conditional commits still let one run through and refuse the other."""
    monkeypatch.setattr("pipelines.store.lease.Lease.confirm", lambda _: None)
    lake = new_lake(place(f"{bucket}/both"))
    commit(lake, {("m1", 0): (1, 1)})
    other = Lake.open(lake.path)
    with lake.begin() as first:
        (lake.path / "lock").unlink()
        with other.begin() as second:
            parts = [
                each.write(DAYS, name, day_rows({("m1", 0): (value, 2)}))
                for each, name, value in ((first, "a", 2), (second, "b", 3))
            ]
            second.commit([parts[1]], {}, FACTS)
            with pytest.raises(MeterbeamError, match="committed by another process"):
                first.commit([parts[0]], {}, FACTS)
    assert held(Lake.open(lake.path)) == {("m1", 0): (3, 2)}


def test_a_holder_elsewhere_is_waited_for(bucket: str) -> None:
    """A lease of another machine is respected while it is young, whether or not its process lives."""
    lake = new_lake(place(f"{bucket}/elsewhere"))
    told = {"process": 1, "host": "another", "since": "2026-03-01T00:00:00Z", "run_no": 7}
    (lake.path / "lock").write_bytes(json.dumps(told).encode())
    with pytest.raises(LakeBusyError, match="process 1 on another") as refused:
        commit(lake, {("m1", 0): (1, 1)})
    assert f"{LEASE_S} s" in refused.value.expected


def test_keys_are_never_shown(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket that is not there, or keys that are wrong, are an error of two sides without any key."""
    new_lake(place(f"{bucket}/keys"))
    assert main(["query", "SELECT 1", "--lake", "s3://no-such-bucket/lake"]) == 1
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-" + SECRET)
    command = meterbeam("query", "SELECT 1", "--lake", f"{bucket}/keys")
    assert command.returncode == 1
    said = capsys.readouterr().err + command.stderr + command.stdout
    assert said.count("error: s3://") == 2
    assert SECRET not in said
    assert "Traceback" not in said


def test_customers_of_a_bucket(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table that joins persons to accounts is a file on disk, never in the bucket."""
    monkeypatch.chdir(tmp_path)
    lake = new_lake(place(f"{bucket}/customers"))
    commit(lake, {("m1", 0): (5, 1)})
    who = ["--lake", str(lake.path), "--customer", "Ada Lovelace"]
    assert main(["customer", "add", *who, "--account", "A-1"]) == 1
    assert "a file on disk" in capsys.readouterr().err
    for there in ("s3://lakes/customers.db", str(tmp_path / "none" / "customers.db")):
        assert main(["customer", "add", *who, "--account", "A-1", "--customers", there]) == 1
    Path("meterbeam.yaml").write_text("customers: mapping.db\n")
    assert main(["customer", "add", *who, "--account", "A-1"]) == 0
    assert main(["customer", "export", *who, "--out", f"{bucket}/hers.zip"]) == 0
    with ZipFile(BytesIO(place(f"{bucket}/hers.zip").read_bytes())) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 5
    assert b"Lovelace" in Path("mapping.db").read_bytes()
    assert Path("mapping.db").stat().st_mode & 0o077 == 0
    assert main(["customer", "erase", *who]) == 0
    assert b"Lovelace" not in Path("mapping.db").read_bytes()
    assert main(["customer", "export", *who, "--out", "hers.zip"]) == 1
    assert "Lovelace" not in capsys.readouterr().err
    assert [str(path) for path in place(bucket).rglob("*") if path.name == "customers.db"] == []


def test_a_customers_token_over_a_bucket(bucket: str, tmp_path: Path) -> None:
    """Without the table a customer's token is told so; with it, it sees what is theirs; others see all."""
    lake = new_lake(place(f"{bucket}/served"))
    commit(lake, {("m1", 0): (5, 1)})
    tokens, customers = tmp_path / "tokens.json", tmp_path / "customers.db"
    CustomerTable(customers).add("C", ["A-1"])
    hers, all_of_it = (
        {"Authorization": f"Bearer {make_token(tokens, name, ('readings',), customer, None)}"}
        for name, customer in (("hers", "C"), ("all", None))
    )
    answers = []
    for table in (None, customers):
        client = TestClient(build_app(ApiOptions(lake.path, tokens, 1000, 1000, GroupRule(), table)))
        answers += [client.get("/v1/days", headers=who) for who in (hers, all_of_it)]
    assert [answer.status_code for answer in answers] == [500, 200, 200, 200]
    assert [len(answer.json()["rows"]) for answer in answers[1:]] == [1, 0, 1]
    with pytest.raises(MeterbeamError, match="file or folder of this machine"):
        make_token(place(f"{bucket}/tokens.json"), "n", ("runs",), None, None)
    assert not place(f"{bucket}/tokens.json").exists()


def test_deliveries_into_a_bucket(bucket: str, tmp_path: Path) -> None:
    """An export, its record and what follows lie in a bucket as in a folder."""
    lake = new_lake(place(f"{bucket}/exported"))
    for number in (1, 2):
        commit(lake, {("m1", 0): (5 * number, number)})
        for out in (tmp_path / "out", f"{bucket}/out"):
            assert main(["export", "days", "--lake", str(lake.path), "--out", str(out)]) == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["days-r000001.csv", "days-r000002.csv", "sent.json"]
    assert {path.name: path.read_bytes() for path in place(f"{bucket}/out").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()
    }
    for form, ending in (("parquet", "parquet"), ("espi", "xml")):
        out = f"{bucket}/whole.{ending}"
        assert main(["export", "readings", "--lake", str(lake.path), "--out", out, "--format", form]) == 0
        assert place(out).stat().st_size


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["backfill", "{}", "--lake", "lake", "--timezone", "UTC"], id="backfill"),
        pytest.param(
            ["backfill", "{}", "--lake", "lake", "--timezone", "UTC", "--follow", "--once"], id="follow"
        ),
        pytest.param(["convert", "csv", "{}/a.csv", "--out", "avro"], id="convert"),
        pytest.param(["convert", "csv", "a.csv", "--out", "{}"], id="convert into"),
        pytest.param(["simulate", "--meters", "5", "--days", "8", "--out", "{}"], id="simulate"),
    ],
)
def test_what_must_be_of_this_machine(
    command: list[str],
    bucket: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Inputs lie on disk: an address in their place is one clear error."""
    monkeypatch.chdir(tmp_path)
    place(f"{bucket}/inputs/a.csv").write_bytes(b"")
    Path("a.csv").write_text("meter_id,start,value\n")
    assert main([part.format(f"{bucket}/inputs") for part in command]) == 1
    error = capsys.readouterr().err
    assert "found:    an address on object storage" in error
    assert "Traceback" not in error


def test_settings_name_the_store(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoint, region and keys may stand in meterbeam.yaml; a wrong entry is told without its value."""
    commit(new_lake(place(f"{bucket}/settings")), {("m1", 0): (1, 1)})
    file = tmp_path / "meterbeam.yaml"
    names = {
        "endpoint": "AWS_ENDPOINT_URL",
        "region": "AWS_REGION",
        "access_key_id": "AWS_ACCESS_KEY_ID",
        "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    }
    lines = [f"  {name}: {os.environ[variable]}" for name, variable in names.items()]
    file.write_text("\n".join([f"lake: {bucket}/settings", "s3:", *lines]) + "\n")
    for variable in names.values():
        monkeypatch.delenv(variable)
    query = ("query", "SELECT count(*) AS n FROM days", "--format", "csv")
    assert meterbeam("--settings", file, *query).stdout == "n\n1\n"
    file.write_text(f"s3:\n  secret_access_key: [{SECRET}]\n")
    refused = meterbeam("--settings", file, *query)
    assert refused.returncode == 1
    assert "s3.secret_access_key" in refused.stderr
    assert SECRET not in refused.stderr


def test_another_address_is_another_store(tmp_path: Path) -> None:
    """A process that is told another server asks that one, and not the one it asked first."""
    for number in range(2):
        with s3_server(tmp_path / str(number)) as address:
            lake = new_lake(place(f"{address}/lake"))
            commit(lake, {("m1", number): (5, 1)})
            assert held(Lake.open(place(f"{address}/lake"))) == {("m1", number): (5, 1)}
