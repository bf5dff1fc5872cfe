"""The account of a run: what was read, and what became of every reading."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from models.place import Account
from schemas.errors import MeterbeamError

__all__ = ["Tally"]


@dataclass
class Tally:
    """The account of a run: decoded readings = new + repeats + dead, to the reading."""

    files: int = 0
    repeated_files: int = 0
    rows: int = 0
    readings: int = 0
    dead: int = 0
    undecodable_rows: int = 0
    dead_letters: int = 0
    processed: Account = field(default_factory=Account)
    repeated_readings: int = 0
    days: int = 0
    bills: int = 0
    findings: dict[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Raise when a reading is unaccounted for: then nothing is published."""
        stored = self.readings - self.dead - self.repeated_readings
        if stored != self.processed.fresh:
            raise MeterbeamError(
                "account of the run",
                f"{self.processed.fresh} readings processed",
                f"{stored}, as many as were stored",
            )

    def summary(self, *, whole: bool = True) -> dict[str, Any]:
        """The account as it is printed and kept in ``runs``.

        Args:
            whole: Whether every shard was read; otherwise nobody counted what is superseded.
        """
        repeats = self.repeated_readings + self.processed.repeats
        return {
            "readings_in": self.readings,
            "new": self.processed.fresh - self.processed.repeats,
            "exact_repeats": repeats,
            "dead": self.dead,
            **({"superseded": self.processed.superseded} if whole else {}),
            "undecodable_rows": self.undecodable_rows,
            "dead_letters": self.dead_letters,
            "files": self.files,
            "repeated_files": self.repeated_files,
            "days_written": self.days,
            "bills_written": self.bills,
            "findings": dict(sorted(self.findings.items())),
        }
