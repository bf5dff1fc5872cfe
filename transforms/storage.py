"""Where a lake's files lie: paths on disk, or below ``s3://bucket/prefix`` behind the same few calls.

A lake, its raw zone and receipts are reached through ``pathlib`` alone. On disk that is all there is. On
object storage (the S3 interface) an :class:`ObjectPath` answers the same calls; a file appears whole or not
at all in both (:func:`whole_file`), and is created by one of several writers only (``new=True``).

Endpoint, keys and region come from ``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``,
``AWS_REGION`` and the other variables of AWS's tools; no message shows a key.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import lru_cache
from io import BufferedReader, RawIOBase
from pathlib import Path, PosixPath
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Any, cast

import pyarrow as pa

from schemas.errors import MeterbeamError

if TYPE_CHECKING:
    from obstore.store import S3Store

__all__ = [
    "ObjectPath",
    "client_options",
    "endpoint",
    "on_disk",
    "place",
    "remove_tree",
    "source",
    "whole_file",
]

SCHEME = "s3:"
_OTHER = re.compile(r"^(gs|gcs|az|azure|abfss?|adl|hdfs|https?|file):/")
IN_MEMORY = 64 << 20
"""An object larger than this waits on disk until it is whole. [B]"""
READ_AHEAD = 1 << 18
"""Bytes fetched at once where a raw file is read piece by piece."""


def place(path: str | Path) -> Path:
    """The path that a user or another process named: on disk, or an object path for ``s3://…``.

    ``Path("s3://bucket/a")`` has lost a slash, and is understood nevertheless.

    Raises:
        MeterbeamError: It names storage of another kind, or no bucket.
    """
    text = str(path)
    if text.startswith(SCHEME + "/"):
        made = ObjectPath(text)
        if len(made.parts) < 2:
            raise MeterbeamError(text, "no bucket", "s3://BUCKET/PREFIX")
        return made
    if _OTHER.match(text):
        raise MeterbeamError(text, "a kind of storage not known here", "a folder, or s3://BUCKET/PREFIX")
    return Path(path)


def on_disk(path: Path) -> Path:
    """A path that must be one of this machine's.

    Raises:
        MeterbeamError: It is an address on object storage.
    """
    os.fspath(path)
    return path


class ObjectPath(PosixPath):
    """A path below ``s3://bucket``. Folders are prefixes of names: they need not be made.

    Beside the calls that only look at the name, it has those which a lake makes; a file is opened for
    reading only, and written by ``write_bytes`` or :func:`whole_file`.
    """

    _status: tuple[int, float] | None = None

    def __str__(self) -> str:
        return f"{SCHEME}//{'/'.join(self.parts[1:])}"

    def _elsewhere(self) -> MeterbeamError:
        return MeterbeamError(str(self), "an address on object storage", "a file or folder of this machine")

    def __fspath__(self) -> str:
        raise self._elsewhere()

    @property
    def store(self) -> S3Store:
        """The bucket."""
        return _bucket(self.parts[1], endpoint())

    @property
    def key(self) -> str:
        """The object's name in its bucket."""
        return "/".join(self.parts[2:])

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Size and time of the last change; the rest is nought.

        Raises:
            FileNotFoundError: There is no such object.
        """
        if self._status is None:
            import obstore

            with _explained(self):
                meta = obstore.head(self.store, self.key)
            size, changed = meta["size"], meta["last_modified"].timestamp()
        else:
            size, changed = self._status
        return os.stat_result((0o100644, 0, 0, 1, 0, 0, size, int(changed), int(changed), int(changed)))

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is such an object."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is such an object."""
        return self.exists()

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether any object lies below."""
        return next(self._below(), None) is not None

    def read_bytes(self) -> bytes:
        """The object's content.

        Raises:
            FileNotFoundError: There is no such object.
        """
        import obstore

        with _explained(self):
            return bytes(obstore.get(self.store, self.key).bytes())

    def read_text(self, encoding: str | None = None, errors: str | None = None, newline: Any = None) -> str:
        """The object's content as text, UTF-8 unless told otherwise."""
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def write_bytes(self, data: Any) -> int:
        """Write the whole object."""
        import obstore

        with _explained(self):
            obstore.put(self.store, self.key, bytes(data))
        return len(data)

    def fetch(self) -> tuple[bytes, str | None, float]:
        """The object's content, its entity tag, and the time of its last change.

        Raises:
            FileNotFoundError: There is no such object.
        """
        import obstore

        with _explained(self):
            found = obstore.get(self.store, self.key)
            return bytes(found.bytes()), found.meta["e_tag"], found.meta["last_modified"].timestamp()

    def swap(self, data: bytes, tag: str | None) -> str | None:
        """Write the object if it is still the one of an entity tag (None: if there is none); its new tag.

        Raises:
            obstore.exceptions.PreconditionError: It has changed.
            obstore.exceptions.AlreadyExistsError: There is one.
        """
        import obstore

        with _explained(self):
            mode: Any = "create" if tag is None else {"e_tag": tag}
            return obstore.put(self.store, self.key, data, mode=mode)["e_tag"]

    def open(self, mode: str = "r", *_: Any, **__: Any) -> Any:
        """The object, to be read as bytes from any position; one request a stretch."""
        if mode != "rb":
            raise self._elsewhere()
        return BufferedReader(_Ranges(self), READ_AHEAD)

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object; one that is not there is no error."""
        import obstore

        with _explained(self):
            obstore.delete(self.store, self.key)

    def touch(self, mode: int = 0o666, exist_ok: bool = True) -> None:
        """Give the object the present time, by writing it again."""
        self.write_bytes(self.read_bytes())

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: a name needs no folder."""

    def resolve(self, strict: bool = False) -> ObjectPath:
        """The same path: it is whole already."""
        return self

    def glob(self, pattern: str, **_: Any) -> Iterator[ObjectPath]:  # type: ignore[override]
        """Objects below whose names have as many parts as the pattern and match it part by part."""
        wanted = pattern.split("/")
        for path in self._below():
            names = path.parts[len(self.parts) :]
            if len(names) == len(wanted) and all(map(fnmatchcase, names, wanted)):
                yield path

    def rglob(self, pattern: str, **_: Any) -> Iterator[ObjectPath]:  # type: ignore[override]
        """Objects anywhere below whose own name matches the pattern."""
        return (path for path in self._below() if fnmatchcase(path.name, pattern))

    def iterdir(self) -> Generator[ObjectPath, None, None]:
        """What lies directly below: objects, and the common first parts of longer names."""
        import obstore

        with _explained(self):
            found = obstore.list_with_delimiter(self.store, f"{self.key}/" if self.key else None)
        names = (*found["common_prefixes"], *(meta["path"] for meta in found["objects"]))
        yield from (self / name.rstrip("/").rpartition("/")[2] for name in names)

    def _below(self) -> Iterator[ObjectPath]:
        import obstore

        with _explained(self):
            for some in obstore.list(self.store, f"{self.key}/" if self.key else None):
                for meta in some:
                    found = type(self)(f"{SCHEME}/{self.parts[1]}/{meta['path']}")
                    found._status = meta["size"], meta["last_modified"].timestamp()
                    yield found


