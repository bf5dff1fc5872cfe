"""Where a follower of Kafka goes on, as pure functions of the lake's offsets and what the cluster holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.batch.kafka_address import kafka_address, kafka_settings
from pipelines.batch.kafka_source import gaps, next_offsets, offsets_of, offsets_table
from schemas.errors import MeterbeamError
from schemas.lake import OFFSETS

P = ("readings", 0)
EMPTY = OFFSETS.schema.empty_table()


@pytest.mark.parametrize(
    ("known", "span", "start", "gap"),
    [
        pytest.param(None, (0, 9), 0, [], id="never-read"),
        pytest.param(None, (4, 9), 4, [], id="never-read-and-old-ones-gone"),
        pytest.param(6, (4, 9), 6, [], id="goes-on"),
        pytest.param(9, (4, 9), 9, [], id="all-read"),
        pytest.param(2, (4, 9), 4, [(P, 2, 4)], id="deleted-unread"),
        pytest.param(12, (0, 3), 0, [], id="made-anew"),
    ],
)
def test_where_to_begin(
    known: int | None, span: tuple[int, int], start: int, gap: list[tuple[tuple[str, int], int, int]]
) -> None:
    """Where the last run ended, if that is still there."""
    offsets = {} if known is None else {P: known}
    assert next_offsets(offsets, {P: span}) == {P: start}
    assert gaps(offsets, {P: span}) == gap


_PARTS = st.dictionaries(
    st.tuples(st.sampled_from(["readings", "events"]), st.integers(0, 3)), st.integers(0, 99)
)


@given(_PARTS, _PARTS, _PARTS)
def test_offsets_of_a_cluster_replace_those_of_no_other(
    ours: dict[tuple[str, int], int], theirs: dict[tuple[str, int], int], moved: dict[tuple[str, int], int]
) -> None:
    """What was written is read back; another cluster's offsets stay; the order of writing does not show."""
    table = offsets_table(offsets_table(EMPTY, "a", ours), "b", theirs)
    other = offsets_table(offsets_table(EMPTY, "b", theirs), "a", ours)
    assert table.equals(other)
    after = offsets_table(table, "a", moved)
    assert offsets_of(after, "a") == moved
    assert offsets_of(after, "b") == theirs


def test_addresses() -> None:
    """Servers, and topics if some are chosen."""
    found = kafka_address("kafka://one:9092,[::1]:9093/readings,events")
    assert (found.servers, found.topics) == (("one:9092", "[::1]:9093"), ("readings", "events"))
    assert str(found) == "kafka://one:9092,[::1]:9093/readings,events"
    assert kafka_address("kafka://one:9092/").topics == ()


@pytest.mark.parametrize(
    "text", ["kafka:one:9092", "kafka://one", "kafka://", "kafka://one:x", "kafka://a:1,,b:2"]
)
def test_an_address_of_another_form_is_an_error(text: str) -> None:
    """The form is shown."""
    with pytest.raises(MeterbeamError, match=r"expected kafka://HOST:PORT"):
        kafka_address(text)


def test_client_settings(tmp_path: Path) -> None:
    """Lines, remarks, and values that hold an equals sign; another line is told by its number."""
    file = tmp_path / "client.properties"
    file.write_text("# log-in\nsecurity.protocol = SASL_SSL\n\nsasl.password=a=b\n")
    assert kafka_settings(file) == {"security.protocol": "SASL_SSL", "sasl.password": "a=b"}
    assert kafka_settings(None) == {}
    file.write_text("a=1\nnonsense\n")
    with pytest.raises(MeterbeamError, match=r"client.properties, line 2: found no name=value"):
        kafka_settings(file)
