"""Flink's REST interface: jobs, savepoints, checkpoints, figures."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from schemas.errors import MeterbeamError

__all__ = ["Checkpoint", "FlinkRest", "JobFigures", "root_cause"]

_ENDED = ("FINISHED", "FAILED", "CANCELED")
_NO_WATERMARK = -(10**15)
"""Below this a mark is Beam's or Flink's "none yet"."""


@dataclass(frozen=True)
class Checkpoint:
    """A completed checkpoint.

    Attributes:
        path: Where it is; what a new job is given to start from.
        number: Counted from 1 in each job.
        size: Its whole state. [bytes]
        written: What this one added. [bytes]
        taken_ms: From trigger to completion. [ms]
        completed_at: Unix time of the completion. [ms]
    """

    path: str
    number: int
    size: int
    written: int
    taken_ms: int
    completed_at: int


@dataclass(frozen=True)
class JobFigures:
    """How far a running job is. Flink's own figures lag by some seconds.

    Attributes:
        state: ``RUNNING``, ``RESTARTING``, ….
        watermark: Least watermark over the job's steps, Unix time; ``None`` while a step has none. [ms]
        restarts: Times the job was started again after a failure.
        checkpoints: Completed checkpoints.
        checkpoint: The last one.
        uptime_ms: Since the last (re)start. [ms]
    """

    state: str
    watermark: int | None
    restarts: int
    checkpoints: int
    checkpoint: Checkpoint | None
    uptime_ms: int


class FlinkRest:
    """Calls to a cluster.

    Args:
        address: ``http://host:port``; ``host:port`` will do.
    """

    def __init__(self, address: str, timeout_s: float = 20.0) -> None:
        self.address = (address if "://" in address else f"http://{address}").rstrip("/")
        self._timeout = timeout_s

    def slots(self) -> int:
        """Task slots of the cluster, free or not; 0 while it does not answer."""
        try:
            return int(self._get("/overview")["slots-total"])
        except MeterbeamError:
            return 0

    def size(self) -> tuple[int, int]:
        """Number of TaskManagers and of their task slots, at least one each.

        Raises:
            MeterbeamError: No Flink cluster answers, or it has no slots.
        """
        overview = self._get("/overview")
        if not isinstance(overview, dict) or "slots-total" not in overview:
            raise MeterbeamError(self.address, f"{overview!r:.80}", "the REST interface of a Flink cluster")
        if int(overview["slots-total"]) < 1:
            raise MeterbeamError(self.address, "a Flink cluster without task slots", "a TaskManager in it")
        return int(overview["taskmanagers"]), int(overview["slots-total"])

    def job_id(self, name: str, seconds: float = 180.0) -> str:
        """Id of the job of a name, the one started last.

        Waits for it: Beam submits some time after ``Pipeline.run`` has returned.

        Raises:
            MeterbeamError: There is none in time.
        """
        found: list[tuple[int, str]] = []

        def there() -> bool:
            jobs = self._get("/jobs/overview")["jobs"]
            found[:] = [(int(job["start-time"]), str(job["jid"])) for job in jobs if job["name"] == name]
            return bool(found)

        self._poll(there, seconds, self.address, lambda: f"no job named {name}", "a job that was submitted")
        return max(found)[1]

    def unended(self, name: str) -> str | None:
        """Id of the job of a name that runs, or is about to; None where there is none."""
        jobs = self._get("/jobs/overview")["jobs"]
        found = [str(job["jid"]) for job in jobs if job["name"] == name and job["state"] not in _ENDED]
        return found[0] if found else None

    def state(self, job: str) -> str:
        """``CREATED``, ``RUNNING``, ``RESTARTING``, ``FINISHED``, ``FAILED``, ``CANCELED``, …."""
        return str(self._get(f"/jobs/{job}")["state"])

    def wait_for(self, job: str, states: tuple[str, ...] = _ENDED, seconds: float = 60.0) -> str:
        """Wait until a job is in one of some states, and say in which.

        Raises:
            MeterbeamError: The time is up, or the job ended otherwise; shows the job's failure.
        """
        found = ""

        def there() -> bool:
            nonlocal found
            found = self.state(job)
            return found in states or found in _ENDED

        self._poll(there, seconds, f"job {job}", lambda: found, f"one of {', '.join(states)}")
        if found not in states:
            raise MeterbeamError(f"job {job}", f"{found}: {self.failure(job)}", f"one of {', '.join(states)}")
        return found

    def wait_until_running(self, job: str, seconds: float = 300.0) -> None:
        """Wait until every task of a job runs."""

        def running() -> bool:
            given = self._get(f"/jobs/{job}")
            if given["state"] in _ENDED:
                raise MeterbeamError(f"job {job}", f"{given['state']}: {self.failure(job)}", "a running job")
            steps = [vertex["status"] in ("RUNNING", "FINISHED") for vertex in given["vertices"]]
            return given["state"] == "RUNNING" and bool(steps) and all(steps)

        self._poll(running, seconds, f"job {job}", lambda: self.state(job), "every task running")

    def failure(self, job: str) -> str:
        """What last made a job fail, in one line; empty when nothing did."""
        return root_cause(self._get(f"/jobs/{job}/exceptions").get("root-exception") or "")

    def cancel(self, job: str, seconds: float = 180.0) -> None:
        """Cancel a job and wait until it has ended. Its retained checkpoints stay."""
        self._call("PATCH", f"/jobs/{job}?mode=cancel")
        self.wait_for(job, _ENDED, seconds)

    def savepoint(self, job: str, folder: str | None = None, seconds: float = 300.0) -> str:
        """Take a savepoint of a running job and give its path; the job goes on.

        To stop a job: this, then :meth:`cancel`. Flink's own ``/stop`` loses the state of Beam's
        stateful steps without an error, and is not offered.

        Args:
            job: Its id.
            folder: Where to write; the cluster's savepoint folder unless given.
            seconds: How long to wait.
        """
        body = {"cancel-job": False, **({"target-directory": folder} if folder else {})}
        request = self._call("POST", f"/jobs/{job}/savepoints", body)["request-id"]
        done = self._operation(f"/jobs/{job}/savepoints/{request}", seconds, f"savepoint of job {job}")
        return str(done["location"])

    def stop(self, job: str, folder: str | None = None, seconds: float = 300.0) -> str:
        """Savepoint, then cancel: the way to stop a job. Gives the savepoint's path."""
        path = self.savepoint(job, folder, seconds)
        self.cancel(job)
        return path

    def checkpoint(self, job: str) -> Checkpoint | None:
        """The last completed checkpoint of a job, running or ended; ``None`` before the first."""
        return _checkpoint(self._get(f"/jobs/{job}/checkpoints"))

    def figures(self, job: str) -> JobFigures:
        """How far a job is."""
        given = self._get(f"/jobs/{job}")
        checkpoints = self._get(f"/jobs/{job}/checkpoints")
        mark = min(self.metric(job, "currentOutputWatermark").values(), default=_NO_WATERMARK)
        metrics = {
            one["id"]: one["value"] for one in self._get(f"/jobs/{job}/metrics?get=numRestarts,uptime")
        }
        return JobFigures(
            state=given["state"],
            watermark=int(mark) if mark > _NO_WATERMARK else None,
            restarts=int(metrics.get("numRestarts", 0)),
            checkpoints=int(checkpoints["counts"]["completed"]),
            checkpoint=_checkpoint(checkpoints),
            uptime_ms=max(0, int(metrics.get("uptime", 0))),
        )

    def metric(self, job: str, name: str) -> dict[str, float]:
        """A metric of every subtask whose metric ends in a name, by step, subtask and full name."""
        return self._metrics(job, lambda found: found.endswith(name))

    def gauges(self, job: str, prefix: str) -> dict[str, float]:
        """The greatest value among all subtasks of each gauge that begins so, by what follows in its name.

        Flink puts the namespace and an underscore before a name, and underscores in the place of dots.
        """
        found: dict[str, float] = {}
        for full, value in self._metrics(job, lambda name: f"_{prefix}" in name).items():
            rest = full.partition(f"_{prefix}")[2]
            found[rest] = max(found.get(rest, value), value)
        return found

    def _metrics(self, job: str, wanted: Callable[[str], bool]) -> dict[str, float]:
        found: dict[str, float] = {}
        for vertex in self._get(f"/jobs/{job}")["vertices"]:
            base = f"/jobs/{job}/vertices/{vertex['id']}/metrics"
            names = [one["id"] for one in self._get(base) if wanted(one["id"])]
            if names:
                given = self._get(f"{base}?get={quote(','.join(names))}")
                found |= {f"{vertex['id']}.{one['id']}": float(one["value"]) for one in given}
        return found

    def _operation(self, path: str, seconds: float, what: str) -> dict[str, Any]:
        given: dict[str, Any] = {}

        def done() -> bool:
            given.update(self._get(path))
            return bool(given["status"]["id"] == "COMPLETED")

        self._poll(done, seconds, what, lambda: str(given), "its completion")
        outcome: dict[str, Any] = given["operation"]
        if "failure-cause" in outcome:
            lines = str(outcome["failure-cause"].get("stack-trace", "")).splitlines()
            raise MeterbeamError(what, "\n".join(lines[:6]), "its completion")
        return outcome

    @staticmethod
    def _poll(
        ready: Callable[[], bool], seconds: float, what: str, found: Callable[[], str], expected: str
    ) -> None:
        end = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > end:
                raise MeterbeamError(what, f"after {seconds:.0f} s: {found()}", expected)
            time.sleep(0.2)

    def _get(self, path: str) -> Any:
        return self._call("GET", path)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310
            self.address + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:  # noqa: S310
                text = answer.read()
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")
            raise MeterbeamError(
                f"{method} {self.address}{path}", f"status {error.code}: {detail[:400]}", "an answer of Flink"
            ) from error
        except (OSError, ValueError) as error:
            raise MeterbeamError(
                f"{method} {self.address}{path}", f"no answer ({error})", "a Flink cluster that is running"
            ) from error
        try:
            return json.loads(text) if text else {}
        except ValueError as error:
            raise MeterbeamError(
                f"{method} {self.address}{path}", f"{text[:60]!r}", "the REST interface of a Flink cluster"
            ) from error


def root_cause(text: str) -> str:
    """The telling line of a Flink stack trace: the Python error where there is one, else the last cause."""
    lines = [line.strip() for line in text.splitlines()]
    python = [line for line in lines if "[while running" in line]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return (python or causes or lines[:1] or [""])[-1]


def _checkpoint(given: dict[str, Any]) -> Checkpoint | None:
    latest = (given.get("latest") or {}).get("completed")
    if not latest:
        return None
    return Checkpoint(
        path=str(latest["external_path"]),
        number=int(latest["id"]),
        size=int(latest["state_size"]),
        written=int(latest.get("checkpointed_size", latest["state_size"])),
        taken_ms=int(latest["end_to_end_duration"]),
        completed_at=int(latest["latest_ack_timestamp"]),
    )
