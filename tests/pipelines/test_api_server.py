"""``meterbeam api serve`` as a process: it answers, logs nothing, and says why it cannot start."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from pipelines.api.tokens import SCOPES, make_token
from tests.pipelines.exchanged import failed
from tests.pipelines.lake_days import commit, new_lake

PATIENCE_S = 60


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Serves a lake of one day; the file of tokens lies beside it."""
    lake = new_lake(tmp_path / "lake")
    commit(lake, {("m", 0): (5, 1)})
    return ["api", "serve", "--lake", str(lake.path), "--tokens", str(tmp_path / "tokens.json")]


def test_a_server_answers_and_logs_nothing(command: list[str], tmp_path: Path) -> None:
    """A page, a refused token and an unknown route: not a word of them on stdout or stderr, and exit 0."""
    token = make_token(tmp_path / "tokens.json", "portal", SCOPES, None, None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    run = [sys.executable, "-m", "pipelines.cli", *command, "--port", str(port)]
    server = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert ask(port, "/v1/days", token)[0] == 200
        assert b'"meter_id":"m"' in ask(port, "/v1/days", token)[1]
        assert ask(port, "/v1/days", "mb_s3cret")[0] == 401
        assert ask(port, "/v1/customers?name=Ada", token)[0] == 404
    finally:
        server.send_signal(signal.SIGINT)
        said, _ = server.communicate(timeout=PATIENCE_S)
    assert (server.returncode, said) == (0, b"")


def ask(port: int, path: str, token: str) -> tuple[int, bytes]:
    """Status and body, as soon as the server is up."""
    request = Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {token}"})
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()
        except URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def test_a_taken_port(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One clear message, exit 1."""
    make_token(tmp_path / "tokens.json", "portal", SCOPES, None, None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, error = failed([*command, "--port", str(port)], capsys)
    assert (code, error.count("error:")) == (1, 1)
    assert f"127.0.0.1, port {port}" in error
    assert "address already in use" in error
    assert failed([*command, "--host", "192.0.2.1", "--port", str(port)], capsys)[0] == 1
