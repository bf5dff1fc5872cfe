"""How good estimates are: hide real slots, estimate them back, compare. `python -m tests.bench.estimation`.

Real homes of Switzerland (15 minutes) and New South Wales (30 minutes). Homes of even number were used to
choose the default pack's parameters; the table is about those of odd number. Runs the pipeline's own kernels
without registers: with a register read the energy of a gap is exact. Fixed seed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow.parquet as pq

from models.calendar import DAY_S, DayGrid
from models.series import Bool, Int, SeriesFacts
from models.vee import validate_and_estimate
from schemas.estimators import AnyStep, LikeDayStep
from schemas.quality import Quality
from schemas.rulepack import RulePack, load_rule_pack
from tests.real_data import shared, swiss_values

LENGTHS = {
    "1 slot": 0,
    "1 h": 3600,
    "2 h": 7200,
    "6 h": 21_600,
    "1 d": DAY_S,
    "3 d": 3 * DAY_S,
    "7 d": 7 * DAY_S,
}
BASELINES = ("linear", "last week", "3 like days")
HISTORY_DAYS = 14
"""Days before the first hidden slot."""
WINDOW_DAYS = 60
CLUSTER = 3
"""Gaps of a cluster."""
SEED = 20_260_401
Facts = Iterator[tuple[SeriesFacts, Bool]]


@dataclass
class Score:
    """Sums over hidden slots, in micro-kWh."""

    error: int = 0
    bias: int = 0
    truth: int = 0
    slots: int = 0

    def add(self, value: Int, truth: Int) -> None:
        """Count some slots."""
        self.error += int(np.abs(value - truth).sum())
        self.bias += int((value - truth).sum())
        self.truth += int(truth.sum())
        self.slots += len(truth)

    @property
    def mae(self) -> float:
        """Mean absolute error, in Wh a slot."""
        return self.error / max(self.slots, 1) / 1000


def facts_of(value: Int, have: Bool, grid: DayGrid) -> SeriesFacts:
    """Homes as facts, every day expected."""
    rows = len(value)
    return SeriesFacts(
        grid=grid,
        value=np.where(have, value, 0),
        have=have,
        expected=np.ones((rows, grid.days), np.bool_),
        one_directional=np.ones(rows, np.bool_),
        instantaneous=np.zeros(rows, np.bool_),
    )


def swiss(half: int, rounds: int) -> Iterator[SeriesFacts]:
    """Every second home, all 49 days, again each round."""
    _, value, grid = swiss_values()
    for _ in range(rounds):
        yield facts_of(value[half::2], np.ones(value[half::2].shape, np.bool_), grid)


def nsw(half: int, rounds: int) -> Iterator[SeriesFacts]:
    """Every second home, other sixty days each round; their clock is UTC+10 throughout."""
    rows = pq.read_table(shared("nsw_halfhour") / "consumption.parquet")
    names = np.array(rows["meter_id"].to_pylist())
    slot = rows["local_time"].to_numpy().astype("datetime64[s]").astype(np.int64) // 1800
    kwh = np.rint(rows["kwh"].to_numpy() * 1e6).astype(np.int64)
    first, last = int(slot.min()) // 48 + 1, int(slot.max()) // 48
    homes = sorted(set(names.tolist()))[half::2]
    chance = np.random.default_rng(SEED)
    for _ in range(rounds):
        day = int(chance.integers(first, last - WINDOW_DAYS))
        grid = DayGrid("Etc/GMT-10", 1800, day, WINDOW_DAYS)
        value = np.zeros((len(homes), grid.slots), np.int64)
        have = np.zeros(value.shape, np.bool_)
        for number, home in enumerate(homes):
            at = slot[names == home] - day * 48
            inside = (at >= 0) & (at < grid.slots)
            value[number, at[inside]] = kwh[names == home][inside]
            have[number, at[inside]] = True
        whole = have.mean(axis=1) > 0.9
        if whole.any():
            yield facts_of(value[whole], have[whole], grid)


def hidden(facts: SeriesFacts, slots: int, gaps: int, chance: np.random.Generator) -> Bool:
    """Slots to hide in each home: gaps of one length, clustered ones one length (a day at most) apart."""
    grid = facts.grid
    per_day = DAY_S // grid.interval_s
    pause = min(slots, per_day)
    whole = gaps * slots + (gaps - 1) * pause
    mask = np.zeros(facts.have.shape, np.bool_)
    for row in range(facts.count):
        first = int(chance.integers(HISTORY_DAYS * per_day, grid.slots - whole - 1))
        for gap in range(gaps):
            start = first + gap * (slots + pause)
            mask[row, start : start + slots] = True
    return mask & facts.have


def straight(facts: SeriesFacts) -> tuple[Int, Bool]:
    """A straight line over any gap."""
    value = np.empty_like(facts.value)
    columns = np.arange(facts.grid.slots)
    for row in range(facts.count):
        there = facts.have[row]
        value[row] = np.rint(np.interp(columns, columns[there], facts.value[row][there])).astype(np.int64)
    return value, np.ones(value.shape, np.bool_)


def last_week(facts: SeriesFacts) -> tuple[Int, Bool]:
    """The same slot of the latest week that has it."""
    week = 7 * DAY_S // facts.grid.interval_s
    value, there = np.zeros_like(facts.value), np.zeros_like(facts.have)
    for back in range(week, facts.grid.slots, week):
        new = np.zeros_like(there)
        new[:, back:] = facts.have[:, :-back] & ~there[:, back:]
        value[:, back:] = np.where(new[:, back:], facts.value[:, :-back], value[:, back:])
        there |= new
    return value, there


def by_pack(pack: RulePack) -> Callable[[SeriesFacts], tuple[Int, Bool]]:
    """The pipeline's estimates under a pack."""

    def run(facts: SeriesFacts) -> tuple[Int, Bool]:
        result = validate_and_estimate(facts, pack)
        return result.value, (result.quality != Quality.MISSING) & (result.quality != Quality.FAILED)

    return run


