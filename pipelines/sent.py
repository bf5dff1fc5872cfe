"""What was sent: the record that an export keeps in its folder, so that the next one sends only changes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.store.parts import whole_file
from schemas.errors import MeterbeamError

__all__ = ["Sending", "SentRecord"]

RECORD = "sent.json"


@dataclass(frozen=True)
class Sending:
    """One delivery.

    Attributes:
        view: What was sent.
        format: How.
        selection: Which meters and days, as text.
        since: Run up to which everything had been sent before.
        run_no: Run up to which everything was sent by it.
        files: Names of the files.
        rows: Rows in the first of them.
    """

    view: str
    format: str
    selection: str
    since: int
    run_no: int
    files: tuple[str, ...]
    rows: int


class SentRecord:
    """The deliveries of one folder, all of one lake.

    Args:
        folder: Where the files go.
        lake_id: Tells one lake from another: the id of its first run.

    Raises:
        MeterbeamError: The record is of another lake, or cannot be read.
    """

    def __init__(self, folder: Path, lake_id: str) -> None:
        self._path = folder / RECORD
        self._lake_id = lake_id
        self._sent = self._read()

    def _read(self) -> list[Sending]:
        if not self._path.exists():
            return []
        try:
            content: dict[str, Any] = json.loads(self._path.read_text("utf-8"))
            lake_id = content["lake"]
            sent = [Sending(**{**row, "files": tuple(row["files"])}) for row in content["sent"]]
        except (ValueError, KeyError, TypeError) as error:
            raise MeterbeamError(
                str(self._path), f"unreadable content: {error}", "the record of an export"
            ) from error
        if lake_id != self._lake_id:
            raise MeterbeamError(
                str(self._path), "deliveries of another lake", "an empty folder, or one of this lake"
            )
        return sent

    def last_run(self, view: str, form: str, selection: str) -> int:
        """Run up to which a view has been sent; 0 for never.

        Raises:
            MeterbeamError: It was sent with another selection, so that what is missing cannot be known.
        """
        mine = [each for each in self._sent if (each.view, each.format) == (view, form)]
        if not mine:
            return 0
        if mine[-1].selection != selection:
            found = f"{view} sent with {mine[-1].selection}"
            raise MeterbeamError(str(self._path), found, f"{selection} in a folder of its own, or --whole")
        return mine[-1].run_no

    def add(self, sending: Sending) -> None:
        """Note a delivery; to be called when its files are there."""
        self._sent.append(sending)
        content = {"lake": self._lake_id, "sent": [asdict(each) for each in self._sent]}
        with whole_file(self._path) as out:
            out.write((json.dumps(content, indent=1) + "\n").encode())
