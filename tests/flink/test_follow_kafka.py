"""Following topics of a real broker: what the tests beside the library's broker promise, here too."""

from __future__ import annotations

import pytest

from pipelines.cluster.kafka import KafkaBroker
from tests.pipelines.kafka_broker import Broker, emptied
from tests.pipelines.test_kafka_follow import (
    test_a_poison_message_is_a_dead_letter_with_its_place,
    test_killed_at_any_moment_it_goes_on,
    test_topics_end_in_the_tables_of_one_backfill,
    town,
    whole,
)

__all__ = [
    "test_a_poison_message_is_a_dead_letter_with_its_place",
    "test_killed_at_any_moment_it_goes_on",
    "test_topics_end_in_the_tables_of_one_backfill",
    "town",
    "whole",
]


@pytest.fixture(name="broker")
def emptied_broker(broker: KafkaBroker) -> Broker:
    """The broker of this folder with empty topics of the input contract."""
    return emptied(broker.address)
