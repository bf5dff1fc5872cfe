"""Columnar Avro encoding against fastavro, value by value."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.town.avro_encode import (
    Padded,
    lay_out,
    optional,
    padded_texts,
    padded_varints,
    text,
    varint,
    varints,
)

LONG = st.integers(-(2**63), 2**63 - 1)


def one(schema: Any, value: object) -> bytes:
    """One datum by fastavro."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return out.getvalue()


@given(st.lists(LONG, max_size=30))
def test_varints_are_avro_longs(values: list[int]) -> None:
    """Each value has the bytes that fastavro gives it, whatever stands beside it."""
    packed, offsets = varints(np.array(values, np.int64))
    parts = [packed[a:b].tobytes() for a, b in pairwise(offsets.tolist())]
    assert parts == [one("long", value) for value in values]


@pytest.mark.parametrize("bits", range(64), ids=lambda bits: f"2^{bits}")
def test_varints_at_every_width(bits: int) -> None:
    """The values around each power of two have the right number of bytes."""
    edge = [v for v in (2**bits - 1, 2**bits, -(2**bits), -(2**bits) - 1) if -(2**63) <= v < 2**63]
    assert varints(np.array(edge, np.int64))[0].tobytes() == b"".join(one("long", v) for v in edge)


def test_varints_of_nothing() -> None:
    """No values have no bytes."""
    packed, offsets = varints(np.zeros(0, np.int64))
    assert packed.tobytes() == b""
    assert offsets.tolist() == [0]


@pytest.mark.parametrize("value", ["", "M000001", "Zähler–7", "x" * 300])
def test_text_is_an_avro_string(value: str) -> None:
    """Length in bytes, then UTF-8."""
    assert text(value) == one("string", value)


@pytest.mark.parametrize("value", [None, 0, -3, 10**12])
def test_optional_is_a_union_with_null(value: int | None) -> None:
    """The branch, then the value."""
    assert optional(value) == one(["null", "long"], value)


@given(st.lists(st.tuples(st.text(max_size=9), LONG), max_size=20))
def test_records_are_laid_out_one_after_the_other(rows: list[tuple[str, int]]) -> None:
    """Shared bytes, texts of differing length and numbers give the records of the schema."""
    schema = fastavro.parse_schema(
        {"type": "record", "name": "R", "fields": [
            {"name": "a", "type": "string"}, {"name": "b", "type": "int"}, {"name": "c", "type": "long"}]}
    )  # fmt: skip
    packed, offsets = lay_out(
        len(rows),
        [
            padded_texts([text(name) for name, _ in rows]),
            varint(900),
            padded_varints(np.array([n for _, n in rows], np.int64)),
        ],
    )
    expected = [one(schema, {"a": name, "b": 900, "c": number}) for name, number in rows]
    assert packed.tobytes() == b"".join(expected)
    assert np.diff(offsets).tolist() == [len(record) for record in expected]


def test_texts_by_row() -> None:
    """Records may share texts."""
    field = padded_texts([b"ab", b"c"], np.array([1, 0, 1]))
    packed, offsets = lay_out(3, [field])
    assert packed.tobytes() == b"cabc"
    assert offsets.tolist() == [0, 1, 3, 4]


def test_padding_never_counts() -> None:
    """Bytes behind a field's size are left out."""
    field = Padded(np.array([[1, 255], [2, 3]], np.uint8), np.array([1, 2]))
    assert lay_out(2, [field, b"\x09"])[0].tolist() == [1, 9, 2, 3, 9]
