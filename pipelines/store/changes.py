"""What changed in the views of a lake since a past run, as SQL over its stored tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pipelines.store.view_sql import CONTRACT
from schemas.errors import UsageError

__all__ = ["VIEWS", "Selection", "changed_days", "changed_rows", "replaces", "withdrawn_keys"]

_DAYS = "stored.days_current"
_BASE = {
    "readings": _DAYS,
    "days": _DAYS,
    "findings": _DAYS,
    "gaps": _DAYS,
    "determinants": "stored.determinants_current",
    "bills": "stored.bills_rows",
    "bill_lines": "stored.bills_rows",
    "change_queue": "stored.change_queue_rows",
    "state_queue": "stored.state_queue_rows",
    "faults": "stored.faults_rows",
}
"""Views that can be sent, and the stored relation each is made of."""
VIEWS = tuple(_BASE)
_BY_METER_AND_DAY = ("readings", "days", "findings", "determinants")
_WHOLE = ("gaps", "change_queue", "state_queue", "faults")
_KEYS = {"determinants": "meter_id, local_day"}
_ADDRESS = "meter_id, channel, local_day"


@dataclass(frozen=True)
class Selection:
    """Which rows: of some meters (all when empty), of local days first … last (all when None)."""

    meters: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None

    def check(self, view: str) -> None:
        """Refuse a selection that the view cannot be cut by.

        Raises:
            UsageError: The view has no meter and day.
        """
        if (self.meters or self.first or self.last) and view not in _BY_METER_AND_DAY:
            expected = f"with one of: {', '.join(_BY_METER_AND_DAY)}"
            raise UsageError("--meter, --from, --to", view, expected)

    def where(self) -> str:
        """SQL condition; ``true`` for everything."""
        parts = ["true"]
        if self.meters:
            names = ", ".join("'" + meter.replace("'", "''") + "'" for meter in self.meters)
            parts.append(f"meter_id IN ({names})")
        if self.first is not None:
            parts.append(f"local_day >= DATE '{self.first}'")
        if self.last is not None:
            parts.append(f"local_day <= DATE '{self.last}'")
        return " AND ".join(parts)


def replaces(view: str) -> bool:
    """Whether each delivery of a view is its whole content, to stand in the place of the one before."""
    return view in _WHOLE


def changed_days(selection: Selection, since: int) -> str:
    """SELECT of current rows of ``days`` for formats with days of their own clock.

    The days that changed after a run, and the day before and after each: a market's day may hold slots of
    two local days.
    """
    rows = f"SELECT * FROM {_DAYS} WHERE {selection.where()}"
    if not since:
        return rows
    return (
        f"SELECT d.* FROM ({rows}) d SEMI JOIN (SELECT meter_id, channel, local_day AS changed FROM {_DAYS} "
        f"WHERE run_no > {since}) c ON d.meter_id = c.meter_id AND d.channel = c.channel "
        "AND d.local_day BETWEEN c.changed - 1 AND c.changed + 1"
    )


def changed_rows(view: str, selection: Selection, since: int) -> str:
    """SELECT of a view's rows that a receiver who has everything up to a run does not have.

    Args:
        view: One of ``VIEWS``.
        selection: Which meters and days.
        since: Last run sent; 0: nothing was.
    """
    base = _BASE[view]
    contract = CONTRACT[view]
    if view in _WHOLE:
        return f"SELECT * FROM ({contract})"
    if view == "bills":
        # A bill that a new revision supersedes is sent once more, reversed.
        new = f"SELECT bill_id, revision - 1 AS revision FROM {base} WHERE run_no > {since}"
        rows = f"(SELECT * FROM {base} WHERE run_no > {since} OR (bill_id, revision) IN ({new}))"
    else:
        rows = f"(SELECT * FROM {base} WHERE run_no > {since} AND {selection.where()})"
    select = contract.replace(base, rows)
    if view == "determinants":
        select = (
            f"SELECT v.*, r.revision FROM ({select}) v JOIN "
            f"(SELECT meter_id, local_day, revision FROM {base}) r USING (meter_id, local_day)"
        )
    return f"SELECT * FROM ({select}) ORDER BY ALL" if view in ("bills", "bill_lines") else select


def withdrawn_keys(view: str, selection: Selection, since: int) -> str | None:
    """SELECT of keys that a receiver has and that hold no row any more; None where a view has none."""
    if view not in _BY_METER_AND_DAY:
        return None
    keys = _KEYS.get(view, _ADDRESS)
    empty = "(findings IS NULL OR len(findings) = 0)" if view == "findings" else "withdrawn"
    return (
        f"SELECT {keys}, revision FROM {_BASE[view]} WHERE run_no > {since} AND revision > 1 "
        f"AND {empty} AND {selection.where()} ORDER BY {keys}"
    )


def anything_new(view: str, since: int) -> str:
    """SELECT of one boolean: whether the whole content of a view may differ from what was sent."""
    base = "stored.detect_runs_rows" if _BASE[view].endswith("_rows") else _BASE[view]
    return f"SELECT count(*) > 0 FROM {base} WHERE run_no > {since}"
