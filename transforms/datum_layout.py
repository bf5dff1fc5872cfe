"""Which record a plain datum is, by its bytes alone, where a topic carries two kinds.

``readings`` carries blocks and single readings. Their first four fields are the same. A datum is a
``MeterReading`` if what follows is laid out as one, to its last byte: a value, a printable unit, a scaler,
a quality, three optional fields. In an ``IntervalBlock`` the unit's place is taken by its first values. A
block without any value reads as a single reading of zero, and is taken as one: as a block it says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["are_meter_readings"]

Int = NDArray[np.int64]
Bool = NDArray[np.bool_]
LONGEST_NUMBER = 10
LONGEST_UNIT = 16
MOST_SCALER = 20
_SPARE = bytes(LONGEST_NUMBER + LONGEST_UNIT + 1)
_PRINTABLE = 0x20


class _Cursors:
    """A position in each of n datums, moved over one field of all at a time.

    Attributes:
        at: Positions, shape (n,).
        sound: Datums whose fields so far lie within them, shape (n,).
    """

    def __init__(self, datums: Sequence[bytes]) -> None:
        self.data = np.frombuffer(b"".join((*datums, _SPARE)), np.uint8)
        sizes = np.fromiter(map(len, datums), np.int64, len(datums))
        self.ends: Int = np.cumsum(sizes)
        self.at: Int = self.ends - sizes
        self.sound = np.ones(len(datums), np.bool_)

    def number(self) -> Int:
        """Read a zigzag number; what it is counts only where the datum stays sound."""
        bits = np.zeros(len(self.at), np.uint64)
        open_ = self.sound.copy()
        for k in range(LONGEST_NUMBER):
            octet = self.data[self.at].astype(np.uint64)
            bits[open_] |= (octet[open_] & np.uint64(0x7F)) << np.uint64(7 * k)
            self.at += open_
            open_ &= octet > 0x7F
            if not open_.any():
                break
        self._keep(~open_ & (self.at <= self.ends))
        return (bits >> np.uint64(1)).view(np.int64) ^ -(bits & np.uint64(1)).view(np.int64)

    def skip(self, sizes: Int) -> None:
        """Move on by some bytes."""
        left = self.ends - self.at
        self._keep((sizes >= 0) & (sizes <= left))
        self.at += np.where(self.sound, sizes, 0)

    def printable(self, sizes: Int) -> None:
        """Move over short texts of printable characters, at least one."""
        self._keep((sizes > 0) & (sizes <= LONGEST_UNIT))
        for k in range(int(sizes[self.sound].max(initial=0))):
            self._keep((k >= sizes) | (self.data[np.minimum(self.at + k, len(self.data) - 1)] >= _PRINTABLE))
        self.skip(sizes)

    def optional(self, *, text: bool) -> None:
        """Move over a union of null and a number, or of null and a text."""
        branch = self.number()
        self._keep((branch == 0) | (branch == 1))
        there = self.sound & (branch == 1)
        absent, self.sound = self.sound & ~there, there
        size = self.number()
        if text:
            self.skip(size)
        self.sound |= absent

    def _keep(self, good: Bool) -> None:
        self.sound &= good
        self.at = np.where(self.sound, self.at, np.minimum(self.at, self.ends))


def are_meter_readings(datums: Sequence[bytes]) -> Bool:
    """Which datums are single readings in the contract's own schema; shape (n,)."""
    cursors = _Cursors(datums)
    for _ in ("meter_id", "channel"):
        cursors.skip(cursors.number())
    for _ in ("start", "interval_s", "value"):
        cursors.number()
    cursors.printable(cursors.number())
    cursors._keep(np.abs(cursors.number()) <= MOST_SCALER)
    cursors.number()
    for text in (False, True, False):  # received_at, source, sequence
        cursors.optional(text=text)
    whole: Bool = cursors.sound & (cursors.at == cursors.ends)
    return whole
