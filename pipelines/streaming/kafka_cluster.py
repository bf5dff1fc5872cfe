"""A Kafka cluster beside a stream: its topics, what they hold, and how a silent partition is woken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from schemas.errors import MeterbeamError
from schemas.writers import TOPICS, WAKE

__all__ = ["Partitions", "known_topics", "partitions_of", "wake"]

Partitions = dict[tuple[str, int], tuple[int, int]]
"""First offset kept and next offset to be written, by topic and partition."""

TIMEOUT_S = 10.0
Client = TypeVar("Client")


def known_topics(brokers: str, settings: Mapping[str, str]) -> dict[str, int]:
    """Topics of the input contract that a cluster has, with their partitions.

    Args:
        brokers: ``host:port``, or several with commas.
        settings: More settings of the client.

    Raises:
        MeterbeamError: The settings are none, no broker answers, or none of the topics is there.
    """
    client = _consumer(brokers, settings)
    try:
        there = client.list_topics(timeout=TIMEOUT_S).topics
    except KafkaException as error:
        raise _silent(brokers, error) from error
    finally:
        client.close()
    found = {topic: len(there[topic].partitions) for topic in TOPICS if topic in there}
    if not found:
        raise MeterbeamError(
            f"Kafka at {brokers}",
            f"topics {', '.join(sorted(there)) or 'none'}",
            f"any of: {', '.join(TOPICS)}",
        )
    return found


def partitions_of(brokers: str, settings: Mapping[str, str], topics: Mapping[str, int]) -> Partitions:
    """What the partitions of topics hold.

    Args:
        brokers: ``host:port``, or several with commas.
        settings: More settings of the client.
        topics: Their partitions.

    Raises:
        MeterbeamError: No broker answers.
    """
    client = _consumer(brokers, settings)
    try:
        return {
            (topic, number): client.get_watermark_offsets(TopicPartition(topic, number), timeout=TIMEOUT_S)
            for topic, count in topics.items()
            for number in range(count)
        }
    except KafkaException as error:
        raise _silent(brokers, error) from error
    finally:
        client.close()


def wake(brokers: str, settings: Mapping[str, str], places: Iterable[tuple[str, int]]) -> None:
    """Write a message that says nothing into partitions, so that their times follow the clock.

    Args:
        brokers: ``host:port``, or several with commas.
        settings: More settings of the client.
        places: Topics and partitions.

    Raises:
        MeterbeamError: A broker does not take it, for want of a right or of an answer.
    """
    refused: list[str] = []

    def taken(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            refused.append(error.str())

    client = _made(Producer, brokers, settings)
    for topic, partition in places:
        client.produce(topic, WAKE, partition=partition, on_delivery=taken)
    if client.flush(TIMEOUT_S):
        refused.append("no answer")
    if refused:
        raise MeterbeamError(f"Kafka at {brokers}", refused[0], "a broker that takes a message of ours")


def _silent(brokers: str, error: KafkaException) -> MeterbeamError:
    return MeterbeamError(f"Kafka at {brokers}", f"no answer ({error.args[0].str()})", "a broker")


def _consumer(brokers: str, settings: Mapping[str, str]) -> Consumer:
    return _made(
        Consumer, brokers, {"group.id": "meterbeam-watch", "enable.auto.commit": "false", **settings}
    )


def _made(client: Callable[[dict[str, Any]], Client], brokers: str, settings: Mapping[str, str]) -> Client:
    try:
        # Its own log would say every 50 ms what the error says once.
        return client({"bootstrap.servers": brokers, "log_level": 0, **settings})
    except (KafkaException, TypeError) as error:
        name = next((name for name in settings if name in str(error)), "one of them")
        raise MeterbeamError(
            f"Kafka at {brokers}", f"a setting that the client refuses ({name})", "settings of librdkafka"
        ) from error
