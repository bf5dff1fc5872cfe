"""Register reads of a detect run, from the raw zone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc

from models.calendar import local_days, local_midnight
from models.fault_registers import RegisterReads
from models.master import MasterData
from models.reads import read_registers
from pipelines.store.lake import Lake
from schemas.records import Kind
from transforms.raw_codec import read_raw_shards

__all__ = ["register_reads"]

IMPORT = "import"


def register_reads(lake: Lake, names: Sequence[str], master: MasterData, as_of: int) -> RegisterReads:
    """Total-register reads of the import channel up to the end of a local day, one a moment.

    Args:
        lake: The lake.
        names: Raw files of register reads.
        master: Service points: multiplier and dials are theirs.
        as_of: Last epoch day that counts.
    """
    folder = lake.path / "raw" / Kind.REGISTERS.value
    rows, _ = read_raw_shards([folder / name for name in names], Kind.REGISTERS, range(lake.config.shards))
    rows = rows.filter(pc.equal(rows["channel"], IMPORT)).unify_dictionaries()
    meters = sorted(pc.unique(rows["meter_id"]).to_pylist())
    reads = read_registers(rows, master, {(meter, IMPORT, -1): row for row, meter in enumerate(meters)})
    reads = reads.until(local_midnight(lake.config.timezone, as_of + 1))
    day = local_days(lake.config.timezone, reads.at).astype(np.int64)
    days, place = np.unique(day, return_inverse=True)
    starts = np.array([local_midnight(lake.config.timezone, one) for one in days.tolist()], np.int64)
    return RegisterReads(meters, reads, day, reads.at == starts[place] if len(day) else np.zeros(0, np.bool_))
