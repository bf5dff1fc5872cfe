"""Energy by local day, direction and period of each meter's tariff."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from models.bill_cycles import Contract
from models.bill_prices import Tariffs, version_stretches
from models.loads import Loads
from models.tou import classify, daily_sums
from schemas.lake import DETERMINANT
from schemas.tariff import Tariff

__all__ = ["daily_determinants"]


def daily_determinants(
    loads: Loads, contracts: Sequence[Contract], tariffs: Tariffs, wanted: object
) -> pa.Table:
    """Energy by local day, direction and period of each meter's tariff.

    Args:
        loads: The meters' slots.
        contracts: Name the tariff of each day.
        tariffs: Versions of each tariff.
        wanted: Days to write; (n, days).

    Returns:
        Content of the ``determinants`` table.
    """
    asked = np.asarray(wanted)
    days = np.zeros(asked.shape, np.int16)
    used: list[Tariff] = []
    for contract in contracts:
        row = loads.row_of.get(contract.load)
        if row is None or contract.tariff_id is None or contract.tariff_id not in tariffs:
            continue
        last = (
            loads.grid.last_day if contract.last_day is None else min(contract.last_day, loads.grid.last_day)
        )
        first = max(contract.first_day, loads.grid.first_day)
        if first > last:
            continue
        for low, high, tariff in version_stretches(tariffs[contract.tariff_id], first, last):
            if not any(tariff is other for other in used):
                used.append(tariff)
            days[row, low - loads.grid.first_day : high + 1 - loads.grid.first_day] = used.index(tariff) + 1
    tables = [_determinants(loads, tariff, asked & (days == code)) for code, tariff in enumerate(used, 1)]
    schema = pa.schema(
        [
            ("meter_id", pa.string()),
            ("local_day", pa.date32()),
            ("tariff_id", pa.string()),
            ("lines", pa.list_(DETERMINANT)),
        ]
    )
    return pa.concat_tables([schema.empty_table(), *tables])


def _determinants(loads: Loads, tariff: Tariff, chosen: object) -> pa.Table:
    mask = np.asarray(chosen)
    rows = np.flatnonzero(mask.any(axis=1))
    mask = mask[rows]
    periods = classify(tariff, loads.grid)
    width = len(periods.names)
    occurs = np.zeros((loads.grid.days, width), np.bool_)
    occurs[periods.run_day, periods.run_period] = True
    sums = [daily_sums(loads.runs(tariff, rows), periods, loads.grid.days)]
    if loads.exported is not None:
        sums.append(daily_sums(loads.runs(tariff, rows, exported=True), periods, loads.grid.days))
    values = np.concatenate(sums, axis=2)
    present = np.concatenate([occurs] * len(sums), axis=1)
    series, day = np.nonzero(mask)
    shown = present[day]
    shown[:, width:] &= loads.exports[rows][series, day][:, None]
    at, code = np.nonzero(shown)
    offsets = np.concatenate([[0], np.cumsum(shown.sum(axis=1))]).astype(np.int32)
    names = pa.array([*periods.names] * len(sums), pa.string())
    directions = pa.array(["import"] * width + ["export"] * (width * (len(sums) - 1)), pa.string())
    pick = pa.array(code)
    structs = pa.StructArray.from_arrays(
        [
            names.take(pick),
            directions.take(pick),
            pa.array(values[series[at], day[at], code]),
            pa.array([loads.units[r] for r in rows.tolist()], pa.string()).take(pa.array(series[at])),
        ],
        fields=list(DETERMINANT),
    )
    return pa.table(
        {
            "meter_id": pa.array([loads.names[r] for r in rows.tolist()], pa.string()).take(pa.array(series)),
            "local_day": pa.array((loads.grid.first_day + day).astype(np.int32), pa.int32()).cast(
                pa.date32()
            ),
            "tariff_id": pa.repeat(pa.scalar(tariff.id), len(series)),
            "lines": pa.ListArray.from_arrays(pa.array(offsets), structs),
        }
    )
