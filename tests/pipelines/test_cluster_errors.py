"""What Flink says of a failed job, in one line."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.cluster.beam_options import Streaming, bounded_options, streaming_options
from pipelines.cluster.flink_rest import FlinkRest, root_cause
from pipelines.cluster.flink_settings import FlinkSize
from pipelines.cluster.flink_workers import error_on_flink
from schemas.errors import MeterbeamError, UsageError

TRACE = """\
Pipeline meterbeam-IngestSplits_2dd38f10 failed in state FAILED: java.lang.RuntimeException: Error received \
from SDK harness for instruction 1: Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1512, in apache_beam.runners.common.DoFnRunner.process
{first}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1623, in apache_beam.runners.common.DoFnRunner._reraise_augmented
{last}

\tat org.apache.beam.runners.fnexecution.control.FnApiControlClient.accept(FnApiControlClient.java:179)
Caused by: java.util.concurrent.CancellationException: Multiplexer hanging up
"""
SERVICE = SimpleNamespace(job_endpoint="127.0.0.1:8099", worker_command=Path("/opt/meterbeam/python-worker"))


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(MeterbeamError("a.avro, byte 4096", "a bad marker", "16 bytes 9f3c"), id="one line"),
        pytest.param(MeterbeamError("a.avro", "text that\ngoes on", "Avro"), id="several lines"),
        pytest.param(UsageError("--plugin", "nothing", "a name"), id="a kind of its own"),
        pytest.param(
            MeterbeamError("table: x", "y, found again", "z, expected twice"), id="words that recur"
        ),
    ],
)
def test_our_error_comes_back_whole(error: MeterbeamError) -> None:
    """The message of a worker's error is the one that the user sees, as if there had been no Flink."""
    line = f"{type(error).__module__}.{type(error).__qualname__}: {error}"
    text = TRACE.format(first=line, last=line)
    assert str(error_on_flink(text, "IngestSplits")) == str(error)
    assert str(error_on_flink(text.partition("\n\tat")[0] + "\n", "IngestSplits")) == str(error)


def test_another_error_is_named() -> None:
    """An error that is none of ours is told by its Python line, not by Flink's forty."""
    line = "ValueError: boom 1 [while running 'IngestSplits/IngestSplit']"
    error = error_on_flink(TRACE.format(first="ValueError: boom 1", last=line), "IngestSplits")
    assert error.where == "job IngestSplits on Flink"
    assert error.found == line


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param(
            "java.lang.Error: a\n\tat b\nCaused by: c\n\tat d\nCaused by: e\n", "e", id="last cause"
        ),
        pytest.param("java.lang.Error: a\n\tat b\n", "java.lang.Error: a", id="no cause"),
    ],
)
def test_root_cause(text: str, cause: str) -> None:
    """The last cause is the telling one."""
    assert root_cause(text) == cause


def test_streaming_job_keeps_its_data() -> None:
    """The options without which a checkpoint loses data, or a failure ends the job, are always there."""
    options = streaming_options("stream", SERVICE, Streaming(parallelism=3, restore="file:/savepoint"))
    for needed in (
        *("--streaming", "--finish_bundle_before_checkpointing", "--externalized_checkpoints_enabled"),
        *("--retain_externalized_checkpoints_on_cancellation", "--parallelism=3"),
        *("--number_of_execution_retries=2147483647", "--savepoint_path=file:/savepoint"),
    ):
        assert needed in options
    assert not [
        word for word in bounded_options("batch", SERVICE, 2) if "checkpoint" in word or "stream" in word
    ]


def test_beam_knows_every_option(caplog: pytest.LogCaptureFixture) -> None:
    """A mistyped option would only be a warning: none is given, and every value arrives."""
    given = streaming_options("stream", SERVICE, Streaming(idle_shutdown_ms=9, restore="file:/savepoint"))
    parsed = PipelineOptions(given).get_all_options()
    assert not caplog.records
    assert parsed["finish_bundle_before_checkpointing"] is True
    assert parsed["checkpointing_interval"] == Streaming().checkpoint_ms
    assert (parsed["shutdown_sources_after_idle_ms"], parsed["savepoint_path"]) == (9, "file:/savepoint")


def test_address_without_scheme() -> None:
    """``host:port`` and ``http://host:port/`` are the same cluster."""
    assert FlinkRest("a:8081").address == FlinkRest("http://a:8081/").address == "http://a:8081"


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"task_managers": -1}, {"state_backend": "memory"}])
def test_size_is_checked(wrong: dict[str, object]) -> None:
    """A cluster of no size, or of an unknown state backend, is refused when it is described."""
    with pytest.raises(ValueError, match="must be"):
        FlinkSize(**wrong)  # type: ignore[arg-type]


def test_errors_survive_the_way_back() -> None:
    """Receipts and errors are pickled between workers."""
    error = MeterbeamError("a", "b", "c")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
