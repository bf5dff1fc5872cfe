"""A real S3-compatible server for tests: versitygw over a temporary folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.requirements_gate import gate

HOW = "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0 (Go 1.25), on PATH or in ~/go/bin"
SECRET = "a-secret-that-is-never-shown"
PATIENCE_S = 30


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """A running server with the bucket ``lakes``; the environment names it. Yields ``s3://lakes``."""
    binary = shutil.which("versitygw") or str(Path.home() / "go" / "bin" / "versitygw")
    gate("s3", Path(binary).exists(), HOW)
    (folder / "lakes").mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "meter",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }
    command = [binary, "--quiet", "--access", "meter", "--secret", SECRET, "--port", f"127.0.0.1:{port}"]
    server = subprocess.Popen([*command, "posix", str(folder)], stdout=subprocess.DEVNULL)
    try:
        _wait(server, port)
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
            for name, value in settings.items():
                patch.setenv(name, value)
            yield "s3://lakes"
    finally:
        server.terminate()
        server.wait(PATIENCE_S)


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError as error:
            if server.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"versitygw did not start: {error}") from error
            time.sleep(0.05)
        else:
            return
