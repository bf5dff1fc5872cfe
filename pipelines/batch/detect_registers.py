"""Register reads of a detect run, from the raw zone, a few shards at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.calendar import local_days, local_midnight
from models.fault_registers import RegisterReads
from models.master import MasterData
from models.reads import read_registers
from pipelines.store.lake import Lake
from schemas.records import Kind
from transforms.raw_codec import raw_rows, read_raw_shards

__all__ = ["RegisterPieces"]

IMPORT = "import"
READS_AT_ONCE = 1 << 16
"""About so many reads are in memory: those of one shard of ten thousand meters read daily for a year."""


@dataclass(frozen=True)
class RegisterPieces:
    """Total-register reads of the import channel, one a moment, all of a meter in one piece.

    Iterated once or several times; each piece is read when it is asked for.

    Attributes:
        lake: The lake.
        names: Raw files of register reads.
        master: Service points: multiplier and dials are theirs.
        as_of: Reads up to the end of this epoch day count.
    """

    lake: Lake
    names: Sequence[str]
    master: MasterData
    as_of: int

    def __iter__(self) -> Iterator[RegisterReads]:
        """Pieces of whole shards."""
        paths = [self.lake.path / "raw" / Kind.REGISTERS.value / name for name in self.names]
        shards = self.lake.config.shards
        pieces = min(-(-raw_rows(paths, Kind.REGISTERS) // READS_AT_ONCE), shards)
        for numbers in np.array_split(np.arange(shards), pieces) if pieces else ():
            yield self._reads(read_raw_shards(paths, Kind.REGISTERS, numbers.tolist())[0])

    def _reads(self, rows: pa.Table) -> RegisterReads:
        zone = self.lake.config.timezone
        rows = rows.filter(pc.equal(rows["channel"], IMPORT)).unify_dictionaries()
        meters = sorted(pc.unique(rows["meter_id"]).to_pylist())
        reads = read_registers(rows, self.master, {(meter, IMPORT, -1): i for i, meter in enumerate(meters)})
        reads = reads.until(local_midnight(zone, self.as_of + 1))
        day = local_days(zone, reads.at).astype(np.int64)
        days, place = np.unique(day, return_inverse=True)
        starts = np.array([local_midnight(zone, one) for one in days.tolist()], np.int64)
        return RegisterReads(meters, reads, day, reads.at == starts[place] if len(day) else day != 0)
