"""What detection reads in pieces is what there is, however small the pieces are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.fault_registers import RegisterReads
from models.series import Reads
from pipelines.batch import detect_registers, energy_prices
from pipelines.batch.detect import FeaturePieces
from pipelines.batch.detect_registers import RegisterPieces
from pipelines.batch.lake_master import lake_master, raw_names
from pipelines.store.lake import Lake
from pipelines.store.views import connect
from schemas.records import Kind
from tests.pipelines.towns import make_town, run


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Eight billed meters with registers on three shards."""
    folder = tmp_path_factory.mktemp("pieces")
    run(folder / "lake", make_town(folder / "town"), tariffs=folder / "town" / "tariffs")
    return Lake.open(folder / "lake")


def pieces_of(lake: Lake) -> RegisterPieces:
    return RegisterPieces(lake, raw_names(lake, Kind.REGISTERS), lake_master(lake), 1 << 20)


def rows_of(piece: RegisterReads) -> dict[str, list[tuple[Any, ...]]]:
    """Reads of each meter, in their order."""
    names = [name for name in Reads.__dataclass_fields__ if name not in ("series", "version")]
    columns = [getattr(piece.reads, name).tolist() for name in names]
    columns += [piece.reads.version.tolist(), piece.day.tolist(), piece.midnight.tolist()]
    found: dict[str, list[tuple[Any, ...]]] = {}
    for series, *row in zip(piece.reads.series.tolist(), *columns, strict=True):
        found.setdefault(piece.meters[series], []).append(tuple(map(str, row)))
    return found


def test_registers_are_the_same_in_one_piece_and_in_one_a_shard(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All reads of the import channel once, all of a meter in one piece, twice over."""
    (whole,) = (rows_of(piece) for piece in pieces_of(lake))
    with connect(lake) as views:
        wanted = views.execute(
            "SELECT meter_id, count(DISTINCT read_at) FROM registers WHERE channel = 'import' GROUP BY 1"
        ).fetchall()
    assert {meter: len(reads) for meter, reads in whole.items()} == dict(wanted)
    monkeypatch.setattr(detect_registers, "READS_AT_ONCE", 1)
    pieces = pieces_of(lake)
    for _ in range(2):
        found = [rows_of(piece) for piece in pieces]
        assert len(found) == 3
        assert sum(map(len, found)) == len(whole)
        assert {meter: reads for piece in found for meter, reads in piece.items()} == whole


def test_reads_after_the_moment_do_not_count(lake: Lake) -> None:
    """Up to the end of a day; a read at the midnight that ends it belongs to it."""
    (whole,) = pieces_of(lake)
    day = int(np.median(whole.day))
    names = raw_names(lake, Kind.REGISTERS)
    (some,) = RegisterPieces(lake, names, lake_master(lake), day)
    kept = (whole.day <= day) | ((whole.day == day + 1) & whole.midnight)
    assert 0 < kept.sum() < len(kept)
    assert some.reads.at.tolist() == whole.reads.at[kept].tolist()


def test_prices_are_the_same_from_one_bill_at_a_time(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of bills do not depend on how many are read together."""
    master = lake_master(lake)
    together = energy_prices.energy_prices(lake, master)
    assert len(together) > 3
    monkeypatch.setattr(energy_prices, "BILLS_AT_ONCE", 1)
    assert energy_prices.energy_prices(lake, master) == together


def test_a_lake_without_registers_has_no_pieces(lake: Lake) -> None:
    assert list(RegisterPieces(lake, [], lake_master(lake), 0)) == []


def test_the_extent_of_the_features_is_that_of_their_rows(lake: Lake) -> None:
    """Weeks and meters known beforehand are those of the pieces, before a day too."""
    features = FeaturePieces(lake)
    rows = pa.concat_tables(list(features))
    assert features.meters == set(rows["meter_id"].to_pylist())
    weeks = np.unique(rows["week"].cast(pa.int32()).to_numpy())
    assert features.weeks.tolist() == weeks.tolist()
    some = FeaturePieces(lake, before=int(weeks[1]))
    assert some.weeks.tolist() == [int(weeks[0])]
    assert {monday for piece in some for monday in piece["week"].cast(pa.int32()).to_pylist()} == {weeks[0]}