class _Ranges(RawIOBase):
    """An object as a file: each read is one request for a range."""

    def __init__(self, path: ObjectPath) -> None:
        self._path, self._size, self._at = path, path.stat().st_size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        import obstore

        length = max(min(len(buffer), self._size - self._at), 0)
        if length:
            with _explained(self._path):
                data = obstore.get_range(self._path.store, self._path.key, start=self._at, length=length)
            buffer[:length] = memoryview(data)
            self._at += length
        return length


@contextmanager
def whole_file(path: Path, *, new: bool = False) -> Iterator[IO[bytes]]:
    """A file that is there complete and on disk, or not at all (temporary name, fsync, rename; or one put).

    Args:
        path: Where; its folder exists.
        new: Only where there is none yet.

    Raises:
        FileExistsError: There is one, and ``new`` was asked for.
    """
    if isinstance(path, ObjectPath):
        with SpooledTemporaryFile(IN_MEMORY) as draft:
            yield cast(IO[bytes], draft)
            draft.seek(0)
            _put(path, cast(IO[bytes], draft), new)
        return
    draft_path = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft_path.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        if new:
            os.link(draft_path, path)
        else:
            draft_path.replace(path)
    except OSError as error:
        if error.filename == str(draft_path) and error.errno != errno.EEXIST:
            error.filename = str(path)  # the name that the user knows
        raise
    finally:
        draft_path.unlink(missing_ok=True)


def _put(path: ObjectPath, content: IO[bytes], new: bool) -> None:
    import obstore
    from obstore.exceptions import AlreadyExistsError

    try:
        with _explained(path):
            obstore.put(path.store, path.key, content, mode="create" if new else "overwrite")
    except AlreadyExistsError:
        raise FileExistsError(str(path)) from None


def source(path: Path) -> Any:
    """A file for Arrow to read piece by piece, without a mapping into memory."""
    return pa.PythonFile(path.open("rb"), "r") if isinstance(path, ObjectPath) else pa.OSFile(str(path))


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, as far as can be."""
    if not isinstance(folder, ObjectPath):
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in list(folder.rglob("*")):
        path.unlink()


def endpoint() -> str | None:
    """Address of the object store; None: AWS's own."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def client_options() -> dict[str, Any]:
    """What a client of the store is told beside the environment: plain HTTP where the address says so."""
    return {"allow_http": True} if (endpoint() or "").startswith("http://") else {}


@lru_cache(maxsize=16)
def _bucket(name: str, address: str | None) -> S3Store:
    from obstore.store import S3Store

    return S3Store(name, endpoint=address, client_options=cast(Any, client_options()))


@contextmanager
def _explained(path: ObjectPath) -> Iterator[None]:
    """The store's own errors in our words; what a caller asks about (missing, exists, changed) stays."""
    from obstore import exceptions

    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(2, "no such object", str(path)) from error
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
        raise
    except exceptions.BaseError as error:
        said = " ".join(str(error).split("\n\nDebug source")[0].split())
        expected = "a bucket that AWS_ENDPOINT_URL, AWS_REGION and the keys in the environment reach"
        raise MeterbeamError(str(path), said, expected) from error
