"""Detect runs: queues and faults over the features of a lake, published like any other run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.calendar import day_date, local_days
from models.comparison import Place
from models.detect import detect
from models.master import FOREVER, MasterData
from pipelines.batch.detect_events import device_events
from pipelines.batch.detect_registers import RegisterPieces
from pipelines.batch.energy_prices import energy_prices
from pipelines.batch.model_file import model_in_force
from pipelines.batch.workers import give_back
from pipelines.store.files import dataset
from pipelines.store.lake import Lake, latest
from pipelines.store.parts import PartFile, shards_of_part, write_part
from schemas.features import FEATURES
from schemas.lake import CHANGE_QUEUE, DETECT_RUNS, FAULTS, FEEDER_BALANCE, STATE_QUEUE

READ = (
    "meter_id",
    "channel",
    "week",
    "slots",
    "missing",
    "negatives",
    "near_peak",
    "squares",
    "lagged",
    "variation",
    "day_slots",
    "day_missing",
    "day_total",
    "day_max",
    "day_min",
    "day_zeros",
    "day_lone",
    "day_hash",
    "hours",
    "late",
    "parts",
)
"""Columns of ``features`` that detection reads."""


def places_of(master: MasterData, zone: str) -> dict[str, Place]:
    """Latest service-point version of each meter, and what any version says of export.

    Args:
        master: Service points.
        zone: IANA name of the zone of the local days.
    """
    starts = {spans[-1].start for spans in master.spans.values()}
    since = {start: int(local_days(zone, np.array([min(max(start, 0), FOREVER)]))[0]) for start in starts}
    generating = {version.account_id for version in master.versions if version.role == "generation"}
    return {
        meter: Place(
            role=spans[-1].version.role,
            feeder_id=spans[-1].version.feeder_id,
            status=spans[-1].version.status.lower(),
            since=since[spans[-1].start],
            channels=frozenset(channel for span in spans for channel in span.version.channels),
            generates=spans[-1].version.account_id in generating,
        )
        for meter, spans in master.spans.items()
    }


def detect_parts(
    run_no: int,
    features: FeaturePieces,
    master: MasterData,
    as_of: int,
    events: Sequence[str] = (),
    registers: Sequence[str] = (),
    model: Path | None = None,
) -> tuple[list[PartFile], dict[str, Any]]:
    """Run detection and write its parts.

    Args:
        run_no: The run that will publish them.
        features: The ``features`` table.
        master: Service points.
        as_of: Last closed epoch day.
        events: Raw files of device events.
        registers: Raw files of register reads.
        model: File of the model that orders the state queue; else the lake's own, else the package's.

    Returns:
        Parts and the summary.
    """
    moment: date = day_date(max(as_of, 0))
    lake, places = features.lake, places_of(master, features.lake.config.timezone)
    reported, prices = device_events(lake, events, as_of), energy_prices(lake, master, features.written)
    give_back()  # what events and bills were read into, before the week table asks for more
    result = detect(
        features,
        features.weeks,
        places,
        moment,
        reported,
        RegisterPieces(lake, registers, master, as_of),
        prices=prices,
        model=model_in_force(lake.path, model),
        meters=features.meters,
    )
    tables = (
        (CHANGE_QUEUE, result.change_queue),
        (STATE_QUEUE, result.state_queue),
        (FAULTS, result.faults),
        (FEEDER_BALANCE, result.feeder_balance),
        (DETECT_RUNS, pa.table({"as_of": [moment], "meters": [result.meters]}, schema=DETECT_RUNS.content)),
    )
    parts = [write_part(lake.path, table, run_no, "detect", rows) for table, rows in tables if rows.num_rows]
    summary = {
        "ranked_meters": result.change_queue.num_rows,
        "faults": result.faults.num_rows,
        "first_suspects": result.change_queue["meter_id"].to_pylist()[:5],
    }
    return parts, summary


@dataclass(frozen=True)
class FeaturePieces:
    """Current rows of the ``features`` table, a few meters at a time, with those a run has just written.

    Iterated once or several times; each piece is read when it is asked for.

    Attributes:
        lake: Read at its last complete run.
        written: Parts of the run at work.
        before: Only weeks that begin before this epoch day.
    """

    lake: Lake
    written: Sequence[PartFile] = ()
    before: int | None = None

    @cached_property
    def _paths(self) -> list[str]:
        folder = self.lake.path / "tables" / FEATURES.name
        mine = [str(folder / part.path) for part in self.written if part.table == FEATURES.name]
        return [*self.lake.files(FEATURES.name), *mine]

    @property
    def weeks(self) -> NDArray[np.int64]:
        """Mondays of all rows, ascending."""
        weeks, _ = self._extent
        return weeks if self.before is None else weeks[weeks < self.before]

    @property
    def meters(self) -> frozenset[str]:
        """Ids of all rows."""
        return self._extent[1]

    @cached_property
    def _extent(self) -> tuple[NDArray[np.int64], frozenset[str]]:
        """Mondays, ascending, and meters that have a row, be it withdrawn."""
        found: set[int] = set()
        meters: set[str] = set()
        for path in self._paths:
            rows = self._read([path], ["meter_id", "week"])
            found.update(rows["week"].unique().cast(pa.int32()).to_pylist())
            meters.update(rows["meter_id"].unique().to_pylist())
        return np.array(sorted(found), np.int64), frozenset(meters)

    def __iter__(self) -> Iterator[pa.Table]:
        """Pieces; all rows of a meter are in one."""
        columns = [*READ, "revision", "withdrawn"]
        for paths in _of_same_shards(self._paths):
            rows = self._read(paths, columns)
            if len(paths) > 1:
                rows = latest(rows, FEATURES)
            gone = rows["withdrawn"]
            if self.before is not None:
                gone = pc.or_(gone, pc.greater_equal(rows["week"].cast(pa.int32()), self.before))
            yield rows.filter(pc.invert(gone)) if pc.any(gone).as_py() else rows

    @staticmethod
    def _read(paths: Sequence[str], columns: Sequence[str]) -> pa.Table:
        return dataset(paths, FEATURES.schema).to_table(columns=list(columns), use_threads=False)


def _of_same_shards(paths: Sequence[str]) -> list[list[str]]:
    """Files in groups such that no shard has rows in two of them."""
    everywhere = range(1 << 20)
    spans = sorted(((shards_of_part(path) or everywhere, path) for path in paths), key=lambda s: s[0].start)
    groups: list[list[str]] = []
    end = 0
    for span, path in spans:
        if not groups or span.start >= end:
            groups.append([])
        groups[-1].append(path)
        end = max(end, span.stop)
    return groups
