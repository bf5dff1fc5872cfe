"""``meterbeam edit``: a person's decision on a range of slots, as a record like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()

_Lake = Annotated[
    Path | None, typer.Option("--lake", metavar="DIR", help="Put it into force in this lake at once.")
]
_Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Write the Avro record here, for backfill or Kafka."),
]
_Meter = Annotated[str, typer.Option("--meter", help="Meter id.")]
_Channel = Annotated[str, typer.Option("--channel", help="A name of the channel catalogue.")]
_From = Annotated[str, typer.Option("--from", metavar="TIME", help="First slot, such as 2026-03-01T10:00Z.")]
_To = Annotated[str, typer.Option("--to", metavar="TIME", help="End of the range, exclusive.")]
_User = Annotated[str, typer.Option("--user", help="Who decides.")]
_Reason = Annotated[str, typer.Option("--reason", help="Why.")]


@app.command("set")
def set_(
    meter: _Meter,
    from_: _From,
    to: _To,
    value: Annotated[str, typer.Option("--value", help="Of each slot, in the billing unit (kWh, m³ …).")],
    user: _User,
    reason: _Reason,
    channel: _Channel = "import",
    lake: _Lake = None,
    out: _Out = None,
) -> dict[str, Any]:
    r"""Set every slot of a range to a value. Neither registers nor later readings change it.

    Example:
        meterbeam edit set --lake lake --meter m1 --from 2026-03-01T10:00Z --to 2026-03-01T11:00Z \
          --value 0.25 --user ann --reason "site visit"
    """
    return _edit("set", meter, channel, from_, to, user, reason, lake, out, value=value)


@app.command("estimate")
def estimate(
    meter: _Meter,
    from_: _From,
    to: _To,
    user: _User,
    reason: _Reason,
    method: Annotated[
        str | None, typer.Option("--method", help="linear, similar, like_day, two_week, multi_week, flat.")
    ] = None,
    channel: _Channel = "import",
    lake: _Lake = None,
    out: _Out = None,
) -> dict[str, Any]:
    r"""Estimate a range anew, by one method or by the rule pack's own order, whatever was received.

    Example:
        meterbeam edit estimate --lake lake --meter m1 --from 2026-03-01T10:00Z --to 2026-03-02T10:00Z \
          --method like_day --user ann --reason "display fault"
    """
    return _edit("estimate", meter, channel, from_, to, user, reason, lake, out, method=method)


@app.command("accept")
def accept(
    meter: _Meter,
    from_: _From,
    to: _To,
    user: _User,
    reason: _Reason,
    channel: _Channel = "import",
    lake: _Lake = None,
    out: _Out = None,
) -> dict[str, Any]:
    r"""Accept the values received in a range: no rule judges them any more.

    Example:
        meterbeam edit accept --lake lake --meter m1 --from 2026-03-01T10:00Z --to 2026-03-01T11:00Z \
          --user ann --reason "the customer was welding"
    """
    return _edit("accept", meter, channel, from_, to, user, reason, lake, out)


@app.command("reject")
def reject(
    meter: _Meter,
    from_: _From,
    to: _To,
    user: _User,
    reason: _Reason,
    channel: _Channel = "import",
    lake: _Lake = None,
    out: _Out = None,
) -> dict[str, Any]:
    r"""Reject the values received in a range: they count as never received, and are estimated.

    Example:
        meterbeam edit reject --lake lake --meter m1 --from 2026-03-01T10:00Z --to 2026-03-01T11:00Z \
          --user ann --reason "wrong transformer ratio"
    """
    return _edit("reject", meter, channel, from_, to, user, reason, lake, out)


@app.command("revoke")
def revoke(
    edit: Annotated[str, typer.Argument(metavar="EDIT_ID", help="The edit, as edit_id in the view edits.")],
    user: _User,
    reason: _Reason,
    lake: _Lake = None,
    out: _Out = None,
) -> dict[str, Any]:
    """Take an edit back: the slots are again what rules and readings make them.

    Example:
        meterbeam edit revoke 9f0c2e7a --lake lake --user ann --reason "wrong meter"
    """
    from pipelines.edit_record import carried_out, revoked

    return carried_out(revoked(edit, user, reason), lake, out)


def _edit(
    kind: str,
    meter: str,
    channel: str,
    first: str,
    last: str,
    user: str,
    reason: str,
    lake: Path | None,
    out: Path | None,
    *,
    value: str | None = None,
    method: str | None = None,
) -> dict[str, Any]:
    from pipelines.edit_record import carried_out, edit_record

    record = edit_record(kind, meter, channel, (first, last), user, reason, value=value, method=method)
    return carried_out(record, lake, out)
