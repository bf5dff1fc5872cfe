"""How many broken meters the fault rules find, and how often they name a whole one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.comparison import Place, compare
from models.fault_trial import BREAKS, FaultTrial, draw_faults
from models.theft_bench import Homes

__all__ = ["FaultDraw", "evaluate_faults", "fault_rows"]

DAYS_A_MONTH = 30.4


@dataclass(frozen=True)
class FaultDraw:
    """One draw and what the rules said of each home: its faults by name, once a row."""

    trial: FaultTrial
    named: list[list[str]]


def evaluate_faults(homes: Homes, *, seeds: int, each: int) -> Iterator[FaultDraw]:
    """The rules of a detect run over meters of which some are broken."""
    able = homes.able
    for seed in range(seeds):
        trial = draw_faults(homes.load, homes.have, homes.grid, seed=seed, able=able, each=each)
        rows = homes.measured(homes.names, trial.said, trial.have)
        yield FaultDraw(trial, _named(homes, rows))


def _named(homes: Homes, rows: Any) -> list[list[str]]:
    places = {name: Place("customer", None, "active", 0) for name in homes.names}
    found = compare([rows], homes.weeks, places)
    named: dict[str, list[str]] = {name: [] for name in homes.names}
    for fault in found.faults:
        named[found.customers[fault.meter]].append(fault.fault)
    return [named[name] for name in homes.names]


def fault_rows(homes: Homes, draws: list[FaultDraw]) -> dict[str, Any]:
    """Recall by injected fault, and false alarms a meter-month."""
    able = homes.able
    injected, hits, any_hit, alarms, whole = Counter[str](), Counter[str](), Counter[str](), Counter[str](), 0
    for draw in draws:
        for row, kind in enumerate(draw.trial.kind):
            names = draw.named[row]
            if kind:
                injected[kind] += 1
                hits[kind] += bool(set(names) & set(BREAKS[kind][1]))
                any_hit[kind] += bool(names)
            elif able[row] and not draw.trial.copied[row]:
                whole += 1
                alarms.update(names)
    months = homes.grid.days / DAYS_A_MONTH
    unchanged = Counter(name for names in _named(homes, homes.rows) for name in names)
    return {
        "rows": [
            {
                "fault": kind,
                "injected": injected[kind],
                "recall": round(hits[kind] / injected[kind], 4),
                "any_fault": round(any_hit[kind] / injected[kind], 4),
            }
            for kind in BREAKS
            if injected[kind]
        ],
        "false_alarms": _rates(alarms, whole * months),
        "unchanged_data": _rates(unchanged, len(homes.names) * months),
    }


def _rates(counts: Counter[str], meter_months: float) -> dict[str, float]:
    rates = {"all": sum(counts.values()), **dict(sorted(counts.items()))}
    return {name: round(float(np.divide(count, meter_months)), 4) for name, count in rates.items()}
