"""Why a meter stands where it stands: in words that a person can check."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.behaviour import DAY_NAMES
from models.calendar import day_date
from models.comparison import Scored
from models.day_profile import day_profile
from models.device_events import DeviceEvents, tampering
from models.state_queue import WAYS
from models.theft_loss import Loss
from models.week_table import WEEK

__all__ = ["change_reasons", "state_reasons"]

NAMED = 3
"""Features that a reason names at most."""
WORTH_NAMING = 1.5
"""Robust deviations from which a feature is worth a word."""
PARTS = (("night 0–6", 0, 3), ("day 6–18", 3, 9), ("evening 18–24", 9, 12))
"""Name, first and one past last of the two-hour parts of a day."""


def change_reasons(scored: Scored, loss: Loss, events: DeviceEvents) -> list[str]:
    """From when, by how much, what changed most sharply, tampering near it, the day before and after."""
    return [
        _change_reason(scored, row, loss, events.get(meter, ()))
        for row, meter in enumerate(scored.table.meters)
    ]


def _change_reason(scored: Scored, row: int, loss: Loss, events: Sequence[tuple[int, str]]) -> str:
    change = scored.change
    since = int(change.since[row])
    if since < 0:
        return "nothing stands out"
    day = day_date(_epoch_day(scored, since))
    if change.drop[row] > 0:
        parts = [
            f"use fell by {change.drop[row]:.0%} from {day} on, against its own days before and the fleet"
        ]
    else:
        parts = [f"days differ from {day} on"]
    strength = change.strength[row]
    top = [k for k in np.argsort(-strength, kind="stable")[:NAMED].tolist() if strength[k] > WORTH_NAMING]
    if top:
        named = ", ".join(f"{DAY_NAMES[k]} ({strength[k]:.1f})" for k in top)
        parts.append(f"sharpest in {named} robust deviations")
    parts += _money_words(loss, row)
    parts += tampering(events, _epoch_day(scored, since))
    return "; ".join([*parts, *_profiles(scored, row, since)])


def _epoch_day(scored: Scored, index: int) -> int:
    return int(scored.table.weeks[index // WEEK]) + index % WEEK


def _money_words(loss: Loss, row: int) -> list[str]:
    """The loss in money, and at which price."""
    money = loss.money[row]
    if money is None:
        return []
    price = money.price
    rate = f"{price.a_kwh:.4f} {price.currency} a kWh as its bills charge it"
    return [f"about {loss.kwh[row]:.0f} kWh or {money.amount} {price.currency} lost, at {rate}"]


def _profiles(scored: Scored, row: int, since: int) -> list[str]:
    """Mean kWh of the parts of the day before and after a day; nothing where too few days are kept."""
    before, after = day_profile(scored.table, row, since)
    if before is None or after is None:
        return []
    told = (f"{name} {before[low:high].sum():.2f} → {after[low:high].sum():.2f}" for name, low, high in PARTS)
    return [f"kWh a day before → after: {', '.join(told)}"]


def state_reasons(scored: Scored, loss: Loss, events: DeviceEvents) -> list[str]:
    """What the model says, which of the three ways it is, what the feeder's loss says, money, tampering."""
    by_model = _model_words(scored)
    return [
        "; ".join([*by_model[row : row + 1], *_state_reason(scored, row, loss, events.get(meter, ()))])
        for row, meter in enumerate(scored.table.meters)
    ]


def _model_words(scored: Scored) -> list[str]:
    """Where the model puts each meter; empty without one."""
    if scored.model is None:
        return []
    score, count = scored.state.score, len(scored.state.score)
    place = np.empty(count, np.int64)
    place[np.argsort(-score, kind="stable")] = np.arange(1, count + 1)
    return [f"model {scored.model}: place {at} of {count}" for at in place.tolist()]


def _state_reason(scored: Scored, row: int, loss: Loss, events: Sequence[tuple[int, str]]) -> list[str]:
    state, fit = scored.state, scored.fit
    way = int(state.way[row])
    distance = state.ways[row, way]
    parts = ["no single sign stands out"]
    if distance >= WORTH_NAMING:
        parts = [f"{_WAY_WORDS[WAYS[way]]} ({distance:.1f} robust deviations)"]
    share, kwh = (fit.steady, fit.steady_kwh) if WAYS[way] == "steady" else (fit.moving, fit.moving_kwh)
    if np.isnan(share[row]):
        parts.append("no feeder meter: compared with the population only")
    elif share[row] > 0:
        parts.append(
            f"its feeder's loss moves with this meter: about {kwh[row]:.2f} kWh a day of it falls here"
        )
    else:
        parts.append("its feeder's loss does not follow this meter")
    since = int(scored.change.since[row])
    signs = tampering(events, _epoch_day(scored, since)) if since >= 0 else []
    return [*parts, *_money_words(loss, row), *signs]


_WAY_WORDS = {
    "began": "a lasting change",
    "comes and goes": "days unlike each other",
    "steady": "unlike the population on all its days",
}
