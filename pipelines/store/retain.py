"""``meterbeam lake retain``: rows older than a rule allows leave the lake, by table and commodity.

A rule file names tables and the days for which they are kept, for all commodities or for some::

    keep:
      days: {electricity: 3650, gas: 1825}
      determinants: 3650
      dead_letters: 90
      raw: {electricity: 1100, other: 1500}

What a rule removes is removed from every past run too: that is its purpose. Days whose raw readings have
gone stay as they are (``pipelines/store/retain_raw.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from pipelines.store.commit import Removal, Run
from pipelines.store.files import dataset
from pipelines.store.lake import Lake
from pipelines.store.maintain import carried_facts, in_order
from pipelines.store.parts import PartFile
from pipelines.store.retain_raw import cut_raw
from pipelines.store.views import connect
from schemas.channels import CHANNELS
from schemas.errors import MeterbeamError
from schemas.lake import RAW_FILES, RAW_KEPT, RUNS, LakeTable, lake_table
from schemas.yaml_model import read_yaml

__all__ = ["KEPT_BY", "RetentionRules", "load_rules", "retain"]

KEPT_BY = {
    "days": "local_day",
    "determinants": "local_day",
    "features": "week",
    "bills": "period_end",
    "change_queue": "as_of",
    "state_queue": "as_of",
    "faults": "since",
    "dead_letters": "run_no",
}
"""Tables a rule may name, and the column that gives a row's age; ``run_no``: when its run was finished."""
RAW = "raw"
"""In a rule: interval readings as received."""
OTHER = "other"
"""In a rule: every commodity that it does not name, and rows that have none."""


