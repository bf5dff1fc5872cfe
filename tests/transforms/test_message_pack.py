"""Packs of messages: what the reader on the Java side wrote is what is taken out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.transforms.message_packs import packed_messages
from transforms.message_pack import Message, unpack_messages

NAMES = st.sampled_from(["readings", "registers", "événements"])
MESSAGES = st.tuples(
    NAMES,
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**63 - 1),
    st.none() | st.binary(max_size=40),
)


def test_the_layout_byte_by_byte() -> None:
    """A pack written by hand: two topics, an empty value and none."""
    pack = bytes.fromhex(
        "00000003 00000002"  # three messages of two topics
        "00000001 61 00000002 6262"  # a, bb
        "00000000 00000001 00000000"  # topics
        "00000007 00000000 00000008"  # partitions
        "0000000000000005 0000000100000000 0000000000000006"  # offsets
        "00000002 ffffffff 00000000"  # lengths of values
        "c0c1"
    )
    assert unpack_messages(pack) == {
        "a": [("a", 7, 5, b"\xc0\xc1"), ("a", 8, 6, b"")],
        "bb": [("bb", 0, 2**32, None)],
    }


@given(st.lists(MESSAGES, min_size=1, max_size=30))
def test_what_was_packed_comes_out(messages: list[Message]) -> None:
    """All of it, by topic, each topic's in order."""
    found = unpack_messages(packed_messages(messages))
    assert sorted(found) == sorted({topic for topic, *_ in messages})
    for topic, mine in found.items():
        assert mine == [message for message in messages if message[0] == topic]
