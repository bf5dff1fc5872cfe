"""Master data in time: which version holds when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from models.master import FOREVER, master_data
from schemas.arrow import RAW_SERVICE_POINTS

MICROS = 1_000_000


def version(
    point: str, meter: str | None, start: int, end: int | None = None, **fields: Any
) -> dict[str, Any]:
    """A service-point version as received; seconds."""
    return {
        "service_point_id": point, "meter_id": meter, "account_id": "a", "role": "customer",
        "commodity": "electricity", "bill_cycle_day": 1, "interval_s": 900, "channels": ["import"],
        "multiplier": "1", "status": "active", "valid_from": start * MICROS,
        "valid_to": None if end is None else end * MICROS, **fields,
    }  # fmt: skip


def spans(meter: str, *rows: dict[str, Any]) -> list[tuple[int, int, str, int]]:
    """(start, end, service point, metering changes before) of a meter."""
    data = master_data(pa.Table.from_pylist(list(rows), schema=RAW_SERVICE_POINTS))
    return [(s.start, s.end, s.version.service_point_id, s.metering) for s in data.spans.get(meter, [])]


def test_a_later_version_ends_the_earlier() -> None:
    """Whatever its own end says."""
    rows = version("p", "m", 100, 900), version("p", "m", 500, tariff_id="t")
    assert spans("m", *rows) == [(100, 500, "p", 0), (500, FOREVER, "p", 0)]


def test_a_correction_of_one_moment_holds_by_arrival() -> None:
    """The same point and moment: the one received later, the sequence among equals."""
    old = version("p", "m", 100, multiplier="1", received_at=7, sequence=1)
    new = version("p", "m", 100, multiplier="2", received_at=7, sequence=2)
    data = master_data(pa.Table.from_pylist([new, old], schema=RAW_SERVICE_POINTS))
    assert [s.version.multiplier for s in data.spans["m"]] == [2]


def test_two_points_that_claim_a_meter() -> None:
    """The later valid_from holds, the greater id among equals; the overlap is noted."""
    rows = version("p", "m", 100, 900), version("q", "m", 300, 600)
    assert spans("m", *rows) == [(100, 300, "p", 0), (300, 600, "q", 1), (600, 900, "p", 2)]
    data = master_data(pa.Table.from_pylist(list(rows), schema=RAW_SERVICE_POINTS))
    assert dict(data.contested) == {"m": [300]}


def test_another_multiplier_or_meter_is_a_change_of_metering_and_a_tariff_is_not() -> None:
    """Read intervals may not reach over the first kind."""
    rows = version("p", "m", 0), version("p", "m", 10, tariff_id="t"), version("p", "m", 20, multiplier="2")
    assert [span[3] for span in spans("m", *rows)] == [0, 0, 1]
    away = version("p", "m", 0), version("p", "x", 10), version("p", "m", 20)
    assert spans("m", *away) == [(0, 10, "p", 0), (20, FOREVER, "p", 1)]


@given(
    st.lists(
        st.tuples(st.sampled_from("pq"), st.sampled_from("mn"), st.integers(0, 9), st.integers(0, 9)),
        min_size=1,
        max_size=6,
        unique_by=lambda row: (row[0], row[2]),
    )
)
def test_in_force_answers_as_a_search_by_hand(rows: list[tuple[str, str, int, int]]) -> None:
    """At every second and meter: the version with the greatest (valid_from, point) that covers it."""
    data = master_data(
        pa.Table.from_pylist([version(p, m, a, a + b) for p, m, a, b in rows], schema=RAW_SERVICE_POINTS)
    )
    for meter in "mnx":
        seconds = np.arange(20)
        found = data.in_force(pa.array([meter] * 20), seconds)
        for second, at in zip(seconds.tolist(), found.tolist(), strict=True):
            wanted: tuple[int, str] | None = None
            for point, of, start, length in rows:
                ends = [later[2] for later in rows if later[0] == point and later[2] > start]
                if of == meter and start <= second < min([start + length, *ends]):
                    wanted = max(wanted or (start, point), (start, point))
            held = data.all_spans[at].version if at >= 0 else None
            assert (held and (held.valid_from, held.service_point_id)) == wanted
