"""Independent worker processes, each running a bounded Beam pipeline in memory over its own elements."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from threading import Thread
from typing import Any
from uuid import uuid4

import pyarrow as pa

from schemas.errors import MeterbeamError

QUIET = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
}
"""One thread a worker, and a heap that keeps freed pages (glibc; ignored elsewhere)."""


class Workers:
    """A pool of N processes; each call of ``run`` is one Beam pipeline a process.

    Args:
        pool: The processes.
        count: Their number.
        alone: Makes a pool of one new process.
    """

    def __init__(self, pool: Executor, count: int, alone: Callable[[], Executor]) -> None:
        self._pool = pool
        self._count = count
        self._alone = alone

    def run(
        self,
        label: str,
        transform: Callable[[], Any],
        elements: Sequence[Any],
        weight: Callable[[Any], float],
    ) -> Iterator[Any]:
        """Run a transform over the elements and yield what it emits, in no stated order.

        Args:
            label: Names the steps.
            transform: Picklable maker of a PTransform from elements to receipts.
            elements: Small descriptions of work.
            weight: Cost of an element, to balance the processes.
        """
        shares = _balanced(elements, weight, self._count * PIPELINES_A_WORKER)
        futures: list[Future[list[Any]]] = []
        try:
            futures.extend(
                self._pool.submit(_run_pipeline, label, transform, share) for share in shares if share
            )
            for future in as_completed(futures):
                yield from future.result()
        except BrokenProcessPool as error:
            raise _ended_early(label) from error
        finally:
            for future in futures:
                future.cancel()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a module's function in a process of its own, whose memory holds nothing of earlier steps."""
        try:
            with self._alone() as pool:
                return pool.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise _ended_early(function.__name__) from error


def _ended_early(what: str) -> MeterbeamError:
    return MeterbeamError(
        f"worker of step {what}", "a process that ended early", "enough memory (see --cells, --workers)"
    )


PIPELINES_A_WORKER = 1


class _Here(Executor):
    """Runs each pipeline in the calling process, one after the other."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call at once; the future holds the outcome."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # handed on by future.result()
            future.set_exception(error)
        return future


@contextmanager
def workers(count: int, plugins: Sequence[str], *, resident: bool = False) -> Iterator[Workers]:
    """Processes for the length of a run; with a count of 0 everything runs in this one.

    Args:
        count: Number of processes.
        plugins: Modules each process loads first.
        resident: They serve several runs, and leave it to this process when to stop: an interrupt typed
            at a terminal or sent to the whole group ends no step half-way.
    """
    before = {name: os.environ.get(name) for name in QUIET}
    os.environ.update(QUIET)
    if count == 0:
        yield Workers(_Here(), 1, _Here)
        return
    made = partial(_processes, plugins=list(plugins), deaf=resident)
    pool = made(count)
    try:
        yield Workers(pool, count, partial(made, 1))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        _end_template()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _processes(count: int, *, plugins: list[str], deaf: bool) -> Executor:
    pool = ProcessPoolExecutor(count, mp_context=_context(), initializer=_start, initargs=(plugins,))
    if deaf:
        _start_deaf(pool, count)
    return pool


def _start_deaf(pool: ProcessPoolExecutor, count: int) -> None:
    """Start the processes now, deaf from their first moment on to signals that ask to stop."""
    resource_tracker.ensure_running()  # it opens the mask when it starts
    asking = (signal.SIGINT, signal.SIGTERM)
    former = signal.pthread_sigmask(signal.SIG_BLOCK, asking)  # the processes inherit it
    try:
        for future in [pool.submit(os.getpid) for _ in range(count)]:
            future.result()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _context() -> BaseContext:
    """On Linux workers are forked from one process that has imported everything; elsewhere each imports."""
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["pipelines.batch.worker_imports"])
    return context


def _end_template() -> None:
    """Wait for the process that workers are forked from: its time, and theirs, then counts as ours."""
    if sys.platform == "linux":
        from multiprocessing import forkserver

        stop = forkserver._forkserver._stop  # type: ignore[attr-defined]  # no public way to wait for it
        stop()


def _start(plugins: list[str]) -> None:
    from pipelines.plugins import load_plugins

    Thread(target=_end_with_parent, daemon=True).start()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    load_plugins(plugins)
    gc.freeze()  # what was imported stays: collecting garbage need not look at it again


def _end_with_parent() -> None:
    """A worker whose run was killed waits for work for ever: end it too."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _run_pipeline(label: str, transform: Callable[[], Any], elements: list[Any]) -> list[Any]:
    import_module("pipelines.batch.worker_imports")  # imports Beam without its warning
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from transforms.gather import Gather, gathered

    token = uuid4().hex
    # The in-memory runner by name: "DirectRunner" would look for a binary to download first.
    options = PipelineOptions(["--runner=FnApiRunner", "--direct_running_mode=in_memory"])
    with beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | f"List{label}" >> beam.Create(elements, reshuffle=False)  # type: ignore[no-untyped-call]
            | label >> transform()
            | f"Gather{label}" >> Gather(token)
        )
    receipts = gathered(token)
    give_back()
    return receipts


def give_back() -> None:
    """Return freed memory to the system: the next step asks for other sizes, and would grow the heap."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # glibc only; elsewhere the allocator decides by itself
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _balanced(elements: Sequence[Any], weight: Callable[[Any], float], count: int) -> list[list[Any]]:
    """Greedy shares of about equal weight; heaviest first."""
    shares: list[list[Any]] = [[] for _ in range(count)]
    loads = [0.0] * count
    for element in sorted(elements, key=weight, reverse=True):
        lightest = loads.index(min(loads))
        shares[lightest].append(element)
        loads[lightest] += weight(element)
    return shares
