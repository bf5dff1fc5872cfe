"""Quality, method and flag codes: what a value is worth, how it was made, which rules hit."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Quality(IntEnum):
    """What a value is worth, worst first. Stored as its integer, shown as its name."""

    MISSING = 0
    """No value."""
    FAILED = 1
    """A value that failed validation and was not replaced."""
    QUESTIONABLE = 2
    """A measured value that a rule doubts; kept and billed."""
    ESTIMATED = 3
    """There was no value."""
    SUBSTITUTED = 4
    """A failed value was replaced."""
    EDITED = 5
    """Set or accepted by a person."""
    MEASURED = 6
    """As received, not yet validated."""
    VALIDATED = 7
    """Passed every rule."""
    VERIFIED = 8
    """Also confirmed by the register (sum check)."""


class Method(IntEnum):
    """How a value was made. ``SCALED`` variants were moved so that the register's advance is met."""

    NONE = 0
    LINEAR = 1
    LIKE_DAY = 2
    FLAT = 3
    ZERO = 4
    EXTERNAL = 5
    REGISTER = 6
    MANUAL = 7
    SIMILAR = 8
    TWO_WEEK = 9
    MULTI_WEEK = 10
    CHECK = 11
    CLASS_PROFILE = 12
    PREVIOUS_YEAR = 13
    PROXY_DAY = 14
    LINEAR_SCALED = 17
    LIKE_DAY_SCALED = 18
    FLAT_SCALED = 19
    EXTERNAL_SCALED = 21
    SIMILAR_SCALED = 24
    TWO_WEEK_SCALED = 25
    MULTI_WEEK_SCALED = 26
    CHECK_SCALED = 27
    CLASS_PROFILE_SCALED = 28
    PREVIOUS_YEAR_SCALED = 29
    PROXY_DAY_SCALED = 30


SCALED = 16
"""Added to a Method when the estimate was scaled to the register."""


class Flag(IntFlag):
    """Rules that hit a slot."""

    CONFLICT = 1
    NEGATIVE = 2
    SPIKE = 4
    OVER_CAPACITY = 8
    FLAT_LINE = 16
    ZERO_RUN = 32
    HIGH_USAGE = 64
    LOW_USAGE = 128
    SUM_CHECK = 256
    OUTAGE = 512
    DISCONNECTED = 1024
    EXTERNAL = 2048
    STALE_SNAPSHOT = 1 << 12
    TEST_MODE = 1 << 13
    METER_ID_MISMATCH = 1 << 14
    PULSE_OVERFLOW = 1 << 15
    REVERSE_ROTATION = 1 << 16
    CLOCK_CHANGED = 1 << 17
    REACTIVE_WITHOUT_ACTIVE = 1 << 18
    DISCONNECTED_USAGE = 1 << 19
    INACTIVE_USAGE = 1 << 20
    HISTORICAL_MAX = 1 << 21
    HIGH_SLOT = 1 << 22
    LEAK = 1 << 23
