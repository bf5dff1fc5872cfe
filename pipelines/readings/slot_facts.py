"""One slot of a lake with all that its result was made of, read from the raw zone and computed again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.assemble import Group, ShardInputs, series_rows
from models.calendar import epoch_day, local_day, utc_text
from models.edits import edit_records, validate_with_edits, with_edits
from models.master import MICROS
from models.pack_days import PackDays
from models.series import SeriesFacts, SeriesResult
from models.shard_run import ShardRun
from models.sharding import shard_of_id
from models.vee import Stages, stages
from pipelines.batch.retired import retired
from pipelines.batch.shard_job import ProcessJob, masters, shard_inputs
from pipelines.batch.shard_ranges import ShardRange
from pipelines.store.lake import Lake
from pipelines.store.rules_kept import rules_in_force
from schemas.errors import MeterbeamError
from schemas.lake import RAW_FILES
from schemas.records import Kind
from schemas.rulepack import RulePack

__all__ = ["SlotFacts", "meter_inputs", "slot_facts"]

CELLS = 1 << 21


@dataclass(frozen=True)
class SlotFacts:
    """A slot and its surroundings.

    Attributes:
        meter, channel: Whose.
        row, column: Its place in ``facts``, whose row may be that of several linked meters.
        received: As received.
        facts: As edits left them.
        packs: In force on the rows.
        made: The stages of the computation.
        result: What came of it.
        intervals: Raw interval records of the meter and channel.
        edit: The edit that decides the slot, a row of RAW_EDITS; None where there is none.
        inputs: All records.
    """

    meter: str
    channel: str
    row: int
    column: int
    received: SeriesFacts
    facts: SeriesFacts
    packs: PackDays
    made: Stages
    result: SeriesResult
    intervals: pa.Table
    edit: dict[str, Any] | None
    inputs: ShardInputs

    @property
    def flat(self) -> int:
        """Flat number of the slot."""
        return self.row * self.facts.grid.slots + self.column

    @property
    def start(self) -> int:
        """Second it begins at, UTC."""
        return int(self.facts.grid.starts[self.column])

    @property
    def day(self) -> int:
        """Index of its local day."""
        return int(self.facts.grid.day_of_slot[self.column])

    @property
    def pack(self) -> RulePack:
        """The pack in force on its day."""
        return self.packs.at(self.row, self.day)


def slot_facts(lake: Lake, meter: str, channel: str, second: int) -> SlotFacts:
    """Compute the slot of a moment again, as of the lake's run.

    Args:
        lake: The lake, as of a run.
        meter: Whose slot.
        channel: Of it.
        second: Any moment within the slot, UTC.

    Raises:
        MeterbeamError: There is no such series or no such slot in its range, or its readings have left the
            lake.
    """
    where = f"{lake.path}: {meter} {channel}"
    job = _job(lake)
    inputs = _inputs(lake, job, meter)
    names = {row.name for row in series_rows(inputs)}
    if (meter, channel) not in names:
        known = ", ".join(sorted(of for name, of in names if name == meter))
        raise MeterbeamError(
            str(lake.path),
            f"no readings of {meter} {channel}",
            f"a channel of it: {known}" if known else "a meter_id of the view days",
        )
    day = local_day(lake.config.timezone, second)
    scope = {name: [(day, day)] for name in names}
    if not retired(lake).open_days(scope, job.book)[meter, channel]:
        raise MeterbeamError(
            where, f"{utc_text(second)}, whose raw readings have left the lake", "a later slot"
        )
    run = ShardRun(inputs, job.book, scope)
    for group, decided, packs in run.prepared():
        at = (second - group.facts.grid.origin) // group.facts.grid.interval_s
        if not 0 <= at < group.facts.grid.slots:
            continue
        row = _row(group, (meter, channel), at)
        if row is None:
            continue
        facts = with_edits(group.facts, decided)
        own = pc.and_(
            pc.equal(inputs.intervals["meter_id"].cast(pa.string()), meter),
            pc.equal(inputs.intervals["channel"].cast(pa.string()), channel),
        )
        start = int(group.facts.grid.starts[at])
        return SlotFacts(
            meter=meter,
            channel=channel,
            row=row,
            column=int(at),
            received=group.facts,
            facts=facts,
            packs=packs,
            made=stages(facts, packs),
            result=validate_with_edits(group.facts, decided, packs),
            intervals=inputs.intervals.filter(own),
            edit=_edit(inputs, (meter, channel), start),
            inputs=inputs,
        )
    raise MeterbeamError(where, f"no slot expected at {utc_text(second)}", _range(lake, meter, channel))


def meter_inputs(lake: Lake, meter: str) -> ShardInputs:
    """The records of a meter and of those it is linked with.

    Raises:
        MeterbeamError: The lake has no closed day.
    """
    return _inputs(lake, _job(lake), meter)


def _range(lake: Lake, meter: str, channel: str) -> str:
    """What a user can ask for."""
    days = lake.current("days", meters=[meter], channel=channel, columns=["local_day"])["local_day"]
    if not len(days):
        return "a closed day that the meter is in service on; it has no days yet"
    first, last = pc.min(days).as_py(), pc.max(days).as_py()
    return f"a slot of its local days, {first} to {last}, on which it is in service"


def _row(group: Group, name: tuple[str, str], column: int) -> int | None:
    """Row of the series whose slot is expected, in a group or its joined rows."""
    facts, day = group.facts, int(group.facts.grid.day_of_slot[column])
    for i, own in enumerate(group.names):
        if own != name:
            continue
        if group.join is not None:
            if group.join.served[i, column]:
                return int(group.join.row[i])
        elif facts.expected[i, day] and not (facts.unserved is not None and facts.unserved[i, column]):
            return i
    return None


def _edit(inputs: ShardInputs, name: tuple[str, str], second: int) -> dict[str, Any] | None:
    """The latest decision on a slot."""
    if inputs.edits is None or not inputs.edits.num_rows:
        return None
    here = [
        row
        for row in edit_records(inputs.edits)
        if (row["meter_id"], row["channel"]) == name and row["from"] <= second * MICROS < row["to"]
    ]
    return here[-1] if here else None


def _job(lake: Lake) -> ProcessJob:
    """The work of a run that has nothing new."""
    runs = lake.runs()
    closed = runs["last_closed"][-1].as_py() if runs.num_rows else None
    if closed is None:
        raise MeterbeamError(str(lake.path), "no closed day", "a lake that a backfill or a stream wrote")
    raw: dict[Kind, list[tuple[str, bool]]] = {}
    for file in lake.table(RAW_FILES.name, ["kind", "name"]).to_pylist():
        raw.setdefault(Kind(file["kind"]), []).append((file["name"], False))
    return ProcessJob(
        lake=str(lake.path),
        run_no=lake.run_no,
        raw={kind: tuple(names) for kind, names in raw.items()},
        last_closed=epoch_day(closed),
        former_closed=epoch_day(closed),
        book=rules_in_force(lake, None),
        everything=False,
        limits=None,
        cells=CELLS,
    )


def _inputs(lake: Lake, job: ProcessJob, meter: str) -> ShardInputs:
    """The records of a meter and of those it is linked with."""
    linked = masters(job.lake, job.raw.get(Kind.SERVICE_POINTS, ())).data.linked
    home = linked.get(meter)
    count = lake.config.shards
    shards = ShardRange((shard_of_id(home or meter, count),), count, linked=home is not None)
    inputs = shard_inputs(shards, job, lake)
    meters = [meter] if home is None else sorted(m for m, first in linked.items() if first == home)
    mine = pa.array(meters, pa.string())

    def of(table: pa.Table) -> pa.Table:
        return table.filter(pc.is_in(table["meter_id"].cast(pa.string()), mine)) if table.num_rows else table

    first = {name: reading for name, reading in inputs.first_readings.items() if name[0] in meters}
    return replace(
        inputs,
        intervals=of(inputs.intervals),
        registers=of(inputs.registers),
        events=of(inputs.events),
        first_readings=first,
    )
