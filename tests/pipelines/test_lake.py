"""The lake: revisions, as-of, pinned reads, and what a commit refuses."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from models.sharding import shard_of_id
from pipelines.store.lake import Lake, latest
from pipelines.store.parts import shards_of_part, write_part
from pipelines.store.sinks import LakeSink
from pipelines.store.views import connect
from schemas.errors import MeterbeamError
from schemas.lake import DAYS, RUNS, LakeTable, lake_table, register
from tests.pipelines.lake_days import (
    FACTS,
    FIRST,
    Content,
    Key,
    commit,
    day_rows,
    dirty,
    dirty_rows,
    held,
    new_lake,
)

KEYS = st.tuples(st.sampled_from(["m1", "m2", "m3"]), st.integers(0, 3))
RUN = st.tuples(
    st.dictionaries(KEYS, st.one_of(st.none(), st.integers(-(1 << 40), 1 << 40)), max_size=6),
    st.sets(st.sampled_from(["m1", "m2"])),
)


def test_revisions_by_example(tmp_path: Path) -> None:
    """The greatest revision of a key is current; a withdrawn one is a row without content."""
    lake = new_lake(tmp_path)
    commit(lake, {("m1", 0): (5, 1), ("m2", 0): (6, 1)})
    commit(lake, {("m1", 0): (7, 2), ("m1", 1): (8, 1)})
    commit(lake, {("m2", 0): (None, 2)})
    assert held(lake) == {("m1", 0): (7, 2), ("m1", 1): (8, 1), ("m2", 0): (None, 2)}
    assert lake.table("days").num_rows == 5
    assert lake.current("days")["run_no"].to_pylist() == [2, 2, 3]


@settings(max_examples=8)
@given(st.lists(RUN, min_size=1, max_size=4))
def test_every_past_run_reads_as_it_was(runs: list[tuple[dict[Key, Content], set[str]]]) -> None:
    """By number, id and moment, each run is exactly what a dictionary that followed it says."""
    with TemporaryDirectory() as folder:
        lake = new_lake(Path(folder) / "lake")
        model: dict[Key, tuple[Content, int]] = {}
        history = []
        for content, marked in runs:
            written = {key: (value, model.get(key, (None, 0))[1] + 1) for key, value in content.items()}
            model |= written
            number = commit(lake, written, marked)
            history.append(
                (number, dict(model), sorted(marked), lake.finished, lake.runs()["run_id"][-1].as_py())
            )
        for number, expected, marked_then, finished, run_id in history:
            moments = (finished, finished + timedelta(microseconds=1))
            for as_of in (number, run_id, moments[0], *(moments[1:] if number == history[-1][0] else ())):
                past = Lake.open(lake.path, as_of=as_of)
                assert held(past) == expected
                assert dirty(past) == marked_then
                assert past.runs()["run_no"].to_pylist() == [n for n, *_ in history if n <= number]


def test_before_the_first_run_there_is_nothing_to_read(tmp_path: Path) -> None:
    """As-of needs a run; the message names those there are."""
    lake = new_lake(tmp_path)
    assert (lake.run_no, lake.table("days").num_rows, lake.runs().num_rows) == (0, 0, 0)
    with pytest.raises(MeterbeamError, match="there is no run yet"):
        lake.at(1)
    commit(lake, {("m1", 0): (5, 1)})
    for as_of in (lake.finished - timedelta(seconds=1), 0, 2, "no-such-id"):
        with pytest.raises(MeterbeamError, match="the runs are 1 "):
            lake.at(as_of)


def test_a_reader_keeps_what_it_opened(tmp_path: Path) -> None:
    """A run that commits meanwhile changes nothing for a reader until it refreshes."""
    lake = new_lake(tmp_path)
    commit(lake, {("m1", 0): (5, 1)}, ["m1"])
    reader = Lake.open(tmp_path)
    commit(lake, {("m1", 0): (6, 2)}, ["m2"])
    assert (held(reader), dirty(reader)) == ({("m1", 0): (5, 1)}, ["m1"])
    reader.refresh()
    assert (held(reader), dirty(reader)) == ({("m1", 0): (6, 2)}, ["m2"])


def test_current_by_meter_day_channel_and_column(tmp_path: Path) -> None:
    """Filters name meters, days (dates or epoch days), channel and columns; the greatest revision is
    looked for among all rows of the key.
    """
    lake = new_lake(tmp_path)
    commit(lake, {(meter, day): (day, 1) for meter in ("m1", "m2", "m3") for day in range(4)})
    commit(lake, {("m2", 2): (9, 2)})
    first, last = FIRST + timedelta(days=1), FIRST + timedelta(days=2)
    rows = lake.current("days", meters=["m2", "m9"], days=(first, last), columns=["values", "revision"])
    assert rows.schema.names == ["values", "revision"]
    assert rows.to_pylist() == [{"values": [1, 0], "revision": 1}, {"values": [9, 0], "revision": 2}]
    epoch = (first - date(1970, 1, 1)).days
    assert lake.current("days", meters=["m2"], days=(epoch, epoch + 1)).num_rows == 2
    assert lake.current("days", channel="export").num_rows == 0


def test_a_meter_opens_only_files_of_its_shard(tmp_path: Path) -> None:
    """A part whose meters lie in few shards says so in its name, and is skipped for other meters."""
    lake = new_lake(tmp_path, shards=64)
    meters = [f"m{number}" for number in range(12)]
    with lake.begin() as run:
        parts = [run.write(DAYS, meter, day_rows({(meter, 0): (1, 1)})) for meter in meters]
        parts.append(run.write(DAYS, "mixed", day_rows({("m0", 1): (1, 1), ("m1", 1): (1, 1)})))
        run.commit(parts, {}, FACTS)
    shards = [shard_of_id(meter, 64) for meter in meters]
    mixed = range(min(shards[:2]), max(shards[:2]) + 1)
    assert [shards_of_part(part.path) for part in parts] == [*(range(s, s + 1) for s in shards), mixed]
    for path in map(Path, lake.files("days")):
        if shards[3] not in (shards_of_part(path.name) or ()):
            path.unlink()
    assert lake.current("days", meters=["m3"]).num_rows == 1


def test_replaced_tables_that_stay_equal_are_not_written(tmp_path: Path) -> None:
    """Writing the same content again makes no new version; other content does, an empty one too."""
    lake = new_lake(tmp_path)
    commit(lake, {}, ["m1", "m2"])
    version = lake.versions["dirty_days"]
    commit(lake, {}, ["m2", "m1"])
    assert lake.versions["dirty_days"] == version
    commit(lake, {}, [])
    assert lake.versions["dirty_days"] > version
    assert dirty(lake) == []
    assert dirty(lake.at(2)) == ["m1", "m2"]


def test_what_a_commit_refuses_stays_invisible(tmp_path: Path) -> None:
    """A missing or shortened part, a second commit and unknown facts are refused; nothing is published."""
    lake = new_lake(tmp_path)
    commit(lake, {("m1", 0): (5, 1)})
    with lake.begin() as run:
        part = run.write(DAYS, "a", day_rows({("m1", 0): (6, 2)}))
        path = tmp_path / "tables" / "days" / part.path
        with pytest.raises(ValueError, match="mood"):
            run.commit([part], {}, {"mood": "good"})
        with pytest.raises(ValueError, match="run_no"):
            run.commit([part], {}, {"run_no": 7})
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        with pytest.raises(MeterbeamError, match="bytes that were written"):
            run.commit([part], {}, FACTS)
        path.unlink()
        with pytest.raises(MeterbeamError, match="no such file"):
            run.commit([part], {}, FACTS)
        assert held(Lake.open(tmp_path)) == {("m1", 0): (5, 1)}
        path.write_bytes(whole)
        run.commit([part], {}, FACTS)
        with pytest.raises(ValueError, match="committed already"):
            run.commit([part], {}, FACTS)
    assert held(lake) == {("m1", 0): (6, 2)}


def test_a_run_without_commit_leaves_nothing(tmp_path: Path) -> None:
    """An error inside a run ends it; the next one has a number of its own and starts clean."""
    lake = new_lake(tmp_path)

    def fails() -> None:
        with lake.begin() as run:
            run.write(DAYS, "a", day_rows({("m1", 0): (6, 1)}))
            raise RuntimeError("worker")

    with pytest.raises(RuntimeError, match="worker"):
        fails()
    assert Lake.open(tmp_path).run_no == 0
    number = commit(lake, {("m1", 0): (5, 1)})
    assert number == 2
    assert held(lake) == {("m1", 0): (5, 1)}
    assert not list((tmp_path / "tables" / "days").glob("part-000001-*"))


def test_finished_rises_even_when_the_clock_falls_back(tmp_path: Path) -> None:
    """Moments of runs rise strictly, so that as-of by moment is as-of by number."""
    lake = new_lake(tmp_path)
    commit(lake, {("m1", 0): (5, 1)})
    lake_rows = lake.runs().to_pylist()
    ahead = lake.finished + timedelta(days=400)
    with lake.begin() as run:
        lake.finished = ahead
        run.commit([], {}, FACTS)
    assert lake.finished == ahead + timedelta(microseconds=1)
    assert lake.at(ahead).run_no == lake_rows[-1]["run_no"]


def test_delta_readers_see_the_same_rows(tmp_path: Path) -> None:
    """Anything that reads Delta finds rows, statistics and the run as application transaction."""
    lake = new_lake(tmp_path)
    commit(lake, {("m1", 0): (5, 1), ("m2", 3): (6, 1)})
    table = DeltaTable(str(tmp_path / "tables" / "days"))
    assert table.to_pyarrow_table().sort_by("meter_id").equals(lake.table("days").sort_by("meter_id"))
    assert table.transaction_version("meterbeam") == lake.run_no
    actions = pa.table(table.get_add_actions(flatten=True)).sort_by("path").to_pylist()
    assert [(a["num_records"], a["min.meter_id"], a["max.meter_id"]) for a in actions] == [
        (1, "m1", "m1"),
        (1, "m2", "m2"),
    ]
    assert [a["max.local_day"] for a in actions] == [FIRST, FIRST + timedelta(days=3)]


def _depths(folder: Path) -> list[tuple[str, int | None]]:
    """The notes of a lake by its views, also where no file has the column yet."""
    with connect(Lake.open(folder)) as connection:
        return connection.execute("SELECT text, depth FROM stored.notes_rows ORDER BY text").fetchall()


def test_a_wider_schema_reads_old_rows_with_nulls(tmp_path: Path) -> None:
    """A column that a later version adds is null in older rows, in Delta, in the lake and in its views."""
    lake = new_lake(tmp_path)
    narrow = LakeTable("notes", "append", pa.schema([("text", pa.string())]))
    register(narrow)
    try:
        with lake.begin() as run:
            run.commit([run.write(narrow, "a", pa.table({"text": ["old"]}))], {}, FACTS)
        from schemas import lake as declared

        wide = LakeTable("notes", "append", pa.schema([("text", pa.string()), ("depth", pa.int64())]))
        declared.TABLES["notes"] = wide
        assert _depths(tmp_path) == [("old", None)]
        with lake.begin() as run:
            run.commit([run.write(wide, "a", pa.table({"text": ["new"], "depth": [3]}))], {}, FACTS)
        rows = lake.table("notes").sort_by("run_no").to_pylist()
        assert [(r["text"], r["depth"]) for r in rows] == [("old", None), ("new", 3)]
        assert lake.at(1).table("notes").to_pylist() == [rows[0]]
        names = [field.name for field in DeltaTable(str(tmp_path / "tables" / "notes")).schema().fields]
        assert sorted(names) == ["depth", "run_no", "text"]
        assert _depths(tmp_path) == [("new", 3), ("old", None)]
    finally:
        declared.TABLES.pop("notes", None)


def test_parts_are_small_and_typed(tmp_path: Path) -> None:
    """Parts are dictionary-encoded zstd with statistics; dictionary input is stored as text."""
    new_lake(tmp_path)
    rows = day_rows({("m1", 0): (5, 1)})
    rows = rows.set_column(0, "meter_id", rows["meter_id"].dictionary_encode())
    part = write_part(tmp_path, DAYS, 7, "x", rows)
    file = pq.ParquetFile(tmp_path / "tables" / "days" / part.path)
    assert file.schema_arrow.field("meter_id").type == pa.string()
    column = file.metadata.row_group(0).column(0)
    assert (column.compression, column.statistics.max) == ("ZSTD", "m1")
    assert "RLE_DICTIONARY" in column.encodings
    assert file.read(columns=["run_no"])["run_no"].to_pylist() == [7]
    assert part.rows == 1
    assert part.path == "part-000007-x.s{0:04d}-{0:04d}.parquet".format(shard_of_id("m1", 4))
    with pytest.raises(ValueError, match="letters"):
        write_part(tmp_path, DAYS, 7, "../x", rows)


def test_latest_without_revisions_keeps_the_rows(tmp_path: Path) -> None:
    """Rows of distinct keys come out by key, all of them; no rows are no rows."""
    rows = day_rows({("m2", 0): (1, 1), ("m1", 5): (2, 1), ("m1", 4): (3, 3)})
    shuffled = rows.take(pa.array([2, 0, 1]))
    assert latest(shuffled, DAYS).equals(rows)
    assert latest(rows, DAYS).equals(rows)
    assert latest(rows[:0], DAYS).num_rows == 0


@pytest.mark.parametrize(
    ("settings_", "complaint"),
    [
        pytest.param({"timezone": "Europe/Atlantis"}, "IANA", id="time zone"),
        pytest.param({"timezone": "../etc"}, "IANA", id="path as time zone"),
        pytest.param({"timezone": "UTC", "shards": 0}, "1 to 1024", id="no shards"),
        pytest.param({"timezone": "UTC", "shards": 1025}, "1 to 1024", id="too many shards"),
    ],
)
def test_create_refuses(tmp_path: Path, settings_: dict[str, object], complaint: str) -> None:
    """A lake that could not be used is not made."""
    with pytest.raises(MeterbeamError, match=complaint):
        Lake.create(tmp_path, **settings_)  # type: ignore[arg-type]
    assert not (tmp_path / "lake.json").exists()


def test_open_says_what_is_wrong(tmp_path: Path) -> None:
    """No lake, a broken file and a newer format are told apart."""
    with pytest.raises(MeterbeamError, match=r"no lake\.json"):
        Lake.open(tmp_path)
    (tmp_path / "lake.json").write_text("{")
    with pytest.raises(MeterbeamError, match="unreadable content"):
        Lake.open(tmp_path)
    lake = {"format": 2, "timezone": "UTC", "shards": 1, "history_from": None}
    (tmp_path / "lake.json").write_text(json.dumps(lake))
    with pytest.raises(MeterbeamError, match="format 2"):
        Lake.open(tmp_path)


def test_open_or_create(tmp_path: Path) -> None:
    """The first call makes the lake, later ones open it; another time zone is refused."""
    with pytest.raises(MeterbeamError, match="time zone of the new lake"):
        Lake.open_or_create(tmp_path / "x", timezone=None)
    history = date(2026, 1, 1)
    made = Lake.open_or_create(tmp_path / "x", timezone="Asia/Tokyo", shards=8, history_from=history)
    again = Lake.open_or_create(tmp_path / "x", timezone=None)
    assert made.config == again.config
    assert again.config.history_from == history
    with pytest.raises(MeterbeamError, match="Asia/Tokyo.*no run is complete in it yet: remove"):
        Lake.open_or_create(tmp_path / "x", timezone="UTC")
    with pytest.raises(MeterbeamError, match="a folder without one"):
        Lake.create(tmp_path / "x", timezone="UTC")


def test_tables_by_name() -> None:
    """An unknown table names the known ones; a name stands for one table."""
    assert lake_table("runs") is RUNS
    with pytest.raises(KeyError, match="change_queue"):
        lake_table("dayz")
    register(DAYS)
    with pytest.raises(ValueError, match="another table"):
        register(LakeTable("days", "append", pa.schema([])))


def test_the_lake_as_a_sink(tmp_path: Path) -> None:
    """Writer and commit of a delivery are those of a run."""
    lake = new_lake(tmp_path)
    with LakeSink(lake).open() as delivery:
        part = delivery.writer(DAYS, "a", day_rows({("m1", 0): (5, 1)}))
        again = delivery.writer(DAYS, "a", day_rows({("m1", 0): (5, 1)}))
        assert part == again
        delivery.commit([again], {"dirty_days": dirty_rows(["m1"])}, FACTS)
        assert delivery.run_no == 1
    assert held(Lake.open(tmp_path)) == {("m1", 0): (5, 1)}
    assert isinstance(lake.finished, datetime)


def test_rows_that_only_grow_are_read_once(tmp_path: Path) -> None:
    """What was read before needs no file any more; a past run sees its own rows, a new lake all of them."""
    lake = new_lake(tmp_path)
    for number in range(3):
        commit(lake, {("m1", number): (number, 1)})
        assert lake.appended("runs").sort_by("run_no").equals(lake.table("runs").sort_by("run_no"))
    assert lake.at(2).appended("runs").equals(lake.at(2).table("runs"))
    assert lake.appended("runs").num_rows == 3
    for path in lake.files("runs"):
        Path(path).unlink()
    assert lake.appended("runs")["run_no"].to_pylist() == [1, 2, 3]
