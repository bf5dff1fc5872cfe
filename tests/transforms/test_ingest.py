"""Ingest of one file: what is good is stored once, what is bad is kept with its reason, and all adds up."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from models.sharding import shard_of_id
from schemas.arrow import DEAD_LETTERS
from schemas.errors import MeterbeamError
from schemas.mapping import FieldMapping
from schemas.records import Kind, avro_schema
from tests.transforms.avro_files import (
    CODECS,
    DAY,
    MICROS,
    block_record,
    container,
    reading_record,
    readings_of,
    readings_written,
)
from transforms import dead_letters, ingest
from transforms.avro_container import Block, FramingError, read_header, walk, write_varint
from transforms.ingest import IngestReceipt, OnError, ingest_split, plan_splits
from transforms.raw_codec import raw_shards, read_raw_shards

SHARDS = 8
SCHEMA = avro_schema("IntervalBlock")
RECORDS = [
    block_record(f"m{n % 9}", start=(DAY + 86_400 * n) * MICROS, values=[n, -n, 2 * n]) for n in range(90)
]


def run(
    path: Path, raw: Path, on_error: OnError = "stop", target: int = 1 << 20, **options: Any
) -> list[IngestReceipt]:
    """Plan and ingest one file."""
    splits = plan_splits([path], target, mapping=options.get("mapping"))
    return [
        ingest_split(split, shards=SHARDS, raw_dir=raw, timezone="UTC", on_error=on_error, **options)
        for split in splits
    ]


def stored(receipts: list[IngestReceipt], raw: Path, kind: Kind = Kind.INTERVALS) -> pa.Table:
    """All rows of the raw files of some receipts; each file's figures and shards are checked on the way."""
    tables: list[pa.Table] = []
    for file in [file for receipt in receipts for file in receipt.files]:
        path = raw / kind / file.name
        parts = {shard: read_raw_shards([path], kind, [shard])[0] for shard in raw_shards(path, kind)}
        assert path.stat().st_size == file.size
        assert sum(part.num_rows for part in parts.values()) == file.stats.rows
        if kind is Kind.INTERVALS:
            for shard, part in parts.items():
                assert {shard_of_id(meter, SHARDS) for meter in part["meter_id"].to_pylist()} == {shard}
        tables += parts.values()
    return pa.concat_tables(tables)


def letters(receipts: list[IngestReceipt]) -> list[dict[str, Any]]:
    """Dead letters of some receipts."""
    for receipt in receipts:
        assert receipt.dead_letters.schema == DEAD_LETTERS
    rows: list[dict[str, Any]] = pa.concat_tables([r.dead_letters for r in receipts]).to_pylist()
    return rows


def written(tmp_path: Path, data: bytes, name: str = "meters.avro") -> Path:
    """A file with these bytes."""
    path = tmp_path / name
    path.write_bytes(data)
    return path


def blocks_of(data: bytes) -> list[Block]:
    """The blocks of a sound file."""
    return [item for item in walk(data, read_header(data, "f")) if isinstance(item, Block)]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("target", [1, 1500, 1 << 20], ids=["a-split-a-block", "some", "one"])
def test_every_reading_is_stored_once(tmp_path: Path, codec: str, target: int) -> None:
    """For any codec and any number of splits, the raw zone holds what the file holds."""
    data = container(SCHEMA, RECORDS, codec, 700)
    receipts = run(written(tmp_path, data), tmp_path / "raw", target=target)
    assert len(receipts) == (len(blocks_of(data)) if target == 1 else len({r.split.index for r in receipts}))
    assert readings_of(stored(receipts, tmp_path / "raw")) == readings_written(RECORDS)
    assert sum(r.readings for r in receipts) == 270
    assert [r.split.splits for r in receipts] == [len(receipts)] * len(receipts)
    assert letters(receipts) == []


def test_single_readings_are_stored_too(tmp_path: Path) -> None:
    """A file of single readings gives the same readings, in fewer rows."""
    records = [reading_record(f"m{n}", slot, slot) for n in range(10) for slot in range(96)]
    path = written(tmp_path, container(avro_schema("MeterReading"), records, "snappy", 4000))
    (receipt,) = run(path, tmp_path / "raw")
    table = stored([receipt], tmp_path / "raw")
    assert readings_of(table) == readings_written(records)
    assert (receipt.rows, receipt.readings, table.num_rows) == (960, 960, 10)
    assert receipt.files[0].stats.latest_end == DAY + 86_400


