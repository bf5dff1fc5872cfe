"""Interval blocks on their way from another format to Avro."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.town.avro_write import ContainerWriter, text, write_blocks
from schemas.errors import MeterbeamError
from schemas.records import avro_schema

__all__ = ["Block", "Irregularities", "Mended", "gapless", "runs_of", "write_block_file"]

Int = NDArray[np.int64]
BLOCKS_A_CALL = 4096


@dataclass(frozen=True)
class Block:
    """Consecutive readings of one series.

    Attributes:
        meter_id: The device.
        channel: A name of the catalogue.
        start: First slot, UTC. [s]
        interval_s: Slot length. [s]
        unit: Unit of the values before the scaler.
        scaler: A value counts 10^scaler units.
        values: Shape (n,).
        quality: ESPI QualityOfReading code of each value, shape (n,); 0 = measured.
        received_at: When it was delivered, UTC [µs]; None where the format does not say.
    """

    meter_id: str
    channel: str
    start: int
    interval_s: int
    unit: str
    scaler: int
    values: Int
    quality: Int
    received_at: int | None = None


@dataclass(frozen=True)
class Mended:
    """One irregularity of an input: where it stood, what was found, what was made of it."""

    where: str
    found: str
    mended: str


@dataclass
class Irregularities:
    """What to do about irregular input: refuse the first one, or mend each and keep the account.

    Attributes:
        lenient: Whether to mend.
        mended: Every irregularity that was mended, in the order met.
    """

    lenient: bool
    mended: list[Mended] = field(default_factory=list)

    def meet(self, where: str, found: str, expected: str, mended: str) -> None:
        """Refuse an irregularity, or note how it is mended.

        Raises:
            MeterbeamError: Irregular input is not mended.
        """
        if not self.lenient:
            raise MeterbeamError(where, found, f"{expected} (--lenient mends it: {mended})")
        self.mended.append(Mended(where, found, mended))


def gapless(block: Block, there: NDArray[np.bool_]) -> Iterator[Block]:
    """A block cut at the slots that hold no reading.

    Args:
        block: Values of all slots.
        there: Which of them are readings, shape (n,).
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    for low, high in zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True):
        yield Block(
            block.meter_id,
            block.channel,
            block.start + low * block.interval_s,
            block.interval_s,
            block.unit,
            block.scaler,
            block.values[low:high],
            block.quality[low:high],
            block.received_at,
        )


def write_block_file(path: Path, blocks: Iterable[Block], source: str) -> int:
    """Write blocks as an Avro file of IntervalBlock records; returns the readings written.

    The file is there whole or not at all.
    """
    draft = path.with_name(f".{path.name}.part")
    count = 0
    try:
        with ContainerWriter(draft, avro_schema("IntervalBlock"), "deflate") as writer:
            pending: list[Block] = []
            for block in blocks:
                if pending and (_form(block) != _form(pending[0]) or len(pending) == BLOCKS_A_CALL):
                    count += _write(writer, pending, source)
                    pending = []
                pending.append(block)
            count += _write(writer, pending, source) if pending else 0
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return count


def _form(block: Block) -> tuple[int, str, int, bool]:
    """What all blocks of one call share."""
    return block.interval_s, block.unit, block.scaler, block.received_at is None


def _write(writer: ContainerWriter, blocks: list[Block], source: str) -> int:
    interval_s, unit, scaler, undated = _form(blocks[0])
    values = np.concatenate([block.values for block in blocks])
    write_blocks(
        writer,
        heads=[text(block.meter_id) + text(block.channel) for block in blocks],
        starts=np.array([block.start for block in blocks], np.int64),
        interval_s=interval_s,
        values=values,
        lengths=np.array([len(block.values) for block in blocks], np.int64),
        received=None if undated else np.array([block.received_at for block in blocks], np.int64),
        unit=unit,
        scaler=scaler,
        qualities=np.concatenate([block.quality for block in blocks]),
        source=source,
    )
    return len(values)


def runs_of(changes: NDArray[np.bool_], count: int) -> list[tuple[int, int]]:
    """Ranges between changes: ``changes`` (count - 1,) is true where an item differs from the one before."""
    if not count:
        return []
    edges = [0, *(np.flatnonzero(changes) + 1).tolist(), count]
    return list(pairwise(edges))