def with_order(pack: RulePack, *steps: AnyStep) -> RulePack:
    """The pack with other estimators."""
    return pack.model_copy(update={"estimation": pack.estimation.model_copy(update={"order": steps})})


def methods(packs: tuple[str, ...]) -> dict[str, Callable[[SeriesFacts], tuple[Int, Bool]]]:
    """Baselines and packs by name."""
    three = with_order(load_rule_pack("default"), LikeDayStep(method="like_day", days=3))
    found = dict(zip(BASELINES, (straight, last_week, by_pack(three)), strict=True))
    return found | {pack: by_pack(load_rule_pack(pack)) for pack in packs}


def measure(
    homes: Iterator[SeriesFacts], seconds: int, gaps: int, packs: tuple[str, ...]
) -> dict[str, Score]:
    """Hide gaps of one length and score every method on the slots that all of them estimate."""
    chance = np.random.default_rng(SEED + seconds)
    every = methods(packs)
    scores = {name: Score() for name in every}
    for facts in homes:
        mask = hidden(facts, max(seconds // facts.grid.interval_s, 1), gaps, chance)
        have = facts.have & ~mask
        masked = replace(facts, have=have, value=np.where(have, facts.value, 0))
        found = {name: method(masked) for name, method in every.items()}
        counted = mask & np.logical_and.reduce([there for _, there in found.values()])
        for name, (value, _) in found.items():
            scores[name].add(value[counted], facts.value[counted])
    return scores


def table(half: int, packs: tuple[str, ...]) -> Iterator[str]:
    """The lines of the table in Markdown."""
    names = (*BASELINES, *packs)
    yield f"| homes | gap | {' | '.join(names)} | {packs[0]} ÷ best |"
    yield "|---" * (len(names) + 3) + "|"
    for label, homes, rounds in (("Swiss", swiss, 3), ("NSW", nsw, 60)):
        for gaps, how in ((1, "one"), (CLUSTER, "cluster")):
            for length, seconds in LENGTHS.items():
                scores = measure(homes(half, rounds), seconds, gaps, packs)
                best = min(scores[name].mae for name in BASELINES)
                cells = [f"{s.mae:.0f} ({s.bias / s.truth:+.0%})" for s in scores.values()]
                ratio = scores[packs[0]].mae / best
                yield f"| {label}, {how} | {length} | {' | '.join(cells)} | {ratio:.2f} |"


if __name__ == "__main__":
    chosen = tuple(sys.argv[2:]) or ("default",)
    for line in table(int(sys.argv[1]) if len(sys.argv) > 1 else 1, chosen):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