def test_ingesting_again_changes_nothing(tmp_path: Path) -> None:
    """Names and bytes depend on the content, not on the file's name or the moment."""
    data = container(SCHEMA, RECORDS, "deflate")
    first = run(written(tmp_path, data), tmp_path / "raw", target=900)
    before = {path: path.read_bytes() for path in (tmp_path / "raw").rglob("*") if path.is_file()}
    second = run(written(tmp_path, data, "copy.avro"), tmp_path / "raw", target=900)
    after = {path: path.read_bytes() for path in (tmp_path / "raw").rglob("*") if path.is_file()}
    assert before == after
    assert [r.files for r in first] == [r.files for r in second]
    assert {r.split.source_hash for r in first} == {hashlib.sha256(data).hexdigest()}


def test_files_read_before_do_not_matter(tmp_path: Path) -> None:
    """A file gives the same bytes in a fresh process and after a file of another layout, same schema."""
    runs = [reading_record(f"m{n}", slot, slot) for n in range(30) for slot in range(20)]
    apart = [record | {"meter_id": "x" * (n % 7)} for n, record in enumerate(runs)]
    schema = avro_schema("MeterReading")
    first = written(tmp_path, container(schema, runs, block=2000), "runs.avro")
    second = written(tmp_path, container(schema, apart, block=2000), "apart.avro")
    before = run(first, tmp_path / "a")
    run(second, tmp_path / "b")
    after = run(first, tmp_path / "c")
    names = [file.name for receipt in before for file in receipt.files]
    assert names == [file.name for receipt in after for file in receipt.files]
    for name in names:
        path = Path("intervals") / name
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "c" / path).read_bytes()


def test_large_files_are_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: a raw file is closed when it holds enough readings."""
    monkeypatch.setattr(ingest, "FILE_READINGS", 100)
    monkeypatch.setattr(ingest, "STRETCH_BYTES", 500)
    receipts = run(written(tmp_path, container(SCHEMA, RECORDS)), tmp_path / "raw")
    assert len(receipts[0].files) > 2
    assert readings_of(stored(receipts, tmp_path / "raw")) == readings_written(RECORDS)


BAD_FILES = [
    pytest.param(b"", "an empty file", 0, id="empty"),
    pytest.param(b"a,b\n1,2\n", "b'a,b", 0, id="csv"),
    pytest.param(container(SCHEMA, RECORDS)[:-40], "bytes to the end of the file", None, id="truncated"),
    pytest.param(container(SCHEMA, RECORDS)[:200], "165 are left", 4, id="truncated-header"),
    pytest.param(
        container(SCHEMA | {"name": "Nothing"}, RECORDS), "record 'meterbeam.v1.Nothing'", 4, id="unknown"
    ),
    pytest.param(container(SCHEMA, RECORDS, "xz"), "codec 'xz'", 4, id="codec"),
]


@pytest.mark.parametrize(("data", "found", "offset"), BAD_FILES)
def test_a_bad_file_stops_the_run(tmp_path: Path, data: bytes, found: str, offset: int | None) -> None:
    """Without dead letters a file that cannot be used is an error with file, byte, found and expected."""
    path = written(tmp_path, data)
    with pytest.raises(FramingError) as caught:
        run(path, tmp_path / "raw")
    assert found in str(caught.value)
    assert str(caught.value).startswith(f"{path}, byte {'' if offset is None else offset}")
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(("data", "found", "offset"), BAD_FILES)
def test_a_bad_file_is_a_dead_letter_whole(
    tmp_path: Path, data: bytes, found: str, offset: int | None
) -> None:
    """With dead letters the whole file is kept and none of its rows is stored."""
    path = written(tmp_path, data)
    (receipt,) = run(path, tmp_path / "raw", "dead-letter")
    (letter,) = letters([receipt])
    assert (letter["bytes"], letter["kind"], letter["source"]) == (data, "file", str(path))
    assert found in letter["reason"]
    assert "expected" in letter["reason"]
    assert offset is None or letter["offset"] == offset
    assert (receipt.readings, receipt.files, receipt.record) == (0, (), None)


def test_a_truncated_file_says_so(tmp_path: Path) -> None:
    """Follow mode can tell a file that may still grow, and its announced rows are counted."""
    data = container(SCHEMA, RECORDS)
    path = written(tmp_path, data[: blocks_of(data)[3].end - 5])
    (split,) = plan_splits([path], 100)
    assert split.truncated
    (receipt,) = run(path, tmp_path / "raw", "dead-letter")
    assert receipt.undecodable_rows == sum(block.rows for block in blocks_of(data)[:4])


def test_a_large_bad_file_is_kept_beside_the_raw_zone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused file too large for a table is copied, and the letter says where."""
    monkeypatch.setattr(dead_letters, "MAX_INLINE", 10)
    path = written(tmp_path, b"no avro at all")
    (letter,) = letters(run(path, tmp_path / "raw", "dead-letter"))
    name = f"{hashlib.sha256(b'no avro at all').hexdigest()}.avro"
    assert letter["bytes"] == b""
    assert f"refused/{name}" in letter["reason"]
    assert (tmp_path / "raw" / "refused" / name).read_bytes() == b"no avro at all"


