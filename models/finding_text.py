"""Findings in words: what a rule saw and what it expected, with units."""

from __future__ import annotations

__all__ = ["finding_texts", "quantity"]

MICRO = 1_000_000

_COUNTS = {
    "missing": ("{} slots without a reading", "a reading in every slot"),
    "sibling_missing": ("{} slots that other channels of the meter have", "a reading in them too"),
    "power_failure": ("{} slots touched by an outage", "power"),
    "zero_run": ("{} slots", "fewer than {} slots"),
    "flat_line": ("{} slots", "fewer than {} slots"),
    "prolonged_estimation": ("{} days", "at most {} days"),
}
"""Rules that count slots or days."""
_NOTHING_ELSE = {
    "read_interval": "an advance that can scale and judge",
    "register_decreased": "a register that only grows, or wraps",
    "stale_snapshot": "a new register and clock in each read",
    "test_mode": "no test mode",
    "meter_id_mismatch": "the meter's own id",
    "pulse_overflow": "no pulses lost",
    "reverse_rotation": "rotation forward",
    "clock_changed": "a clock that is not set",
}
"""Rules that see a quantity and expect no other one."""
_RELATIONS = {
    "negative": "at least ",
    "low_usage": "about ",
    "high_usage": "about ",
    "leak": "an hour at night of at most ",
}
"""How the expected quantity is meant; at most, where nothing stands here."""
_EXACTLY = ("sum_check", "tou_registers")


def finding_texts(rule: str, seen: int, expected: int, unit: str) -> tuple[str, str]:
    """What a rule saw and expected.

    Args:
        rule: Its name.
        seen: As in ``models.series.Findings``.
        expected: The same.
        unit: Billing unit of the channel.
    """
    if rule == "conflict":
        return "different values", "one value a slot"
    if rule in _COUNTS:
        saw, wanted = _COUNTS[rule]
        return saw.format(seen), wanted.format(expected)
    if rule in _NOTHING_ELSE:
        return quantity(seen, unit), _NOTHING_ELSE[rule]
    relation = "" if rule in _EXACTLY else _RELATIONS.get(rule, "at most ")
    return quantity(seen, unit), relation + quantity(expected, unit)


def quantity(micro: int, unit: str) -> str:
    """Micro-units as a decimal with its unit, without trailing zeros."""
    sign = "-" if micro < 0 else ""
    whole, rest = divmod(abs(micro), MICRO)
    decimals = f".{rest:06d}".rstrip("0").rstrip(".")
    return f"{sign}{whole}{decimals} {unit}"
