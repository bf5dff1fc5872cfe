"""How many broken meters the fault rules find, and how often they name a whole one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from models.comparison import Place, compare
from models.fault_registers import RegisterReads
from models.fault_trial import BREAKS, OF_VALUES, READ_EVERY, FaultTrial, draw_faults
from models.features import feature_rows, week_features
from models.series import Reads
from models.theft_bench import Homes
from schemas.errors import MeterbeamError

__all__ = ["FaultDraw", "evaluate_faults", "fault_rows", "named_faults"]

DAYS_A_MONTH = 30.4
RESOLUTION = 1000
"""Step of the registers of a trial. [micro-kWh]"""
_IMPORTS = frozenset({"import"})


@dataclass(frozen=True)
class FaultDraw:
    """One draw and what the rules said of each home: its faults by name, once a row."""

    trial: FaultTrial
    named: list[list[str]]


def evaluate_faults(homes: Homes, *, seeds: int, each: int) -> Iterator[FaultDraw]:
    """The rules of a detect run over meters of which some are broken; two draws a seed.

    Raises:
        MeterbeamError: No home can be broken: all are at fault as they are, or too short to be compared.
    """
    able = homes.able
    if not able.any():
        found = f"{len(homes.names)} homes, each at fault as it is or too short to be compared"
        raise MeterbeamError("homes", found, "homes in which a fault can be told from what was there before")
    others = tuple(name for name in BREAKS if name not in OF_VALUES)
    for seed in range(seeds):
        for kinds in (OF_VALUES, others):
            trial = draw_faults(
                homes.load, homes.have, homes.grid, seed=seed, able=able, each=each, kinds=kinds
            )
            yield FaultDraw(trial, named_faults(homes, trial))


def named_faults(homes: Homes, trial: FaultTrial | None = None) -> list[list[str]]:
    """The faults of each home by name, once a row; without a trial those of the homes as they are."""
    places = {name: Place("customer", None, "active", 0, _IMPORTS) for name in homes.names}
    if trial is None:
        found = compare([homes.rows], homes.weeks, places)
    else:
        first, events = homes.grid.first_day, {}
        for home in trial.broken("use after closing"):
            since = first + int(trial.day[home])
            places[homes.names[home]] = Place("customer", None, "closed", since, _IMPORTS)
        for home in trial.broken("battery"):
            events[homes.names[home]] = [(first + int(trial.day[home]), "low_battery")]
        pieces = [homes.measured(homes.names, trial.said, trial.have)]
        pieces += _exports(homes, trial)
        found = compare(pieces, homes.weeks, places, events, [_reads(homes, trial)])
    named: dict[str, list[str]] = {name: [] for name in homes.names}
    for fault in found.faults:
        named[found.customers[fault.meter]].append(fault.fault)
    return [named[name] for name in homes.names]


def _exports(homes: Homes, trial: FaultTrial) -> list[pa.Table]:
    """Rows of the export channel of homes that feed in, from their broken day on, half of what they use."""
    rows = trial.broken("export without generation")
    load = homes.load[rows] // 2
    for at, home in enumerate(rows):
        load[at, : homes.grid.offsets[trial.day[home]]] = 0
    names = [(homes.names[home], "export") for home in rows]
    features = week_features(load, homes.have[rows], homes.grid)
    return [feature_rows(features, names, homes.grid.interval_s)] if rows else []


def _reads(homes: Homes, trial: FaultTrial) -> RegisterReads:
    """Registers read at midnight, to the Wh."""
    count = trial.register.shape[1]
    size = trial.register.size
    series = np.repeat(np.arange(len(homes.names)), count)
    day = np.tile(homes.grid.first_day + READ_EVERY * np.arange(count), len(homes.names))
    none = np.zeros(size, np.int64)
    reads = Reads(series, day, trial.register.ravel(), none, none + RESOLUTION, np.zeros((size, 2), np.int64))
    return RegisterReads(homes.names, reads, day, np.ones(size, np.bool_))


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
    unchanged = Counter(name for names in named_faults(homes) for name in names)
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
