"""Edit records from the command line: checked, written, and put into force by a backfill of their own."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipelines.town.avro_write import write_records
from schemas.channels import CHANNELS
from schemas.errors import MeterbeamError, UsageError
from schemas.estimators import METHODS

__all__ = ["carried_out", "edit_record", "revoked"]


def edit_record(
    kind: str,
    meter: str,
    channel: str,
    span: tuple[str, str],
    user: str,
    reason: str,
    *,
    value: str | None,
    method: str | None,
) -> dict[str, Any]:
    """An edit of now, with an identity of its own.

    Raises:
        UsageError: A time, the channel, the value or the method cannot be one.
    """
    first, last = stated_time("--from", span[0]), stated_time("--to", span[1])
    if last <= first:
        raise UsageError("--to", span[1], f"a time after {span[0]}")
    if channel not in CHANNELS:
        raise UsageError("--channel", repr(channel), f"one of {', '.join(CHANNELS)}")
    if method is not None and method not in METHODS:
        raise UsageError("--method", repr(method), f"one of {', '.join(METHODS)}")
    return {
        **_signed(kind, uuid.uuid4().hex[:16], user, reason),
        "meter_id": meter,
        "channel": channel,
        "from": first,
        "to": last,
        "value": None if value is None else _number(value),
        "method": method,
    }


def revoked(edit: str, user: str, reason: str) -> dict[str, Any]:
    """The record that takes an edit back."""
    nowhen = datetime(1970, 1, 1, tzinfo=UTC)
    nothing = {"meter_id": "", "channel": "", "from": nowhen, "to": nowhen, "value": None, "method": None}
    return {**_signed("revoke", edit, user, reason), **nothing}


def _signed(kind: str, edit: str, user: str, reason: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    for option, text in (("--user", user), ("--reason", reason)):
        if not text.strip():
            raise UsageError(option, repr(text), "some words: an edit is kept with who and why")
    return {
        "edit_id": edit,
        "kind": kind,
        "user": user,
        "reason": reason,
        "edited_at": now,
        "received_at": now,
    }


def stated_time(option: str, text: str) -> datetime:
    """The moment that an option states, with an offset.

    Raises:
        UsageError: It is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(option, repr(text), "a time such as 2026-03-01T10:00Z") from error
    if found.tzinfo is None:
        raise UsageError(option, repr(text), "a time with Z or an offset, such as 2026-03-01T10:00+01:00")
    if not 1970 < found.year < 2200:
        raise UsageError(option, repr(text), "a time between 1971 and 2199")
    return found


def _number(text: str) -> float:
    try:
        exact = Decimal(text)
        micro = exact * 1_000_000
        if micro == int(micro) and abs(exact) <= 10**7:
            return float(exact)
    except (InvalidOperation, OverflowError, ValueError):
        pass
    raise UsageError(
        "--value", repr(text), "a number up to 10,000,000 of at most six decimals, in the billing unit"
    )


def carried_out(record: dict[str, Any], lake: Path | None, out: Path | None) -> dict[str, Any]:
    """Write the record to a file, put it into force in a lake, or both.

    Raises:
        UsageError: Neither is asked for.
        MeterbeamError: The lake is none, or knows no such meter or edit.
    """
    if lake is None and out is None:
        raise UsageError("--lake", "neither --lake nor --out", "a lake to edit, or a file to write")
    if lake is not None:
        _check_target(record, lake)
    summary: dict[str, Any] = {"edit_id": record["edit_id"], "kind": record["kind"]}
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_records(out, "Edit", [record])
        summary["file"] = str(out)
    return summary if lake is None else summary | _backfilled(record, lake)


def _check_target(record: dict[str, Any], lake: Path) -> None:
    """The lake must have the series, or the edit to revoke."""
    from pipelines.store.lake import Lake
    from pipelines.store.views import connect

    with connect(Lake.open(lake)) as views:
        if record["kind"] == "revoke":
            query, what = "SELECT 1 FROM edits WHERE edit_id = ? AND kind <> 'revoke'", [record["edit_id"]]
            found, expected = f"no edit {record['edit_id']!r} in force", "an edit_id of the view edits"
        else:
            query = "SELECT 1 FROM raw WHERE meter_id = ? AND channel = ? LIMIT 1"
            what = [record["meter_id"], record["channel"]]
            found = f"no reading of meter {what[0]!r}, channel {what[1]!r}"
            expected = "a meter and channel of the view raw"
        if not views.execute(query, what).fetchall():
            raise MeterbeamError(str(lake), found, expected)


def _backfilled(record: dict[str, Any], lake: Path) -> dict[str, Any]:
    """A run of its own, under the rules of the run before and through its last day."""
    from pipelines.backfill import BackfillOptions, backfill
    from pipelines.store.lake import Lake

    closed = Lake.open(lake).runs()["last_closed"][-1].as_py()
    with TemporaryDirectory() as folder:
        write_records(Path(folder) / "edit.avro", "Edit", [record])
        inputs = (Path(folder) / "edit.avro",)
        summary = backfill(BackfillOptions(inputs=inputs, lake=lake, through=closed, workers=1))
    return {name: summary[name] for name in ("run", "days_written", "bills_written")}
