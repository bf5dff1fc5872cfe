"""Quality codes of other systems: ESPI QualityOfReading, CIM ReadingQuality, NEM12 flags.

Each table is used in both directions. A system with fewer codes than ours is entered at the class that
claims no more than ours does; ``*_of`` gives its code, ``from_*`` the class a code is worth. Where a
code stands for several of ours, ``from_*`` names the one that promises least.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas.quality import Quality

__all__ = [
    "ESPI_EXTERNAL_ESTIMATES",
    "ESPI_KNOWN",
    "ESPI_MEASURED",
    "cim_of",
    "espi_of",
    "from_cim",
    "from_espi",
    "from_nem12",
    "nem12_day",
    "nem12_of",
]

ESPI_MEASURED = frozenset({0, 14})
"""Codes a head-end gives a value as measured (0 valid, 14 raw)."""
ESPI_EXTERNAL_ESTIMATES = frozenset({8, 9, 12})
"""Codes of values the head-end itself estimated: reference day, interpolated, projected."""

_ESPI: dict[int, Quality] = {
    0: Quality.MEASURED,  # valid, as the head-end sees it
    7: Quality.EDITED,  # manually edited
    8: Quality.ESTIMATED,  # estimated using reference day
    9: Quality.ESTIMATED,  # estimated using linear interpolation
    10: Quality.QUESTIONABLE,
    11: Quality.SUBSTITUTED,  # derived
    12: Quality.ESTIMATED,  # projected
    13: Quality.QUESTIONABLE,  # mixed
    14: Quality.MEASURED,  # raw
    15: Quality.MEASURED,  # normalised for weather
    16: Quality.QUESTIONABLE,  # other
    17: Quality.VALIDATED,
    18: Quality.VERIFIED,
    19: Quality.VERIFIED,  # revenue quality
}
ESPI_KNOWN = frozenset(_ESPI)

_ESPI_OF: dict[Quality, int | None] = {
    Quality.MISSING: None,  # the reading is absent
    Quality.FAILED: 10,
    Quality.QUESTIONABLE: 10,
    Quality.ESTIMATED: 8,
    Quality.SUBSTITUTED: 11,
    Quality.EDITED: 7,
    Quality.MEASURED: 14,
    Quality.VALIDATED: 17,
    Quality.VERIFIED: 18,
}

_CIM: dict[str, Quality] = {
    "1.0.0": Quality.VERIFIED,
    "3.0.1": Quality.VALIDATED,
    "2.0.0": Quality.MEASURED,
    "2.5.258": Quality.QUESTIONABLE,
    "3.10.0": Quality.QUESTIONABLE,
    "2.6.0": Quality.FAILED,
    "2.5.256": Quality.FAILED,
    "3.8.1": Quality.ESTIMATED,
    "3.12.0": Quality.ESTIMATED,
    "3.7.1": Quality.EDITED,
    "2.5.259": Quality.MISSING,
}

_CIM_OF: dict[Quality, str] = {
    Quality.MISSING: "2.5.259",
    Quality.FAILED: "2.6.0",
    Quality.QUESTIONABLE: "2.5.258",
    Quality.ESTIMATED: "3.8.1",
    Quality.SUBSTITUTED: "3.8.1",
    Quality.EDITED: "3.7.1",
    Quality.MEASURED: "2.0.0",
    Quality.VALIDATED: "3.0.1",
    Quality.VERIFIED: "1.0.0",
}

_NEM12: dict[str, Quality] = {
    "A": Quality.MEASURED,
    "E": Quality.ESTIMATED,
    "F": Quality.SUBSTITUTED,
    "S": Quality.SUBSTITUTED,
    "N": Quality.MISSING,
}

_NEM12_OF: dict[Quality, str] = {
    Quality.MISSING: "N",
    Quality.FAILED: "N",
    Quality.QUESTIONABLE: "A",
    Quality.ESTIMATED: "E",
    Quality.SUBSTITUTED: "F",
    Quality.EDITED: "F",
    Quality.MEASURED: "A",
    Quality.VALIDATED: "A",
    Quality.VERIFIED: "A",
}


def espi_of(quality: Quality) -> int | None:
    """ESPI QualityOfReading of one of our classes; None = the reading is left out."""
    return _ESPI_OF[quality]


def from_espi(code: int | None) -> Quality:
    """The class an ESPI QualityOfReading is worth.

    Raises:
        ValueError: The code is not in the ESPI list.
    """
    if code is None:
        return Quality.MISSING
    if code not in _ESPI:
        raise ValueError(f"unknown ESPI QualityOfReading {code}, expected one of {sorted(_ESPI)}")
    return _ESPI[code]


def cim_of(quality: Quality) -> str:
    """CIM ReadingQuality ``system.category.index`` (IEC 61968-9) of one of our classes."""
    return _CIM_OF[quality]


def from_cim(code: str) -> Quality:
    """The class a CIM ReadingQuality is worth.

    Raises:
        ValueError: The code is not mapped.
    """
    if code not in _CIM:
        raise ValueError(f"unknown CIM ReadingQuality {code!r}, expected one of {sorted(_CIM)}")
    return _CIM[code]


def nem12_of(quality: Quality) -> str:
    """NEM12 quality flag of one of our classes. QUESTIONABLE is ``A`` and wants a reason code beside it."""
    return _NEM12_OF[quality]


def from_nem12(flag: str) -> Quality:
    """The class a NEM12 quality method is worth; the method number after the letter does not matter.

    ``V`` (varies) has no class of its own: read the 400 records.

    Raises:
        ValueError: Not A, E, F, S or N.
    """
    letter = flag.strip()[:1].upper()
    if letter not in _NEM12:
        raise ValueError(
            f"unknown NEM12 quality flag {flag!r}, expected one of {sorted(_NEM12)} (V: see its 400 records)"
        )
    return _NEM12[letter]


def nem12_day(qualities: Iterable[Quality]) -> str:
    """NEM12 flag of a whole 300 record: the one flag of all its slots, or ``V`` with 400 records."""
    flags = {nem12_of(quality) for quality in qualities}
    return flags.pop() if len(flags) == 1 else "V"