class RetentionRules(BaseModel):
    """Days for which rows are kept: of a table, or of a table by commodity."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keep: dict[str, PositiveInt | dict[str, PositiveInt]] = Field(description="Table to days.", min_length=1)


@dataclass(frozen=True)
class _Cut:
    """Of each commodity (``other`` for the rest) the first day that is kept."""

    first: Mapping[str, date]
    commodities: Mapping[str, str]

    @classmethod
    def of(cls, rules: RetentionRules, name: str, today: date, lake: Lake) -> _Cut:
        """The cut of one rule; commodities of meters are looked up only if it names any."""
        kept = rules.keep[name]
        days = kept if isinstance(kept, dict) else {OTHER: kept}
        first = {commodity: today - timedelta(days=count) for commodity, count in days.items()}
        return cls(first, _commodities(lake) if set(days) - {OTHER} else {})

    def of_meters(self, meters: list[str]) -> list[date]:
        """First kept day of each meter; ``date.min`` where no rule is for its commodity."""
        names = (self.commodities.get(meter, OTHER) for meter in meters)
        return [self.first.get(name, self.first.get(OTHER, date.min)) for name in names]


def load_rules(path: Path) -> RetentionRules:
    """Read a rule file.

    Raises:
        MeterbeamError: It cannot be read, or names a table or commodity that there is not.
    """
    rules = read_yaml(path, RetentionRules, "retention rules")
    commodities = {channel.commodity for channel in CHANNELS.values()} | {"gas", OTHER}
    for table, kept in rules.keep.items():
        if table not in (*KEPT_BY, RAW):
            raise MeterbeamError.unknown(f"{path}, keep", table, [*KEPT_BY, RAW])
        if isinstance(kept, dict):
            if table == "bills" or table == "dead_letters":
                raise MeterbeamError(f"{path}, keep.{table}", "commodities", "one number of days")
            for name in kept:
                if name not in commodities:
                    raise MeterbeamError.unknown(f"{path}, keep.{table}", name, sorted(commodities))
    return rules


def retain(folder: Path, rules: RetentionRules, today: date, *, dry_run: bool = False) -> dict[str, Any]:
    """Remove what is older than the rules allow; returns the rows of each table that go.

    Args:
        folder: The lake.
        rules: Days for which rows are kept, counted back from ``today``.
        today: The day counted from.
        dry_run: Only count.

    Raises:
        MeterbeamError: There is no lake, no run in it, or a run at work.
    """
    lake = Lake.open(folder)
    if not lake.run_no:
        raise MeterbeamError(str(folder), "a lake without a run", "one with a backfill in it")
    tables = [name for name in sorted(rules.keep) if name != RAW]
    if dry_run:
        counts = {name: _rows_to_go(lake, name, rules, today)[0] for name in tables}
        if RAW in rules.keep:
            counts[RAW] = cut_raw(lake, _Cut.of(rules, RAW, today, lake).of_meters, write=False).readings
        return _summary(counts, dry_run)
    with lake.begin() as run:
        going = _Going(run)
        for name in tables:
            going.counts[name], kept = _rows_to_go(lake, name, rules, today)
            going.take(lake_table(name), kept)
        if RAW in rules.keep:
            cut = cut_raw(lake, _Cut.of(rules, RAW, today, lake).of_meters, write=True)
            going.counts[RAW] = cut.readings
            going.take(RAW_FILES, dict(cut.listed(lake)))
            if cut.first:
                going.replaced[RAW_KEPT.name] = cut.remembered(lake)
        going.commit()
    return _summary(going.counts, dry_run)


class _Going:
    """What a retention run takes out, gathered for one commit."""

    def __init__(self, run: Run) -> None:
        self.counts: dict[str, int] = {}
        self.replaced: dict[str, pa.Table] = {}
        self._run = run
        self._parts: list[PartFile] = []
        self._removed: dict[str, Removal] = {}

    def take(self, table: LakeTable, kept: Mapping[str, pa.Table]) -> None:
        """Files of a table that go, each with the rows that take its place."""
        for number, rows in enumerate(kept.values()):
            if rows.num_rows:
                self._parts.append(self._run.write(table, f"kept{number:04d}", in_order(rows, table)))
        if kept:
            self._removed[table.name] = Removal(tuple(kept), False)

    def commit(self) -> None:
        """One run, where anything goes."""
        if self._removed:
            facts = carried_facts(self._run.lake, {"retained": self.counts})
            self._run.commit(self._parts, self.replaced, facts, self._removed)


def _rows_to_go(lake: Lake, name: str, rules: RetentionRules, today: date) -> tuple[int, dict[str, pa.Table]]:
    """Rows of a table that are too old, and of each file that holds any, the rows that stay."""
    table = lake_table(name)
    cut = _Cut.of(rules, name, today, lake)
    gone, files = 0, {}
    for path in lake.files(name):
        rows = dataset([path], table.schema).to_table(use_threads=False)
        stays = _stays(rows, table, cut, lake)
        if not pc.all(stays).as_py():
            files[Path(path).name] = rows.filter(stays)
            gone += rows.num_rows - files[Path(path).name].num_rows
    return gone, files


def _stays(rows: pa.Table, table: LakeTable, cut: _Cut, lake: Lake) -> pa.Array:
    day = _age(rows, table, lake)
    if not cut.commodities or "meter_id" not in rows.schema.names:
        first = cut.first.get(OTHER)
        return pa.repeat(True, rows.num_rows) if first is None else _from(day, first)
    meters = rows["meter_id"].combine_chunks().dictionary_encode()
    firsts = cut.of_meters(meters.dictionary.to_pylist())
    limits = pa.array(firsts, pa.date32()).take(meters.indices)
    return pc.fill_null(pc.greater_equal(day, limits), True)


def _from(day: pa.ChunkedArray, first: date) -> pa.ChunkedArray:
    """Rows of a day not before the first kept one; a row without a day stays."""
    return pc.fill_null(pc.greater_equal(day, pa.scalar(first, pa.date32())), True)


def _age(rows: pa.Table, table: LakeTable, lake: Lake) -> pa.ChunkedArray:
    """The day that counts, of each row."""
    column = KEPT_BY[table.name]
    if column != "run_no":
        return rows[column]
    runs = lake.table(RUNS.name, ["run_no", "finished"])
    finished = dict(zip(runs["run_no"].to_pylist(), runs["finished"].to_pylist(), strict=True))
    return pa.chunked_array(
        [pa.array([finished[run].date() for run in rows["run_no"].to_pylist()], pa.date32())]
    )


def _commodities(lake: Lake) -> dict[str, str]:
    """Commodity of each meter, by its service point in force last."""
    with connect(lake) as views:
        found = views.execute(
            "SELECT meter_id, commodity FROM service_points WHERE meter_id IS NOT NULL QUALIFY "
            "row_number() OVER (PARTITION BY meter_id ORDER BY valid_from DESC, service_point_id DESC) = 1"
        ).fetchall()
    return dict(found)


def _summary(counts: dict[str, int], dry_run: bool) -> dict[str, Any]:
    return {"dry_run": dry_run, "removed_rows": counts}
