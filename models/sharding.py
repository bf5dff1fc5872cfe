"""Shards: a stable hash of the meter id, the unit of parallelism, state and file."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

REMEMBERED = 1 << 17
"""Meters whose shard is remembered: a stream asks for the same ones in every bundle."""


@lru_cache(maxsize=REMEMBERED)
def shard_of_id(meter_id: str, shards: int) -> int:
    """Shard of one meter: blake2b of its UTF-8 bytes, 8 bytes, little-endian, modulo the count."""
    return int.from_bytes(blake2b(meter_id.encode(), digest_size=8).digest(), "little") % shards


def shard_of(meter_ids: pa.Array | pa.ChunkedArray, shards: int) -> NDArray[np.int32]:
    """Shard of each meter id; each distinct id is hashed once.

    Args:
        meter_ids: Text, plain or dictionary-encoded, shape (n,).
        shards: Shard count of the lake.

    Returns:
        Shape (n,), 0 … shards − 1.
    """
    if isinstance(meter_ids, pa.ChunkedArray):
        parts = [shard_of(chunk, shards) for chunk in meter_ids.chunks]
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)
    encoded = meter_ids if isinstance(meter_ids, pa.DictionaryArray) else meter_ids.dictionary_encode()
    of_id = np.array([shard_of_id(text, shards) for text in encoded.dictionary.to_pylist()], np.int32)
    result: NDArray[np.int32] = of_id[encoded.indices.to_numpy(zero_copy_only=False)]
    return result
