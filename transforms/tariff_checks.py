"""What a received tariff version must hold: a tariff as its file would be, under its own name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.errors import MeterbeamError
from schemas.tariff import parse_tariff


def check_tariffs(columns: dict[str, pa.Array], add: Callable[[NDArray[np.bool_], str], None]) -> None:
    """Note the reason of each tariff version that cannot be priced by.

    Args:
        columns: Of RAW_TARIFFS, shape (n,).
        add: Takes the rows hit and the reason.
    """
    rows = list(zip(columns["tariff_id"].to_pylist(), columns["yaml"].to_pylist(), strict=True))
    for place, (name, text) in enumerate(rows):
        reason = _reason(name, text)
        if reason is not None:
            add(np.arange(len(rows)) == place, reason)


def _reason(name: str | None, text: str | None) -> str | None:
    """Why a tariff version cannot be priced by, None where it can."""
    if name is None or text is None:
        return None  # said by the check of required fields
    try:
        tariff = parse_tariff(text, "yaml")
    except MeterbeamError as error:
        return str(error)
    return None if tariff.id == name else f"yaml: found tariff {tariff.id}, expected {name} as in tariff_id"
