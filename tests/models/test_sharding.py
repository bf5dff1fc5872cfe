"""Shards: the same on every machine, whatever the encoding."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sharding import shard_of, shard_of_id

IDS = st.lists(st.text(max_size=8), max_size=30)


@pytest.mark.parametrize(
    ("meter", "shards", "expected"),
    [
        pytest.param("", 64, 36, id="empty"),
        pytest.param("meter-000001", 64, 8, id="plain"),
        pytest.param("Zähler 7", 1024, 289, id="utf8"),
        pytest.param("anything", 1, 0, id="one shard"),
    ],
)
def test_golden(meter: str, shards: int, expected: int) -> None:
    """Files on disk depend on these numbers: they may never change."""
    assert shard_of_id(meter, shards) == expected


def test_golden_values_are_blake2b() -> None:
    """The shard is blake2b of 8 bytes, little-endian, modulo the count."""
    digest = blake2b(b"CH0001", digest_size=8).digest()
    assert shard_of_id("CH0001", 64) == sum(byte << 8 * k for k, byte in enumerate(digest)) % 64


@given(IDS, st.integers(1, 1024))
def test_array_equals_one_by_one(ids: list[str], shards: int) -> None:
    """Plain, dictionary-encoded and chunked arrays give what each id gives alone."""
    expected = [shard_of_id(text, shards) for text in ids]
    plain = pa.array(ids, pa.string())
    forms = [
        plain,
        plain.dictionary_encode(),
        pa.chunked_array([plain, plain.slice(0, 0)]),
        pa.chunked_array([plain.dictionary_encode()]),
    ]
    for form in forms:
        found = shard_of(form, shards)
        assert found.dtype == np.int32
        assert found.tolist() == expected
