"""Framing of container files: every block found, every damage named where it is."""

from __future__ import annotations

import io
import pickle
import zlib

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import avro_schema
from tests.transforms.avro_files import CODECS, block_record, container
from transforms.avro_container import (
    Block,
    Damage,
    FramingError,
    decompress,
    read_header,
    split_ranges,
    walk,
    write_varint,
)

SCHEMA = avro_schema("IntervalBlock")
RECORDS = [block_record(f"m{n}", values=[n, 1000 - n]) for n in range(60)]


def blocks_of(data: bytes) -> list[Block]:
    """All blocks of a sound file."""
    items = list(walk(data, read_header(data, "f")))
    assert all(isinstance(item, Block) for item in items)
    return [item for item in items if isinstance(item, Block)]


@pytest.mark.parametrize("codec", CODECS)
def test_blocks_are_those_fastavro_sees(codec: str) -> None:
    """Offsets, sizes and row counts agree with fastavro's block reader, for every codec."""
    data = container(SCHEMA, RECORDS, codec)
    found = [(block.offset, block.end - block.offset, block.rows) for block in blocks_of(data)]
    expected = [(b.offset, b.size, b.num_records) for b in fastavro.block_reader(io.BytesIO(data))]
    assert found == expected
    assert len(found) > 5


@pytest.mark.parametrize("codec", CODECS)
def test_payloads_decompress_to_the_plain_records(codec: str) -> None:
    """Decompressed blocks are the bytes of the same records written without a codec."""
    data = container(SCHEMA, RECORDS, codec)
    plain = b"".join(
        bytes(decompress(data[b.start : b.start + b.size], codec, "f", b.offset)) for b in blocks_of(data)
    )
    raw = container(SCHEMA, RECORDS)
    assert plain == b"".join(raw[b.start : b.start + b.size] for b in blocks_of(raw))


@pytest.mark.parametrize(
    ("data", "found", "offset"),
    [
        pytest.param(b"", "an empty file", 0, id="empty"),
        pytest.param(b"PAR1 something else", "PAR1", 0, id="parquet"),
        pytest.param(b"Obj\x01", "does not end", 4, id="magic-only"),
        pytest.param(b"Obj\x01\x02\x09xx", "-5 bytes", 4, id="negative-length"),
    ],
)
def test_what_is_no_container_is_named(data: bytes, found: str, offset: int) -> None:
    """A file of another kind is refused at its first wrong byte."""
    with pytest.raises(FramingError, match=found) as caught:
        read_header(data, "meter.avro")
    assert caught.value.offset == offset
    assert f"meter.avro, byte {offset}" in str(caught.value)


def test_header_cut_anywhere_is_truncated() -> None:
    """A header that stops early is a truncated file, wherever it stops."""
    data = container(SCHEMA, RECORDS)
    for size in range(5, read_header(data, "f").size):
        with pytest.raises(FramingError) as caught:
            read_header(data[:size], "f")
        assert caught.value.truncated, size


def test_unknown_codec_and_missing_schema() -> None:
    """A codec outside the contract is refused by name, and a header without a schema too."""
    data = container(SCHEMA, RECORDS, "bzip2")
    with pytest.raises(FramingError, match="'bzip2', expected one of: null, deflate, snappy, zstandard"):
        read_header(data, "f")
    with pytest.raises(FramingError, match=r"no avro\.schema"):
        read_header(b"Obj\x01\x00" + bytes(16), "f")


def test_metadata_with_negative_block_count() -> None:
    """A metadata map written with its size in bytes is read the same."""
    data = container(SCHEMA, RECORDS)
    header = read_header(data, "f")
    entries = [(b"avro.codec", b"null"), (b"avro.schema", header.schema.encode())]
    body = b"".join(write_varint(len(part)) + part for entry in entries for part in entry)
    other = b"Obj\x01" + write_varint(-2) + write_varint(len(body)) + body + b"\x00" + header.sync
    assert read_header(other, "f") == type(header)(header.schema, "null", header.sync, len(other))


@given(st.integers(-(2**63), 2**63 - 1))
def test_varint_is_avros_zigzag(value: int) -> None:
    """The written form is the one fastavro writes."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", value)
    assert write_varint(value) == out.getvalue()


def test_flipped_sync_marker_loses_one_block() -> None:
    """A damaged marker costs its own block; the walk says where it is, and what stands there."""
    data = bytearray(container(SCHEMA, RECORDS))
    blocks = blocks_of(bytes(data))
    data[blocks[2].end - 3] ^= 0x40
    items = list(walk(bytes(data), read_header(bytes(data), "f")))
    (damage,) = [item for item in items if isinstance(item, Damage)]
    assert (damage.offset, damage.end, damage.rows) == (blocks[2].offset, blocks[2].end, blocks[2].rows)
    assert [item for item in items if isinstance(item, Block)] == blocks[:2] + blocks[3:]
    assert f"byte {blocks[2].end - 16}" in damage.found
    assert "the header's sync marker" in damage.expected
    assert not damage.truncated


@pytest.mark.parametrize("size", [0, 3, 10_000, -7], ids=["zero", "short", "beyond-the-end", "negative"])
def test_wrong_block_size_loses_one_block(size: int) -> None:
    """A wrong size in a block's head is caught by the marker, and the walk resumes behind it."""
    data = container(SCHEMA, RECORDS)
    blocks = blocks_of(data)
    bad = blocks[3]
    head = write_varint(bad.rows) + write_varint(size)
    changed = data[: bad.offset] + head + data[bad.start :]
    items = list(walk(changed, read_header(changed, "f")))
    (damage,) = [item for item in items if isinstance(item, Damage)]
    moved = len(changed) - len(data)
    assert (damage.offset, damage.end) == (bad.offset, bad.end + moved)
    assert [item.rows for item in items if isinstance(item, Block)] == [
        b.rows for b in blocks[:3] + blocks[4:]
    ]
    assert not damage.truncated


