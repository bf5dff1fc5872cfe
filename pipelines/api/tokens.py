"""Tokens: who may ask for what. The file keeps hashes only; a token is shown once, when it is made."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.store.parts import whole_file
from schemas.errors import MeterbeamError
from transforms.storage import on_disk

__all__ = ["CUSTOMER_SCOPES", "SCOPES", "Token", "TokenBook", "TokenFileError", "make_token", "revoke_token"]

SCOPES = ("readings", "bills", "findings", "queues", "groups", "runs")
"""What a token may read."""
CUSTOMER_SCOPES = ("readings", "bills", "findings")
"""What the token of a customer may read, of the customer's own."""


class TokenFileError(MeterbeamError):
    """The file of tokens cannot be read: the server's fault, not the caller's."""


@dataclass(frozen=True)
class Token:
    """One token.

    Attributes:
        name: Names it in logs; never a person.
        hash: SHA-256 of the token.
        scopes: What it may read.
        customer: The customer it belongs to: it sees only that one's meters and bills. None: an
            application's, it sees all.
        expires: When it ends, UTC, ISO 8601; None: never.
    """

    name: str
    hash: str
    scopes: tuple[str, ...]
    customer: str | None = None
    expires: str | None = None

    def valid(self, now: datetime) -> bool:
        """Whether it has not ended."""
        return self.expires is None or now < datetime.fromisoformat(self.expires)


class TokenBook:
    """The tokens of a file, read again when the file changes.

    Args:
        path: JSON file made by ``meterbeam api token``.

    Raises:
        MeterbeamError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = on_disk(path)
        self._read_at = (-1, -1)
        self._tokens: dict[str, Token] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the file if it changed."""
        try:
            status = self._path.stat()
            changed = status.st_mtime_ns, status.st_ino
            if changed == self._read_at:
                return
            rows: list[dict[str, Any]] = json.loads(self._path.read_text("utf-8"))
            tokens = [Token(**{**row, "scopes": tuple(row["scopes"])}) for row in rows]
        except (OSError, ValueError, TypeError, KeyError) as error:
            found = (error.strerror or "").lower() if isinstance(error, OSError) else "other content"
            raise TokenFileError(str(self._path), found, "tokens made by `meterbeam api token`") from error
        self._read_at, self._tokens = changed, {token.hash: token for token in tokens}

    def find(self, secret: str, now: datetime) -> Token | None:
        """The valid token that this secret is; None where it is none."""
        self.refresh()
        token = self._tokens.get(_hash(secret))
        return token if token is not None and token.valid(now) else None


def make_token(
    path: Path, name: str, scopes: tuple[str, ...], customer: str | None, expires: datetime | None
) -> str:
    """Add a token to a file, made where it is new and readable by its owner only; returns the secret.

    Raises:
        MeterbeamError: The name is taken, or the file cannot be read.
    """
    rows = _rows(path) if on_disk(path).exists() else []
    if any(row["name"] == name for row in rows):
        raise MeterbeamError(str(path), f"a token named {name}", "a new name")
    secret = f"mb_{secrets.token_urlsafe(32)}"
    until = None if expires is None else expires.astimezone(UTC).isoformat()
    _keep(path, [*rows, asdict(Token(name, _hash(secret), scopes, customer, until))])
    return secret


def revoke_token(path: Path, name: str) -> None:
    """Take a token out of a file, with the customer it was made for.

    Raises:
        MeterbeamError: There is none of this name, or the file cannot be read.
    """
    rows = _rows(path)
    left = [row for row in rows if row["name"] != name]
    if len(left) == len(rows):
        raise MeterbeamError(str(path), f"no token named {name}", "the name of one that is there")
    _keep(path, left)


def _rows(path: Path) -> list[dict[str, Any]]:
    """Tokens of a file that can be read, as they stand there."""
    TokenBook(path)
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    return found


def _keep(path: Path, rows: list[dict[str, Any]]) -> None:
    with whole_file(path) as out:
        os.fchmod(out.fileno(), 0o600)
        out.write((json.dumps(rows, indent=1) + "\n").encode())


def _hash(secret: str) -> str:
    """A token has 256 random bits: no salt and no slow hash is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()
