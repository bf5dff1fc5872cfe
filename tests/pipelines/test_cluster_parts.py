"""Fetching the parts of an embedded cluster: once, whole or not at all, with clear errors."""

from __future__ import annotations

import re
from multiprocessing import get_context
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pipelines.cluster import fetch
from schemas.errors import MeterbeamError


def _make(folder: str, made: str) -> None:
    """Make a part under the lock, as a process of its own; notes that it did."""

    def fill(new: Path) -> None:
        (new / "jar").write_text("whole")
        with Path(made).open("a") as log:
            log.write("made\n")

    with fetch.locked(Path(folder) / "lock"):
        fetch.made_once(Path(folder) / "part", fill)


def test_two_processes_make_a_part_once(tmp_path: Path) -> None:
    """Two that start together: one makes the part, the other finds it whole."""
    context = get_context("spawn")
    two = [context.Process(target=_make, args=(str(tmp_path), str(tmp_path / "log"))) for _ in range(2)]
    for process in two:
        process.start()
    for process in two:
        process.join()
        assert process.exitcode == 0
    assert (tmp_path / "log").read_text() == "made\n"
    assert (tmp_path / "part" / "jar").read_text() == "whole"


def test_an_interrupted_fetch_is_begun_again(tmp_path: Path) -> None:
    """What a killed fetch left is thrown away, and a part that failed is not there."""

    def fail(new: Path) -> None:
        (new / "half").write_text("…")
        raise MeterbeamError("part", "half of it", "all of it")

    with pytest.raises(MeterbeamError, match="half of it"):
        fetch.made_once(tmp_path / "part", fail)
    assert not (tmp_path / "part").exists()
    place = fetch.made_once(tmp_path / "part", lambda new: (new / "jar").touch())
    assert sorted(file.name for file in place.iterdir()) == ["jar"]


@pytest.mark.parametrize("missing", ["java", "mvn"])
def test_missing_command(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Java or Maven the message says which, and how to get it; nothing is fetched."""
    other = {"java": "mvn", "mvn": "java"}[missing]
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / other).write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n")
    (commands / other).chmod(0o755)
    monkeypatch.setenv("PATH", str(commands))
    with pytest.raises(MeterbeamError, match=rf"command {missing}: found nothing .*apt-get install"):
        fetch.fetch_parts(tmp_path / "parts")
    assert not list((tmp_path / "parts").glob("flink*"))


@pytest.mark.parametrize(
    ("says", "found"),
    [
        pytest.param('java version "1.8.0_392"', 'java version "1.8.0_392"', id="old"),
        pytest.param("", "no version", id="silent"),
    ],
)
def test_unfit_java(says: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Java that is too old for Flink is said before anything is fetched."""
    (tmp_path / "java").write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MeterbeamError) as error:
        fetch.fetch_parts(tmp_path / "parts")
    assert error.value.found == found


def test_folder_is_chosen_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """METERBEAM_PARTS wins over the user's cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("METERBEAM_PARTS", raising=False)
    assert fetch.parts_folder() == tmp_path / "cache" / "meterbeam" / "parts"
    monkeypatch.setenv("METERBEAM_PARTS", str(tmp_path / "own"))
    assert fetch.parts_folder() == tmp_path / "own"


@pytest.mark.parametrize("part", ["beam_flink", "kafka_broker"])
def test_poms_name_packages_and_no_registry(part: str) -> None:
    """Parts are pinned by package name and exact version; where they come from is the client's affair."""
    text = (Path(fetch.__file__).parent / part / "pom.xml").read_text(encoding="utf-8")
    assert "<repositor" not in text
    assert set(re.findall(r"https?://[^\"< ]+", text)) == {"http://maven.apache.org/POM/4.0.0"}
    space = {"m": "http://maven.apache.org/POM/4.0.0"}
    found = ElementTree.fromstring(text).findall(".//m:dependency/m:version", space)
    versions = [node.text or "" for node in found]
    assert versions
    assert all(re.fullmatch(r"[\d.]+|\$\{[a-z.]+\}", version) for version in versions)
