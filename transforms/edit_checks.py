"""What an edit must hold, by its kind."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.channels import CHANNELS
from schemas.estimators import METHODS

KINDS = ("set", "estimate", "accept", "reject", "revoke")
MOST = 10**7
"""Largest value of a slot in the billing unit."""


def check_edits(columns: dict[str, pa.Array], add: Callable[[NDArray[np.bool_], str], None]) -> None:
    """Note the reason of each edit that cannot be carried out.

    Args:
        columns: Of RAW_EDITS, shape (n,).
        add: Takes the rows hit and the reason.
    """
    names = ("kind", "meter_id", "channel", "from", "to", "value", "method")
    rows = zip(*(columns[name].to_pylist() for name in names), strict=True)
    reasons = [_reason(*row) for row in rows]
    for reason in dict.fromkeys(reasons):
        if reason is not None:
            add(np.array([each == reason for each in reasons], np.bool_), reason)


def _reason(
    kind: str | None,
    meter: str | None,
    channel: str | None,
    first: int | None,
    last: int | None,
    value: str | None,
    method: str | None,
) -> str | None:
    """Why an edit cannot be carried out, None where it can."""
    if kind is None or kind == "revoke":
        return None
    if kind not in KINDS:
        return f"kind {kind!r} is none of {', '.join(KINDS)}"
    if not meter or channel not in CHANNELS:
        return f"a {kind} needs a meter_id and a channel of the catalogue"
    if first is None or last is None or first >= last:
        return f"a {kind} needs a from before its to"
    if kind == "set" and not _fits(value):
        return f"a set needs a value of at most {MOST} in its billing unit"
    if method and (kind != "estimate" or method.lower() not in METHODS):
        return (
            f"method {method!r} is none of {', '.join(METHODS)}"
            if kind == "estimate"
            else "only an estimate has a method"
        )
    return None


def _fits(value: str | None) -> bool:
    if value is None:
        return False
    try:
        return abs(Decimal(value)) <= MOST
    except ArithmeticError:
        return False