def _flip_sync(data: bytes, block: Block) -> bytes:
    return data[: block.end - 1] + bytes([data[block.end - 1] ^ 1]) + data[block.end :]


def _flip_payload(data: bytes, block: Block) -> bytes:
    at = block.start + block.size // 2
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def _more_rows(data: bytes, block: Block) -> bytes:
    return (
        data[: block.offset] + write_varint(block.rows + 1) + write_varint(block.size) + data[block.start :]
    )


def _fewer_rows(data: bytes, block: Block) -> bytes:
    return (
        data[: block.offset] + write_varint(block.rows - 1) + write_varint(block.size) + data[block.start :]
    )


DAMAGE = [
    pytest.param("null", _flip_sync, 0, "sync marker", id="sync"),
    pytest.param("snappy", _flip_payload, 0, "compressed by snappy", id="snappy-payload"),
    pytest.param("null", _more_rows, 1, "announce", id="more-rows"),
    pytest.param("null", _fewer_rows, -1, "announce", id="fewer-rows"),
    pytest.param("zstandard", _more_rows, 1, "announce", id="more-rows-compressed"),
]


@pytest.mark.parametrize(("codec", "damage", "extra", "message"), DAMAGE)
@pytest.mark.parametrize("name", ["IntervalBlock", "MeterReading"])
def test_a_corrupt_block_is_lost_alone(
    tmp_path: Path, codec: str, damage: Any, extra: int, message: str, name: str
) -> None:
    """With dead letters one damaged block is kept, its announced rows reported; all others are stored."""
    records = RECORDS if name == "IntervalBlock" else [reading_record("m1", n, n * n) for n in range(90)]
    data = container(avro_schema(name), records, codec)
    blocks = blocks_of(data)
    bad = blocks[2]
    path = written(tmp_path, damage(data, bad))
    with pytest.raises(FramingError, match=message) as caught:
        run(path, tmp_path / "none")
    assert caught.value.offset == bad.offset
    receipts = run(path, tmp_path / "raw", "dead-letter", target=900)
    (letter,) = letters(receipts)
    changed = path.read_bytes()
    assert (letter["offset"], letter["row"], letter["kind"]) == (bad.offset, None, "block")
    assert letter["bytes"] == changed[bad.offset : bad.offset + len(letter["bytes"])]
    first = sum(block.rows for block in blocks[:2])
    kept = records[:first] + records[first + bad.rows :]
    assert readings_of(stored(receipts, tmp_path / "raw")) == readings_written(kept)
    assert sum(r.undecodable_rows for r in receipts) == bad.rows + extra
    assert sum(r.readings for r in receipts) == sum(readings_written(kept).values())


