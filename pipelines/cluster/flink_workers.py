"""Bounded steps as jobs on a Flink cluster: the workers of a backfill that are not of this machine."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pipelines.batch.workers import QUIET, Workers, workers
from pipelines.cluster.flink import beam_services, embedded_flink
from pipelines.cluster.flink_rest import FlinkRest, root_cause
from pipelines.plugins import load_plugins
from schemas.errors import MeterbeamError
from transforms.storage import remove_tree

if TYPE_CHECKING:
    from pipelines.cluster.beam_options import JobService  # at run time later: Beam warns as it is imported

__all__ = ["EMBEDDED", "FlinkWorkers", "error_on_flink", "flink_workers"]

EMBEDDED = "embedded"
"""Address of a cluster that is started here and ends with the run."""

_OURS = re.compile(
    r"^[\w.]+\.\w*Error: ([^\n]+?): found (.+?), expected (.+?)(?:\n\n|\n\tat |\Z)",
    re.DOTALL | re.MULTILINE,
)


class FlinkWorkers(Workers):
    """Runs each step as one bounded job; receipts come back by files in a folder.

    Single calls, which no cluster makes faster, go to processes of this machine.

    Args:
        local: Makes them.
        service: Job server and worker command.
        folder: Seen by every TaskManager under the same path; emptied again after each step.
        parallelism: Parallel subtasks, and Python workers, of a step.
        a_task_manager: Python workers on each TaskManager.
    """

    def __init__(
        self, local: Workers, service: JobService, folder: Path, parallelism: int, a_task_manager: int
    ) -> None:
        super().__init__(local._pool, parallelism, local._alone)
        self._service = service
        self._folder = folder
        self._parallelism = parallelism
        self._a_task_manager = a_task_manager

    def run(
        self,
        label: str,
        transform: Callable[[], Any],
        elements: Sequence[Any],
        weight: Callable[[Any], float],
    ) -> Iterator[Any]:
        """Run a transform over the elements and yield what it emits, as it comes.

        Args:
            label: Names the job and its steps.
            transform: Maker of a PTransform from elements to receipts, one each; a receipt has the
                element as ``work``.
            elements: Small, picklable descriptions of work.
            weight: Cost of an element; the costly ones start first.
        """
        if not elements:
            return
        folder = self._folder / uuid4().hex
        folder.mkdir(parents=True)
        try:
            heaviest_first = sorted(elements, key=weight, reverse=True)
            yield from self._job(label, transform(), heaviest_first, folder)
        finally:
            remove_tree(folder)  # a worker that lives on may still write

    def _job(self, label: str, transform: Any, elements: list[Any], folder: Path) -> Iterator[Any]:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions

        from pipelines.cluster.beam_options import bounded_options
        from transforms.receipts import WriteReceipts

        options = bounded_options(
            f"meterbeam-{label}", self._service, self._parallelism, self._a_task_manager, QUIET
        )
        pipeline = beam.Pipeline(options=PipelineOptions(options))
        _ = (
            pipeline
            | f"List{label}" >> beam.Create(elements)  # type: ignore[no-untyped-call]
            | label >> transform
            | f"Receipts{label}" >> WriteReceipts(str(folder))
        )
        job = pipeline.run()
        received: set[str] = set()
        try:
            while not _ended(job):
                yield from _new_receipts(folder, received)
                time.sleep(0.3)
            _raise_failure(job, label)
        except BaseException:
            if not _ended(job):
                job.cancel()  # type: ignore[no-untyped-call]
            raise
        yield from _new_receipts(folder, received)
        if len(received) != len(elements):
            raise MeterbeamError(
                f"job {label} on Flink", f"{len(received)} receipts in {folder}", f"{len(elements)}, one each"
            )


def _ended(job: Any) -> bool:
    from apache_beam.runners.runner import PipelineState

    return bool(PipelineState.is_terminal(job.state))  # type: ignore[no-untyped-call]


def _new_receipts(folder: Path, received: set[str]) -> Iterator[Any]:
    from transforms.receipts import SUFFIX, read_receipt

    for file in sorted(folder.glob(f"*{SUFFIX}")):
        if file.name not in received:
            received.add(file.name)
            yield read_receipt(file)


def _raise_failure(job: Any, label: str) -> None:
    try:
        state = job.wait_until_finish()
    except RuntimeError as error:
        raise error_on_flink(str(error), label) from None
    if state != "DONE":
        raise MeterbeamError(f"job {label} on Flink", f"state {state}", "a job that is let run to its end")


def error_on_flink(text: str, label: str) -> MeterbeamError:
    """The error that ended a job, out of Flink's stack trace.

    Args:
        text: The trace, with the traceback of the Python worker in it.
        label: Name of the job, for errors that are none of ours.
    """
    found = _OURS.findall(text)
    if found:
        where, seen, expected = found[-1]
        return MeterbeamError(where, seen, expected.rstrip())
    return MeterbeamError(f"job {label} on Flink", root_cause(text), "a job that runs to its end")


@contextmanager
def flink_workers(
    address: str, parallelism: int, plugins: Sequence[str], shared: Path
) -> Iterator[FlinkWorkers]:
    """Workers on a Flink cluster for the length of a run.

    Args:
        address: ``host:port`` of its REST interface, or :data:`EMBEDDED`.
        parallelism: Subtasks wanted; no more than the cluster has slots.
        plugins: Modules that workers load first.
        shared: Folder for receipts, seen by every TaskManager under the same path.

    Raises:
        MeterbeamError: No Flink cluster answers there, or it has no slots.
    """
    load_plugins(plugins)  # the job tells its Python workers which plugins this process has
    with ExitStack() as stack:
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)  # Beam logs each failure; it is said once, by the error
        logs = Path(stack.enter_context(TemporaryDirectory(prefix="meterbeam-flink-")))
        service: JobService
        if address == EMBEDDED:
            cluster = stack.enter_context(embedded_flink(logs, slots=parallelism))
            service, rest = cluster, cluster.rest
        else:
            rest = FlinkRest(address)
            rest.size()  # says so before anything is started, if nothing answers
            service = stack.enter_context(beam_services(logs, rest.address))
        managers, slots = rest.size()
        used = min(parallelism, slots)
        stack.callback(remove_tree, shared)
        local = stack.enter_context(workers(1, plugins))
        yield FlinkWorkers(local, service, shared, used, -(-used // managers))
