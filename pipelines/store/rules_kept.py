"""The rule book a lake goes on with: the one it is given, or that of its last run."""

from __future__ import annotations

from pipelines.store.lake import Lake
from schemas.errors import MeterbeamError
from schemas.rulebook import RuleBook, load_rule_book, parse_rule_book

__all__ = ["former_rules", "rules_changed", "rules_in_force"]


def rules_in_force(lake: Lake, name: str | None) -> RuleBook:
    """The book of this name, file or folder; without one that of the last run, ``default`` in a new lake.

    Raises:
        MeterbeamError: There is no such pack, a field is wrong, or the last run's pack is not known any more.
    """
    if name is not None:
        return load_rule_book(name)
    runs = lake.runs()
    former = runs["rules"][-1].as_py() if runs.num_rows else None
    if former is None:
        return load_rule_book("default")
    where = f"{lake.path}, rules of its last run"
    try:
        return parse_rule_book(former, where)
    except MeterbeamError as error:  # an older version's pack may say what this one no longer knows
        expected = "a pack that this version knows: name one with --rules"
        raise MeterbeamError(where, error.found, expected) from error


def former_rules(lake: Lake) -> RuleBook | None:
    """The book of the last run; None where there was no run, or its book is not known any more."""
    runs = lake.runs()
    former = runs["rules"][-1].as_py() if runs.num_rows else None
    try:
        return None if former is None else parse_rule_book(former, str(lake.path))
    except MeterbeamError:  # whatever it said: every day is computed again
        return None


def rules_changed(lake: Lake, book: RuleBook) -> bool:
    """Whether the last run had other rules; a lake without a run has none to differ from."""
    return lake.runs().num_rows > 0 and former_rules(lake) != book
