"""``meterbeam readings``: explain a slot, say what a register shows, write days of the past."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()

_Lake = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the lake.")]
_Meter = Annotated[str, typer.Option(metavar="METER", help="As in the view readings.")]
_Channel = Annotated[str, typer.Option(metavar="CHANNEL", help="As in the view readings.")]
_AsOf = Annotated[
    str | None, typer.Option(metavar="T", help="As it stood then: a moment, a run number or a run id.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print as JSON, in whole micro-units.")]


@app.command("explain")
def explain(
    lake: _Lake,
    meter: _Meter,
    at: Annotated[str, typer.Option(metavar="TIME", help="A moment in the slot, with Z or an offset.")],
    channel: _Channel = "import",
    as_of: _AsOf = None,
    as_json: _Json = False,
) -> None:
    """Show where the value of a slot comes from, so that it can be redone by hand.

    What was received and which record holds, the rules that hit it, the edit in force, the references of an
    estimate, and the register interval with the scale factor. Computed again from the raw readings.

    Example:
        meterbeam readings explain --lake town --meter m000001 --at 2026-03-05T17:15Z
        meterbeam readings explain --lake town --meter m000001 --channel export --at 2026-03-05T12:00Z --json

    Raises:
        MeterbeamError: There is no such lake, series, slot or run.
        UsageError: A moment is none.
    """
    from pipelines.edit_record import stated_time
    from pipelines.query import parse_as_of
    from pipelines.readings.explain_slot import explain_slot
    from pipelines.readings.slot_text import slot_text
    from pipelines.store.lake import Lake

    found = explain_slot(Lake.open(lake), meter, channel, stated_time("--at", at), parse_as_of(as_of))
    sys.stdout.write(json.dumps(found) + "\n" if as_json else slot_text(found))


@app.command("register")
def register(
    lake: _Lake,
    meter: _Meter,
    at: Annotated[str, typer.Option(metavar="TIME", help="A moment, with Z or an offset.")],
    channel: _Channel = "import",
    as_of: _AsOf = None,
    as_json: _Json = False,
) -> None:
    """Say what the total register of a meter shows at a moment, as for a bill that begins or ends there.

    As read where it was; otherwise the sound read before it and every slot since, estimates included, past
    the last digit where the register has so many. Never back from a later read.

    Example:
        meterbeam readings register --lake town --meter m000001 --at 2026-03-01T00:00+01:00

    Raises:
        MeterbeamError: There is no read to count on from, another meter since, or a slot without a value.
        UsageError: A moment is none.
    """
    from pipelines.edit_record import stated_time
    from pipelines.query import parse_as_of
    from pipelines.readings.register_at import register_at, register_text
    from pipelines.store.lake import Lake
    from schemas.channels import CHANNELS
    from schemas.errors import UsageError

    if channel not in CHANNELS:
        raise UsageError("--channel", repr(channel), f"one of {', '.join(CHANNELS)}")
    found = register_at(Lake.open(lake), meter, channel, stated_time("--at", at), parse_as_of(as_of))
    sys.stdout.write(json.dumps(found) + "\n" if as_json else register_text(found))


@app.command("reference")
def reference(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="previous_year or proxy_day.")],
    lake: _Lake,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Avro file to write; its sheet stands beside it.")
    ],
    from_: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First local day.")],
    to: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last local day.")],
    meter: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this meter; may be repeated.")
    ] = None,
    station: Annotated[
        str, typer.Option(metavar="NAME", help="Station of the Weather records, for proxy_day.")
    ] = "",
    within: Annotated[
        float, typer.Option(min=0, max=50, metavar="K", help="Most that the temperature may differ.")
    ] = 2.0,
    every_day: Annotated[bool, typer.Option("--every-day", help="Also days that lack nothing.")] = False,
    unscaled: Annotated[
        bool, typer.Option("--unscaled", help="As they were, not × the ratio of average daily usage.")
    ] = False,
    as_of: _AsOf = None,
) -> dict[str, Any]:
    """Write readings that stand for days without any: those of last year, or of a day of like temperature.

    The file is input: give it to a backfill, drop it into the folder that --follow watches, or send it to the
    topic readings. Rule packs use it where their order names the method; it is never billed by itself.

    Example:
        meterbeam readings reference previous_year --lake town --from 2026-11-01 --to 2026-11-30 --out l.avro
        meterbeam readings reference proxy_day --lake t --from 2026-1-1 --to 2026-1-9 --station X --out p.avro

    Raises:
        MeterbeamError: There is no such lake, or it has no temperatures of the station.
        UsageError: The method, the days or the file are none.
    """
    from pipelines.query import parse_as_of
    from pipelines.readings.reference_days import METHODS, ReferenceOptions, write_references
    from pipelines.store.lake import Lake
    from schemas.errors import UsageError
    from transforms.storage import on_disk

    if method not in METHODS:
        raise UsageError.unknown("METHOD", method, METHODS)
    if to < from_:
        raise UsageError("--to", str(to.date()), f"a day not before {from_.date()}")
    if out.suffix != ".avro":
        raise UsageError("--out", out.name, "a file that ends in .avro")
    if method == "proxy_day" and not station:
        raise UsageError("--station", "none", "the station whose temperatures to compare, for proxy_day")
    options = ReferenceOptions(
        method=method,
        out=on_disk(out),
        first=from_.date(),
        last=to.date(),
        meters=tuple(meter or ()),
        station=station,
        within=round(within * 1000),
        every_day=every_day,
        scaled=not unscaled,
    )
    return write_references(Lake.open(lake, as_of=parse_as_of(as_of)), options)
