"""What a register shows at a moment without a read: the read before and all that was counted since.

Forward only: a register is never estimated back from a later read.
"""

from __future__ import annotations

import numpy as np

from models.series import Bool, Int

__all__ = ["counted_since", "shown"]


def counted_since(
    start: Int, interval_s: Int, value: Int, known: Bool, *, since: int, until: int
) -> tuple[int, int]:
    """Sum of the slots between two moments; a slot with a moment inside gives its part.

    Of a slot of value v the part up to t seconds in is ⌊v · t / length⌋ (docs/vee.md, Registers).

    Args:
        start: Of each slot, ascending, shape (n,). [s, UTC]
        interval_s: Its length, shape (n,). [s]
        value: Shape (n,). [micro-unit]
        known: Whether there is one, shape (n,).
        since: The earlier moment. [s, UTC]
        until: The later one. [s, UTC]

    Returns:
        The sum [micro-unit], and the first second that no known slot covers, ``until`` where all are covered.
    """
    at, total = since, 0
    end = start + interval_s
    first = int(np.searchsorted(end, since, side="right"))
    last = int(np.searchsorted(start, until))
    for low, length, own, there in zip(
        *(column[first:last].tolist() for column in (start, interval_s, value, known)), strict=True
    ):
        if low > at or not there:
            break
        high = min(low + length, until)
        total += own * (high - low) // length - own * (at - low) // length
        at = high
    return total, at


def shown(read: int, counted: int, modulus: int) -> int:
    """The register after so much more, past its last digit if it comes to that; a modulus 0 never does."""
    total = read + counted
    return total % modulus if modulus else total
