"""The committer's and the backfill's part beside a ledger, over plain dictionaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from models.assemble import ShardInputs, first_readings
from models.bill_prices import Prices
from models.dirty import DirtyDays, read_days
from models.ledger import Flushed
from models.master import master_data
from models.shard_results import DAY_ROWS, ShardResults, shard_results
from models.shard_run import WHOLE_METER, ShardRun
from models.shard_scope import Scope, closed_only, ranges_of, series_ranges, whole_meters
from pipelines.tariffs.tariff_book import tariff_book
from schemas.arrow import RAW
from schemas.records import Kind
from schemas.rulebook import RuleBook, load_rule_book
from schemas.rulepack import Registers, RulePack
from tests.models.ledger_worlds import ZONE, Record, tables

SAMPLE = Path(__file__).resolve().parents[2] / "pipelines" / "sample"


def _with_times_of_use(pack: RulePack) -> RulePack:
    """A pack whose time-of-use registers count the day and the rest."""
    day = {"name": "peak", "at": ("07:00", "21:00")}
    told = {**pack.registers.model_dump(), "tou": [day, {"name": "off"}]}
    return pack.model_copy(update={"registers": Registers.model_validate(told)})


def _book() -> RuleBook:
    book = load_rule_book("default")
    entries = [entry.model_copy(update={"pack": _with_times_of_use(entry.pack)}) for entry in book.entries]
    changed = {"entries": tuple(entries), "otherwise": _with_times_of_use(book.otherwise)}
    return book.model_copy(update=changed)


BOOK = _book()
PRICES = Prices(tariff_book(str(SAMPLE), ()), {})
TABLES = {"days": "local_day", "determinants": "local_day", "features": "week"}
Key = tuple[str, str, int]


def inputs_of(records: list[Record], last_closed: int, *, linked: bool) -> ShardInputs:
    """All records of the linked meters, or of the others, as a backfill of one shard reads them."""
    found = tables(records)
    master = master_data(found.get(Kind.SERVICE_POINTS))

    def table(kind: Kind) -> pa.Table:
        rows = found.get(kind, RAW[kind].empty_table())
        rows = rows.append_column("fresh", pa.repeat(pa.scalar(True), rows.num_rows))
        chosen = [(meter in master.linked) == linked for meter in rows["meter_id"].to_pylist()]
        return rows.filter(pa.array(chosen, pa.bool_()))

    intervals = table(Kind.INTERVALS)
    return ShardInputs(
        intervals=intervals,
        registers=table(Kind.REGISTERS),
        events=table(Kind.EVENTS),
        master=master,
        zone=ZONE,
        last_closed=last_closed,
        first_readings=first_readings(intervals),
        history_from=None,
        cells=1 << 16,
        edits=table(Kind.EDITS),
        joined=linked,
    )


def computed(records: list[Record], last_closed: int, scope: Scope | None = None) -> ShardResults:
    """What a backfill computes for all days, or for some."""
    made = []
    for linked in (False, True):
        inputs = inputs_of(records, last_closed, linked=linked)
        meters = sorted(m for m in inputs.master.spans if (m in inputs.master.linked) == linked)
        mine = scope
        if scope is not None:
            mine = {name: days for name, days in scope.items() if (name[0] in inputs.master.linked) == linked}
        made.append(shard_results(ShardRun(inputs, BOOK, mine), meters, PRICES, bills=scope is None))
    days = pa.concat_tables([part.days.cast(DAY_ROWS) for part in made])
    determinants = pa.concat_tables([part.determinants for part in made])
    features = pa.concat_tables([part.features for part in made])
    shares = [part.shares for part in made if part.shares is not None]
    return ShardResults(days, determinants, features, pa.concat_tables(shares) if shares else None)


def spread(records: list[Record], last_closed: int, scope: Scope) -> Scope:
    """Days that a stream left to the backfill, with those of linked meters, as the backfill takes them."""
    dirty = DirtyDays()
    for name, days in scope.items():
        for first, last in days:
            dirty.add(name, first, last)
    inputs = inputs_of(records, last_closed, linked=True)
    linked, names = inputs.master.linked, set(ranges_of(series_ranges(inputs))) | set(inputs.first_readings)
    reads = read_days(inputs.registers, ZONE)
    dirty.spread(linked, {*names, *reads})
    dirty.from_helpers()
    dirty.close_over_reads(reads, BOOK.max_read_gap_days)
    return closed_only(whole_meters(dirty.merged(), names, linked), last_closed)


class HasRows(Protocol):
    """Anything with the three tables a shard yields."""

    @property
    def days(self) -> pa.Table: ...

    @property
    def determinants(self) -> pa.Table: ...

    @property
    def features(self) -> pa.Table: ...


class Keeper:
    """Current rows of every table by key, as the lake would hold them after each commit."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[Key, dict[str, Any]]] = {name: {} for name in TABLES}
        self.revisions: dict[tuple[str, Key], int] = {}

    def replace(self, scope: Scope, results: HasRows, whole_since: int) -> None:
        """Put new rows in the place of those in scope; count a revision only where one differs.

        Args:
            scope: Days computed of each series.
            results: Their rows.
            whole_since: First day whose findings about a meter as a whole are all there.
        """
        for name, day in TABLES.items():
            new = {_key(row, day): row for row in getattr(results, name).to_pylist()}
            held = self.rows[name]
            for key in [key for key in held if key not in new and _inside(key, name, scope, whole_since)]:
                del held[key]
                self._revise(name, key)
            for key, row in new.items():
                if key[1] == WHOLE_METER and name == "days" and key[2] < whole_since:
                    continue
                if repr(held.get(key)) != repr(row):
                    held[key] = row
                    self._revise(name, key)

    def _revise(self, name: str, key: Key) -> None:
        self.revisions[name, key] = self.revisions.get((name, key), 0) + 1

    def begin(self, results: HasRows) -> None:
        """Start with the rows of a backfill."""
        for name, day in TABLES.items():
            self.rows[name] = {_key(row, day): row for row in getattr(results, name).to_pylist()}

    def take(self, flushed: Flushed) -> None:
        """Commit a flush."""
        self.replace(flushed.scope, flushed.results, flushed.whole_since)


def _key(row: dict[str, Any], day: str) -> Key:
    return row["meter_id"], row.get("channel", ""), (row[day] - type(row[day])(1970, 1, 1)).days


def _inside(key: Key, name: str, scope: Scope, whole_since: int) -> bool:
    meter, channel, day = key
    if name == "days" and channel == WHOLE_METER:
        return day >= whole_since
    for (one, other), days in scope.items():
        if one == meter and (other == channel or name == "determinants"):
            for first, last in days:
                if name == "features":
                    first, last = first - (first + 3) % 7, last - (last + 3) % 7
                if first <= day <= last:
                    return True
    return False
