"""The rule book a lake goes on with: the one it is given, or that of its last run."""

from __future__ import annotations

from pipelines.store.lake import Lake
from schemas.rulebook import RuleBook, load_rule_book, parse_rule_book

__all__ = ["rules_changed", "rules_in_force"]


def rules_in_force(lake: Lake, name: str | None) -> RuleBook:
    """The book of this name, file or folder; without one that of the last run, ``default`` in a new lake.

    Raises:
        MeterbeamError: There is no such pack, or a field is wrong.
    """
    if name is not None:
        return load_rule_book(name)
    runs = lake.runs()
    former = runs["rules"][-1].as_py() if runs.num_rows else None
    if former is None:
        return load_rule_book("default")
    return parse_rule_book(former, f"{lake.path}, rules of its last run")


def rules_changed(lake: Lake, book: RuleBook) -> bool:
    """Whether the last run had other rules; a lake without a run has none to differ from."""
    runs = lake.runs()
    former = runs["rules"][-1].as_py() if runs.num_rows else None
    return former is not None and parse_rule_book(former, f"{lake.path}, rules of its last run") != book