def test_bad_rows_are_dead_letters_as_json_and_the_rest_is_stored(tmp_path: Path) -> None:
    """Even without dead-letter mode a bad row does not stop the run; it keeps every field it came with."""
    schema = avro_schema("IntervalBlock")
    schema["fields"].append({"name": "note", "type": "string"})
    records = [record | {"note": f"n{n}"} for n, record in enumerate(RECORDS)]
    records[5]["unit"] = "furlong"
    records[70] |= {"channel": "improt", "values": []}
    data = container(schema, records, "snappy")
    receipts = run(written(tmp_path, data), tmp_path / "raw")
    kept = [record for n, record in enumerate(records) if n not in (5, 70)]
    assert readings_of(stored(receipts, tmp_path / "raw")) == readings_written(kept)
    first, second = letters(receipts)
    ends = [sum(block.rows for block in blocks_of(data)[: n + 1]) for n in range(len(blocks_of(data)))]
    number = next(n for n, end in enumerate(ends) if end > 5)
    block = blocks_of(data)[number]
    assert (first["offset"], first["row"]) == (block.offset, 5 - (ends[number] - block.rows))
    assert first["reason"].startswith("unknown unit 'furlong'")
    assert json.loads(first["bytes"]) == records[5]
    assert json.loads(second["bytes"]) == records[70]
    assert (first["rows"], first["readings"], second["readings"], second["kind"]) == (1, 3, 0, "intervals")
    (receipt,) = receipts
    assert (receipt.rows, receipt.readings, receipt.dead_rows, receipt.dead_readings) == (90, 267, 2, 3)
    assert receipt.readings == receipt.files[0].stats.readings + receipt.dead_readings


def test_a_block_without_a_good_row_is_one_dead_letter(tmp_path: Path) -> None:
    """Its bytes are a container file of their own, with the same rows."""
    records = [reading_record("m1", n, n, unit="stone" if n < 500 else "ell") for n in range(1000)]
    data = container(avro_schema("MeterReading"), records, "deflate", 20_000)
    receipts = run(written(tmp_path, data), tmp_path / "raw")
    found = letters(receipts)
    assert len(found) == len(blocks_of(data))
    again: list[Any] = [record for letter in found for record in fastavro.reader(io.BytesIO(letter["bytes"]))]
    assert [record["value"] for record in again] == list(range(1000))
    assert "unknown unit 'stone'" in found[0]["reason"]
    assert (sum(r.dead_readings for r in receipts), [r.files for r in receipts]) == (
        1000,
        [()] * len(receipts),
    )


def test_missing_values_are_no_readings(tmp_path: Path) -> None:
    """Nulls are stored and not counted."""
    schema = avro_schema("IntervalBlock")
    schema["fields"][4]["type"]["items"] = ["null", "long"]
    path = written(
        tmp_path, container(schema, [block_record(values=[1, None, 3]), block_record(values=[None])])
    )
    (receipt,) = run(path, tmp_path / "raw")
    assert (receipt.readings, receipt.files[0].stats.readings) == (2, 2)
    assert Counter(stored([receipt], tmp_path / "raw")["values_int"].to_pylist()[0]) == Counter([1, None, 3])


def test_kinds_without_a_shard_of_their_own(tmp_path: Path) -> None:
    """Events lie in the shard of their meter, service points in shard 0."""
    order = {"received_at": None, "sequence": None, "source": None}
    events = [
        {"meter_id": f"m{n}", "event_type": "x", "occurred_at": DAY * MICROS, "value": None, "detail": None}
        | order
        for n in range(20)
    ]
    (receipt,) = run(written(tmp_path, container(avro_schema("DeviceEvent"), events)), tmp_path / "raw")
    path = tmp_path / "raw" / "events" / receipt.files[0].name
    assert raw_shards(path, Kind.EVENTS) == sorted({shard_of_id(f"m{n}", SHARDS) for n in range(20)})
    weather = [{"station": f"w{n}", "start": DAY * MICROS, "interval_s": 900, "temperature_c": 1.0} | order
               for n in range(20)]  # fmt: skip
    (receipt,) = run(written(tmp_path, container(avro_schema("Weather"), weather)), tmp_path / "raw")
    assert raw_shards(tmp_path / "raw" / "weather" / receipt.files[0].name, Kind.WEATHER) == [0]
    assert (receipt.rows, receipt.readings, receipt.record) == (20, 0, "Weather")


def test_foreign_files_need_their_mapping(tmp_path: Path) -> None:
    """The same file is refused without a mapping and read with one."""
    schema = SCHEMA | {"name": "Load", "namespace": "acme"}
    path = written(tmp_path, container(schema, RECORDS))
    with pytest.raises(
        FramingError, match=r"record 'acme\.Load', expected one of: meterbeam\.v1\.IntervalBlock"
    ):
        run(path, tmp_path / "raw")
    mapping = FieldMapping.model_validate({"records": {"acme.Load": {"as": "IntervalBlock"}}})
    receipts = run(path, tmp_path / "raw", mapping=mapping)
    assert readings_of(stored(receipts, tmp_path / "raw")) == readings_written(RECORDS)


