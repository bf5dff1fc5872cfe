"""``--push``: other stores that are brought up to date after each round of a follower or a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.batch.kafka_address import is_kafka, kafka_address
from pipelines.console import note
from pipelines.store.lake import Lake
from schemas.errors import MeterbeamError

__all__ = ["Push", "Pushes", "target_of"]

Push = Callable[[Path], Mapping[str, Any]]
"""Brings one store to a lake's last run; its summary has ``through_run``."""
FORMS = "kafka://HOST:PORT, postgresql://…, or postgres (METERBEAM_DSN)"


def target_of(text: str, settings: Mapping[str, str]) -> Push:
    """The push that an address of ``--push`` names.

    Args:
        text: ``kafka://…``, ``postgresql://…`` or ``postgres``.
        settings: More settings of a Kafka client, and the log-in of a schema registry.

    Raises:
        MeterbeamError: It has another form, or a package for it is missing.
    """
    if is_kafka(text):
        from pipelines.downstream.kafka import KafkaTarget, push_kafka

        target = KafkaTarget.of(kafka_address(text), settings)
        return lambda lake: push_kafka(lake, target)
    if text == "postgres" or text.startswith(("postgresql://", "postgres://")):
        try:
            from pipelines.postgres.push import dsn_given, push
        except ImportError as error:
            raise MeterbeamError(
                "--push postgres", str(error), 'pip install "meterbeam[postgres]"'
            ) from error
        dsn = dsn_given(None if text == "postgres" else text)
        return lambda lake: push(lake, dsn)
    raise MeterbeamError("--push", "an address of another form", FORMS)


class Pushes:
    """Pushes of one lake. A store that fails is tried again after the next round; the rounds go on.

    Args:
        lake: Folder of the lake.
        targets: Each store; from ``target_of``.
    """

    def __init__(self, lake: Path, targets: Sequence[Push]) -> None:
        self._lake = lake
        self._through = dict.fromkeys(range(len(targets)), 0)
        self._targets = tuple(targets)

    def after_round(self) -> None:
        """Bring every store to the lake's last run; says on stderr where that fails."""
        if not self._targets:
            return
        last = Lake.open(self._lake).run_no
        for number, push in enumerate(self._targets):
            if self._through[number] < last:
                try:
                    self._through[number] = int(push(self._lake)["through_run"])
                except MeterbeamError as error:
                    note(f"push again later: {error}")

    def finish(self) -> None:
        """The same once more, at the end.

        Raises:
            MeterbeamError: A store cannot be brought up to date; it is by the next push.
        """
        last = Lake.open(self._lake).run_no if self._targets else 0
        for number, push in enumerate(self._targets):
            if self._through[number] < last:
                push(self._lake)