def test_a_cut_file_is_truncated_unless_cut_between_blocks() -> None:
    """Every cut inside a block shows; a cut between blocks leaves a valid, shorter file."""
    data = container(SCHEMA, RECORDS)
    header = read_header(data, "f")
    blocks = blocks_of(data)
    ends = {header.size} | {block.end for block in blocks}
    for size in range(header.size, len(data)):
        items = list(walk(data[:size], header))
        whole = [block for block in blocks if block.end <= size]
        if size in ends:
            assert items == whole
        else:
            last = items[-1]
            assert items[:-1] == whole
            assert isinstance(last, Damage)
            assert last.truncated
            assert last.end == size


def test_no_marker_at_all_is_truncated_from_the_start() -> None:
    """A file whose header carries another marker has no sound block."""
    data = bytearray(container(SCHEMA, RECORDS))
    size = read_header(bytes(data), "f").size
    data[size - 1] ^= 1
    (damage,) = walk(bytes(data), read_header(bytes(data), "f"))
    assert isinstance(damage, Damage)
    assert (damage.offset, damage.end, damage.truncated) == (size, len(data), True)


@given(st.integers(1, 5000), st.sets(st.integers(0, 20)))
def test_splits_cover_each_block_once(target: int, damaged: set[int]) -> None:
    """Ranges join without a gap, and walking them one by one gives what walking the file gives."""
    data = bytearray(container(SCHEMA, RECORDS))
    for number, block in enumerate(blocks_of(bytes(data))):
        if number in damaged:
            data[block.end - 1] ^= 0xFF
    whole = bytes(data)
    header = read_header(whole, "f")
    items = list(walk(whole, header))
    ranges = split_ranges(items, target)
    assert [ranges[0][0], *(end for _, end in ranges)] == [*(start for start, _ in ranges), len(whole)]
    assert [item for start, end in ranges for item in walk(whole, header, start, end)] == items


def test_split_of_nothing_and_wrong_target() -> None:
    """A file without blocks has no ranges; a target below one is refused."""
    assert split_ranges([], 100) == []
    with pytest.raises(ValueError, match="target_bytes must be >= 1, got 0"):
        split_ranges([], 0)


@pytest.mark.parametrize("codec", ["deflate", "snappy", "zstandard"])
def test_damaged_payload_is_an_error(codec: str) -> None:
    """Cutting a compressed block never gives rows."""
    data = container(SCHEMA, RECORDS, codec)
    block = blocks_of(data)[1]
    payload = data[block.start : block.start + block.size]
    for cut in (payload[:-6], payload[: len(payload) // 2], b""):
        with pytest.raises(FramingError, match=f"compressed by {codec}") as caught:
            decompress(cut, codec, "f", block.offset)
        assert caught.value.offset == block.offset


def test_every_flipped_bit_of_a_snappy_block_shows() -> None:
    """The stored CRC32 is compared: no single flipped bit passes."""
    data = container(SCHEMA, RECORDS[:4], "snappy")
    (block,) = blocks_of(data)
    payload = data[block.start : block.start + block.size]
    for bit in range(8 * len(payload)):
        broken = bytearray(payload)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FramingError):
            decompress(bytes(broken), "snappy", "f", 0)


def test_snappy_block_that_announces_too_much_is_refused_before_memory_is_taken() -> None:
    """An announced size that snappy cannot reach is an error, not an allocation."""
    with pytest.raises(FramingError, match="4294967295 bytes announced"):
        decompress(b"\xff\xff\xff\xff\x0f" + bytes(20), "snappy", "f", 0)


def test_deflate_with_an_adler_tail_is_read_and_with_more_is_not() -> None:
    """Some writers leave zlib's checksum behind the stream; anything longer is damage."""
    stream = zlib.compress(b"records")[2:]
    assert decompress(stream, "deflate", "f", 0) == b"records"
    with pytest.raises(FramingError, match="left over"):
        decompress(stream + b"x", "deflate", "f", 0)


def test_a_framing_error_survives_pickling() -> None:
    """Workers hand it to the parent whole."""
    error = FramingError.at("f", 12, "this", "that", truncated=True)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.path, copy.offset, copy.truncated) == (
        "f, byte 12: found this, expected that",
        "f",
        12,
        True,
    )
