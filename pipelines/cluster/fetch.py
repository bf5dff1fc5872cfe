"""The pinned Java parts of an embedded cluster, fetched once into a cache by package name.

Flink comes out of a Python source package, Kafka and Beam's job server out of Maven artifacts
(``beam_flink``, ``kafka_broker``). Each part is made in a folder of its own beside its
place and renamed into it, under a lock: a fetch that was killed is begun again, and two processes that
start together fetch once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from pipelines import console
from schemas.errors import MeterbeamError

__all__ = ["FLINK_VERSION", "Parts", "fetch_parts", "locked", "made_once", "parts_folder"]

FLINK_VERSION = "1.19.3"

_OLDEST_JAVA = 11

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Parts:
    """Where the fetched parts are.

    Attributes:
        java: The ``java`` command.
        flink: Jars of Flink, to be put on the class path as they are.
        beam: One jar: Beam's Flink job server, its Kafka expansion service with our reader of packs
            (``beam_flink/src``), and their dependencies.
        kafka: Jars of the broker.
    """

    java: str
    flink: tuple[Path, ...]
    beam: Path
    kafka: tuple[Path, ...]


def parts_folder() -> Path:
    """Where parts are kept: ``METERBEAM_PARTS``, or a folder in the user's cache."""
    named = os.environ.get("METERBEAM_PARTS")
    if named:
        return Path(named).expanduser().resolve()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "meterbeam" / "parts"


def fetch_parts(folder: Path | None = None) -> Parts:
    """Fetch what is not there yet (about 600 MB, once) and say where it is.

    Args:
        folder: The cache; :func:`parts_folder` unless given.

    Raises:
        MeterbeamError: Java, Maven or pip is missing, or a package cannot be had.
    """
    folder = folder or parts_folder()
    folder.mkdir(parents=True, exist_ok=True)
    java = _java()
    with locked(folder / "lock"):
        beam = made_once(folder / _named_by_sources("beam_flink"), partial(_make_maven, "beam_flink"))
        kafka = made_once(folder / _named_by_sources("kafka_broker"), partial(_make_maven, "kafka_broker"))
        flink = made_once(folder / f"flink-{FLINK_VERSION}", _make_flink)
    return Parts(
        java=java,
        flink=tuple(sorted(flink.glob("*.jar"))),
        beam=beam / "target" / "beam-flink.jar",
        kafka=tuple(sorted((kafka / "target" / "jars").glob("*.jar"))),
    )


def _command(name: str, how: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MeterbeamError(f"command {name}", "nothing of that name on the PATH", how)
    return found


def _java() -> str:
    how = "a Java runtime, version 11 or 17 (on Debian: apt-get install openjdk-17-jre-headless)"
    java = _command("java", how)
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    words = (told.stderr + told.stdout).strip()
    version = re.search(r'version "(\d+)', words)
    if version is None or int(version[1]) < _OLDEST_JAVA:
        raise MeterbeamError(f"command {java}", words.partition("\n")[0] or "no version", how)
    return java


def _named_by_sources(part: str) -> str:
    """A changed pom or Java source is another part, so a cache never serves an old one."""
    digest = hashlib.sha256()
    for path in _sources(part):
        digest.update(path.relative_to(_HERE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{part}-{digest.hexdigest()[:12]}"


def _sources(part: str) -> list[Path]:
    """The pom, and the Java sources beside it where there are any."""
    folder = _HERE / part
    return [folder / "pom.xml", *sorted(path for path in (folder / "src").rglob("*") if path.is_file())]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file; another process waits. The lock ends with the process, however that ends."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def made_once(place: Path, make: Callable[[Path], None]) -> Path:
    """A folder that is there whole: found, or made beside its place and renamed into it.

    Args:
        place: The folder.
        make: Fills a new, empty folder.
    """
    if not place.is_dir():
        console.note(f"fetching {place.name}, once, into {place.parent} …")
        new = place.with_name(place.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        make(new)
        new.rename(place)
    return place


def _make_flink(new: Path) -> None:
    package = f"apache-flink-libraries=={FLINK_VERSION}"
    pip = (
        [sys.executable, "-m", "pip"]
        if find_spec("pip")
        else [_command("pip", "pip, or an environment with it")]
    )
    pip += ["download", "--quiet", "--no-deps", "--no-binary", "apache-flink-libraries"]
    _run([*pip, "--dest", str(new), package], new, package)
    (archive,) = new.glob("*.tar.gz")
    with tarfile.open(archive) as members:
        for member in members:
            path = Path(member.name)
            if member.isfile() and path.suffix == ".jar" and path.parts[-3:-1] == ("deps", "lib"):
                source = members.extractfile(member)
                if source is not None:
                    with source, (new / path.name).open("wb") as target:
                        shutil.copyfileobj(source, target)
    archive.unlink()


def _make_maven(part: str, new: Path) -> None:
    maven = _command("mvn", "Maven (on Debian: apt-get install maven)")
    for path in _sources(part):
        target = new / path.relative_to(_HERE / part)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    _run([maven, "--quiet", "--batch-mode", "--no-transfer-progress", "package"], new, f"{part}/pom.xml")
    for unshaded in new.glob("target/original-*.jar"):
        unshaded.unlink()


def _run(command: list[str], folder: Path, what: str) -> None:
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        last = "\n".join(done.stdout.strip().splitlines()[-12:])
        raise MeterbeamError(
            what, f"exit code {done.returncode} of {command[0]}:\n{last}", "a package registry in reach"
        )
