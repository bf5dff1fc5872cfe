"""Of several register reads of one moment the greatest holds."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from models.master import MICROS, MasterData
from models.reads import read_registers
from schemas.arrow import RAW
from schemas.records import Kind

ROWS = {("a", "import", -1): 0, ("b", "import", -1): 1}
MICRO = 1_000_000

_reads = st.fixed_dictionaries(
    {
        "meter_id": st.sampled_from(["a", "b", "stranger"]),
        "read_at": st.integers(0, 4).map(lambda second: second * MICROS),
        "value_int": st.integers(0, 3),
        "quality": st.none() | st.integers(0, 2),
        "received_at": st.none() | st.integers(-1, 2),
        "sequence": st.none() | st.integers(-1, 2),
    }
)


def greatest(read: dict[str, int | None]) -> tuple[int, ...]:
    """What reads of one moment are compared by: received, sequence, value, quality; unknown is least."""
    received, sequence = read["received_at"], read["sequence"]
    value, quality = read["value_int"], read["quality"]
    assert value is not None
    unknown = -(1 << 62)
    return (
        unknown if received is None else received,
        -1 if sequence is None else sequence,
        value,
        quality or 0,
    )


@given(st.lists(_reads, max_size=12), st.booleans())
def test_the_greatest_read_of_a_moment_holds(reads: list[dict[str, int | None]], apart: bool) -> None:
    """As a look at each moment finds it; where no moment is read twice as well."""
    if apart:
        reads = list({(read["meter_id"], read["read_at"]): read for read in reads}.values())
    rows = [{"channel": "import", "unit": "kWh", "source": "x", **read} for read in reads]
    found = read_registers(pa.Table.from_pylist(rows, RAW[Kind.REGISTERS]), MasterData([]), ROWS)
    best: dict[tuple[int, int], tuple[int, ...]] = {}
    for read in reads:
        row = {"a": 0, "b": 1}.get(str(read["meter_id"]))
        if row is not None:
            moment = row, int(read["read_at"] or 0) // MICROS
            best[moment] = max(best.get(moment, greatest(read)), greatest(read))
    assert list(zip(found.series.tolist(), found.at.tolist(), strict=True)) == sorted(best)
    assert found.value.tolist() == [best[moment][2] * MICRO for moment in sorted(best)]
