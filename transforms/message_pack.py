"""Many Kafka messages as one element: what a message costs on its way is the element, not its bytes.

Written by ``MessagePack.java`` (``pipelines/cluster/beam_flink/src``) as columns, all numbers big-endian:
count of messages n and of topics (4 bytes each), each topic as length (4) and UTF-8; then n numbers of topics
(4 each), n partitions (4), n offsets (8), n lengths of values (4, -1 without a value), and the values.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

__all__ = ["Message", "unpack_messages"]

Message = tuple[str, int, int, bytes | None]
"""Topic, partition, offset and value of a Kafka message."""
_NUMBER = 4


def unpack_messages(pack: bytes) -> dict[str, list[Message]]:
    """Messages by topic, those of a topic in the order of the pack.

    Args:
        pack: As written; it comes from our own reader, so its layout is not in doubt.
    """
    count, topics = (int(number) for number in np.frombuffer(pack, ">i4", 2))
    at = 2 * _NUMBER
    names = []
    for _ in range(topics):
        size = int.from_bytes(pack[at : at + _NUMBER], "big")
        at += _NUMBER + size
        names.append(pack[at - size : at].decode())
    columns = []
    for kind in (">i4", ">i4", ">i8", ">i4"):
        columns.append(np.frombuffer(pack, kind, count, at))
        at += columns[-1].nbytes
    topic, partition, offset, length = columns
    ends = at + np.concatenate([[0], np.cumsum(np.maximum(length, 0), dtype=np.int64)])
    values: list[bytes | None] = [pack[low:high] for low, high in pairwise(ends.tolist())]
    for place in np.flatnonzero(length < 0).tolist():
        values[place] = None
    found: dict[str, list[Message]] = {}
    for number, name in enumerate(names):
        mine = np.flatnonzero(topic == number)
        places = zip(mine.tolist(), partition[mine].tolist(), offset[mine].tolist(), strict=True)
        found[name] = [(name, part, place_there, values[place]) for place, part, place_there in places]
    return found
