"""Packs of messages as ``MessagePack.java`` writes them, made in Python for tests without a cluster."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from transforms.message_pack import Message

__all__ = ["packed_messages"]


def packed_messages(messages: Sequence[Message]) -> bytes:
    """Messages as one pack."""
    topics = list(dict.fromkeys(topic for topic, *_ in messages))
    out = [struct.pack(">ii", len(messages), len(topics))]
    for topic in topics:
        name = topic.encode()
        out.append(struct.pack(">i", len(name)) + name)
    out += [struct.pack(">i", topics.index(topic)) for topic, *_ in messages]
    out += [struct.pack(">i", partition) for _, partition, *_ in messages]
    out += [struct.pack(">q", offset) for _, _, offset, _ in messages]
    out += [struct.pack(">i", -1 if value is None else len(value)) for *_, value in messages]
    return b"".join([*out, *(value or b"" for *_, value in messages)])
