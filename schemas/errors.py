"""The one exception a user sees: where it happened, what was found, what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

__all__ = ["MeterbeamError", "UsageError"]


class MeterbeamError(Exception):
    """Input, data or settings that cannot be used. The command line ends with exit code 1.

    The message shows both sides, in the form ``WHERE: found FOUND, expected EXPECTED``.

    Args:
        where: File, offset, block, row, table or settings key, as exact as is known:
            ``"readings.avro, byte 4096"``.
        found: What is there: ``"a sync marker that differs from the header's"``.
        expected: What should be there, or what to do: ``"16 bytes 9f3c…"``.

    Attributes:
        where, found, expected: The arguments, unchanged.
    """

    exit_code = 1
    _tagged_with_step = True
    """Read by Beam, which otherwise adds the name of its step to ``where`` and logs a traceback."""

    def __init__(self, where: str, found: str, expected: str) -> None:
        # All three go to Exception.args, so that the error survives pickling between workers.
        super().__init__(where, found, expected)
        self.where = where
        self.found = found
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}, expected {self.expected}"

    def as_dict(self) -> dict[str, str]:
        """The three parts by name, for ``--json`` summaries and dead letters."""
        return {"where": self.where, "found": self.found, "expected": self.expected}

    @classmethod
    def unknown(cls, where: str, found: str, known: Sequence[str]) -> Self:
        """A name that is not among the known ones; the message lists what is there."""
        listed = ", ".join(sorted(known)) if known else "nothing"
        return cls(where, repr(found), f"one of: {listed}")


class UsageError(MeterbeamError):
    """Options that contradict each other. The command line ends with exit code 2."""

    exit_code = 2