def test_a_file_that_grew_since_it_was_planned_is_an_error(tmp_path: Path) -> None:
    """A file must be finished before it is planned."""
    data = container(SCHEMA, RECORDS)
    path = written(tmp_path, data)
    (split,) = plan_splits([path], 1 << 20)
    path.write_bytes(data + data[-50:])
    with pytest.raises(MeterbeamError, match=f"expected {len(data)} bytes, as planned"):
        ingest_split(split, shards=SHARDS, raw_dir=tmp_path / "raw", timezone="UTC")


def test_files_without_rows(tmp_path: Path) -> None:
    """A header alone is a sound file of nothing."""
    (receipt,) = run(written(tmp_path, container(SCHEMA, [])), tmp_path / "raw")
    assert (receipt.rows, receipt.files, receipt.record) == (0, (), "IntervalBlock")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A path that cannot be read is an input error that names it."""
    with pytest.raises(MeterbeamError, match=r"nowhere\.avro: found No such file"):
        plan_splits([tmp_path / "nowhere.avro"], 100)


def test_plan_covers_every_file_in_order(tmp_path: Path) -> None:
    """Splits of several files come in the order given, cover their blocks, and announce their rows."""
    paths = [written(tmp_path, container(SCHEMA, RECORDS[:n], block=300), f"{n}.avro") for n in (30, 60, 90)]
    splits = plan_splits(paths, 1000)
    assert list(dict.fromkeys(split.path for split in splits)) == [str(path) for path in paths]
    for path, count in zip(paths, (30, 60, 90), strict=True):
        mine = [split for split in splits if split.path == str(path)]
        assert sum(split.rows for split in mine) == count
        assert [split.index for split in mine] == list(range(len(mine)))
        assert [s.end for s in mine[:-1]] == [s.start for s in mine[1:]]
        assert (mine[0].start, mine[-1].end) == (
            read_header(path.read_bytes(), "f").size,
            path.stat().st_size,
        )


def test_a_file_whose_order_tells_is_read_whole(tmp_path: Path) -> None:
    """However small the blocks and splits that it would be cut into: no row of the repeated hour is lost."""
    kind = {"type": "long", "logicalType": "local-timestamp-micros"}
    fields = [{"name": n, "type": t} for n, t in (("device", "string"), ("at", kind), ("wh", "long"))]
    schema = {"type": "record", "name": "acme.Local", "fields": fields}
    walls = [datetime(2026, 10, 25, hour, minute)  # noqa: DTZ001 a clock on a wall
             for hour in (1, 2, 2, 3) for minute in (0, 15, 30, 45)]  # fmt: skip
    rows = [{"device": f"m{m}", "at": at, "wh": n} for m in range(40) for n, at in enumerate(walls)]
    out = io.BytesIO()
    fastavro.writer(out, fastavro.parse_schema(schema), rows, sync_interval=100)
    path = tmp_path / "local.avro"
    path.write_bytes(out.getvalue())
    own = {"as": "MeterReading", "fields": {"meter_id": "device", "start": "at", "value": "wh"},
           "constants": {"interval_s": 900, "unit": "Wh", "channel": "import"},
           "zones": {"start": "Europe/Zurich"}}  # fmt: skip
    (read,) = run(path, tmp_path / "raw", target=500, mapping=FieldMapping.model_validate(
        {"records": {"acme.Local": {**own, "in_order": True}}}))  # fmt: skip
    table = stored([read], tmp_path / "raw")
    start = int(datetime(2026, 10, 24, 23, tzinfo=UTC).timestamp())
    found = [(row["meter_id"], row["start"] + 900 * n, value)
             for row in table.to_pylist() for n, value in enumerate(row["values_int"])]  # fmt: skip
    assert sorted(found) == sorted((f"m{m}", start + 900 * n, n) for m in range(40) for n in range(16))
    unordered = FieldMapping.model_validate({"records": {"acme.Local": own}})
    parts = run(path, tmp_path / "other", target=500, mapping=unordered)
    assert len(parts) > 1
    assert sum(part.dead_rows for part in parts) == 40 * 8
