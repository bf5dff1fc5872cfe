"""Hypothesis strategies: series of metered values with everything that goes wrong in the field."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.calendar import DAY_S, DayGrid, day_date, epoch_day
from models.series import EVENT_RULES, EventMarks, Outages, Reads, Repeats, SeriesFacts, TouReads
from models.tou_registers import register_code
from schemas.rulepack import RulePack, load_rule_pack

CLOCK_CHANGES = {
    "UTC": [date(2024, 2, 29), date(2023, 12, 31)],
    "Europe/Zurich": [date(2024, 3, 31), date(2024, 10, 27)],
    "Australia/Lord_Howe": [date(2024, 4, 7), date(2024, 10, 6)],
    "America/Sao_Paulo": [date(2018, 11, 4), date(2019, 2, 17), date(2018, 2, 18)],
}
"""Zones and days near which grids are laid: changes of an hour, of half an hour, over midnight, and none."""

INTERVALS = (900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)

Severity = st.sampled_from(["info", "questionable", "hold-billing"])
AnySeverity = st.sampled_from(["info", "questionable", "fail", "hold-billing"])


@st.composite
def rule_packs(draw: st.DrawFn, *, max_read_gap_days: int | None = None) -> RulePack:
    """The default pack, or one with other parameters, in which short series already hit every rule."""
    pack = load_rule_pack("default").model_dump(by_alias=True)
    if draw(st.booleans()):
        pack["registers"] = {"max_read_gap_days": max_read_gap_days or 62}
        return RulePack.model_validate(pack)
    rules: dict[str, Any] = pack["rules"]
    for name in ("missing", "conflict", "zero_run", "flat_line", "high_usage", "low_usage", "sum_check"):
        rules[name]["severity"] = draw(Severity)
    for name in ("negative", "spike", "over_capacity"):
        rules[name]["severity"] = draw(st.sampled_from(["fail", "fail", "fail", "questionable", "info"]))
    rules["spike"] |= {
        "max_excess": draw(st.sampled_from(["1.8", "0.5", "0", "2.345"])),
        "min_third_peak_kw": draw(st.sampled_from(["0.1", "0", "0.333"])),
    }
    rules["zero_run"]["hours"] = draw(st.sampled_from([48, 1, 7, 24]))
    rules["flat_line"] |= {
        "slots": draw(st.sampled_from([24, 3, 5])),
        "min_steps": draw(st.sampled_from([1, 1, 2, 5])),
        "coarse_slots": draw(st.sampled_from([240, 6, 12])),
    }
    rules["high_usage"]["factor"] = draw(st.sampled_from([3, 1, 2]))
    rules["low_usage"]["divisor"] = draw(st.sampled_from([10, 1, 2]))
    rules["prolonged_estimation"]["days"] = draw(st.sampled_from([3, 1, 5]))
    rules["sum_check"]["tolerance"] = draw(st.sampled_from(["0.02", "0", "0.1255", "1"]))
    for name in ("zero_run", "flat_line", "high_usage", "low_usage"):
        if draw(st.integers(0, 9)) == 9:
            rules[name] = None
    rules |= draw(_later_rules())
    pack["averages"] = {
        "days": draw(st.sampled_from([28, 5, 35])),
        "min_days": draw(st.sampled_from([5, 1, 3])),
    }
    steps: list[dict[str, Any]] = [
        {
            "method": "similar",
            "windows": draw(st.sampled_from([10, 1, 3])),
            "other_days": draw(st.sampled_from([0, 50, 1000])),
        },
        {"method": "check"},
        {"method": "linear", "max_minutes": draw(st.sampled_from([120, 720, 0]))},
        {"method": "like_day", "days": draw(st.sampled_from([3, 1, 5]))},
        {"method": "two_week"},
        {"method": "multi_week", "weeks": draw(st.sampled_from([4, 1, 5]))},
        {"method": "class_profile", "shapes": draw(_shapes())},
        {"method": "previous_year"},
        {"method": "proxy_day"},
        {"method": "flat"},
    ]
    for step in steps:
        if step["method"] != "linear":
            step["max_minutes"] = draw(st.sampled_from([None, None, 720, 2880]))
    steps[0]["shift_minutes"] = draw(st.sampled_from([60, 0, 180]))
    order = draw(st.lists(st.sampled_from(steps), min_size=1, max_size=6, unique_by=lambda s: s["method"]))
    pack["estimation"] = {"order": order, "scale_external": draw(st.booleans())}
    gaps = st.sampled_from([62, 3, 10])
    pack["registers"] = {"max_read_gap_days": max_read_gap_days or draw(gaps), "tou": draw(_tou_parts())}
    return RulePack.model_validate(pack)


@st.composite
def _tou_parts(draw: st.DrawFn) -> list[dict[str, Any]]:
    """No times of use, or day and night, on all days or only on some."""
    if draw(st.booleans()):
        return []
    days = draw(st.sampled_from([["weekday"], ["weekday", "saturday", "sunday", "holiday"]]))
    at = draw(st.sampled_from([["07:00", "21:00"], ["22:30", "06:15"], ["00:00", "24:00"]]))
    parts: list[dict[str, Any]] = [{"name": TOU_NAMES[0], "days": days, "at": at}]
    return parts + [{"name": TOU_NAMES[1]}] * draw(st.integers(0, 1))


@st.composite
def _shapes(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One or two profiles of a class, for some days or all."""
    kinds = st.lists(st.sampled_from(["weekday", "saturday", "sunday", "holiday"]), min_size=1, unique=True)
    some = {"days": draw(kinds), "months": draw(st.sampled_from([[3, 10], [1, 2, 4, 11]]))}
    weights = st.lists(st.sampled_from([1, 0, 7, 10_000]), min_size=24, max_size=24).filter(any)
    shapes: list[dict[str, Any]] = [{**some, "weights": draw(weights)}, {"weights": draw(weights)}]
    return shapes[: draw(st.integers(1, 2))]


@st.composite
def _later_rules(draw: st.DrawFn) -> dict[str, Any]:
    """Rules that a pack may leave out, with parameters that short series already reach."""
    rules: dict[str, Any] = {
        name: {"severity": draw(AnySeverity)}
        for name in (
            "stale_snapshot", "test_mode", "meter_id_mismatch", "pulse_overflow", "reverse_rotation",
            "clock_changed", "power_failure", "sibling_missing",
        )
    }  # fmt: skip
    rules |= {
        "tou_registers": {"severity": "info", "tolerance": draw(st.sampled_from(["0", "0.02"]))},
        "reactive_without_active": {"severity": draw(AnySeverity), "min_rate": draw(_amount)},
        "disconnected_usage": {"severity": draw(AnySeverity), "min_usage": draw(_amount)},
        "inactive_usage": {"severity": draw(AnySeverity), "min_usage": draw(_amount)},
        "historical_max": {
            "severity": draw(Severity), "max_excess": draw(st.sampled_from(["0", "0.1", "0.5"])),
            "min_rate": draw(_amount),
        },
        "high_slot": {"severity": draw(Severity), "factor": draw(st.sampled_from([1, 2, 5]))},
        "leak": {
            "severity": draw(Severity), "days": draw(st.sampled_from([1, 2, 4])), "min_rate": draw(_amount),
        },
    }  # fmt: skip
    for name in rules:
        if draw(st.integers(0, 9)) == 9:
            rules[name] = None
    return rules


_amount = st.sampled_from(["0", "0", "0.1", "1.5"])
TOU_NAMES = ("day", "night")
TOU_CODES = tuple(register_code(name) for name in TOU_NAMES)


@st.composite
def grids(draw: st.DrawFn, *, min_days: int = 3, max_days: int = 50, max_slots: int = 420) -> DayGrid:
    """A grid around a clock change, or a plain one; fine slots only on few days."""
    zone = draw(st.sampled_from(sorted(CLOCK_CHANGES)))
    days = draw(st.integers(min_days, max_days))
    fitting = [s for s in INTERVALS if days * (DAY_S // s) <= max_slots]
    interval_s = draw(st.sampled_from(fitting))
    change = epoch_day(draw(st.sampled_from(CLOCK_CHANGES[zone])))
    return DayGrid(zone, interval_s, change - draw(st.integers(0, days)), days)


@dataclass
class _Meter:
    """A meter while it is being put together: the truth, and what is known of it."""

    grid: DayGrid
    truth: NDArray[np.int64]
    value: NDArray[np.int64]
    have: NDArray[np.bool_]
    external: NDArray[np.bool_]
    conflict: NDArray[np.bool_]
    expected: NDArray[np.bool_]
    disconnected: NDArray[np.bool_]
    capacity: NDArray[np.int64]
    inactive: NDArray[np.bool_]
    one_directional: bool
    level: int
    unserved: NDArray[np.bool_]
    outages: list[tuple[int, int]] = field(default_factory=list)
    reads: list[tuple[int, ...]] = field(default_factory=list)
    events: list[tuple[int, int, int]] = field(default_factory=list)
    repeats: list[int] = field(default_factory=list)
    tou: list[tuple[int, ...]] = field(default_factory=list)


@st.composite
def _meters(draw: st.DrawFn, grid: DayGrid) -> _Meter:
    """A clean meter: a daily profile with noise, on a coarse or fine register step."""
    level = draw(st.sampled_from([400, 20_000, 600_000, 3_000_000, 10**9]))
    random = np.random.Generator(np.random.PCG64(draw(st.integers(0, 2**16))))
    profile = 1.0 + 0.8 * np.sin(grid.wall / DAY_S * 2 * np.pi) + 0.3 * random.random(grid.slots)
    step = draw(st.sampled_from([1, 1, max(1, level // 7), level]))
    truth = (np.rint(profile * level).astype(np.int64) // step) * step
    one_directional = draw(st.integers(0, 3)) > 0
    if not one_directional:
        truth -= level // 2
    shape, days = truth.shape, (grid.days,)
    never = np.zeros(shape, np.bool_)
    return _Meter(
        grid,
        truth,
        truth.copy(),
        np.ones(shape, np.bool_),
        never.copy(),
        never.copy(),
        np.ones(days, np.bool_),
        np.zeros(days, np.bool_),
        np.zeros(days, np.int64),
        np.zeros(days, np.bool_),
        one_directional,
        level,
        never.copy(),
    )


KINDS = (
    "gap",
    "gap",
    "gap",
    "negative",
    "spike",
    "true_spike",
    "zeros",
    "equal",
    "external",
    "conflict",
    "high",
    "low",
    "outage",
    "outage_gap",
    "disconnected",
    "unexpected",
    "part_day",
    "capacity",
    "inactive",
    "event",
    "event",
    "repeat",
    "idle",
)


def _part_of_day(draw: st.DrawFn, grid: DayGrid, slot: int) -> slice:
    """A day up to a slot of it, or from it on; never the whole day."""
    begin, end = grid.offsets[grid.day_of_slot[slot] : grid.day_of_slot[slot] + 2].tolist()
    return slice(begin, slot) if slot > begin and draw(st.booleans()) else slice(max(slot, begin + 1), end)


@st.composite
def _incidents(draw: st.DrawFn, meter: _Meter) -> None:
    """One thing that happens to a meter, anywhere, for any time; later ones overwrite earlier ones."""
    grid = meter.grid
    kind = draw(st.sampled_from(KINDS))
    per_day = DAY_S // grid.interval_s
    length = draw(st.sampled_from([1, 2, 3, 4, 7, 24, per_day, 2 * per_day + 1, 6 * per_day]))
    first = draw(st.integers(0, grid.slots - 1))
    here = slice(first, first + length)
    days = slice(int(grid.day_of_slot[first]), int(grid.day_of_slot[min(first + length, grid.slots) - 1]) + 1)
    if kind == "gap":
        meter.have[here] = False
    elif kind == "negative":
        meter.value[here] = -1 - meter.value[here] // 2
    elif kind in ("spike", "true_spike"):
        spot = slice(first, first + min(length, 2))
        meter.value[spot] = abs(meter.value[spot]) * draw(st.integers(2, 40)) + meter.level
        if kind == "true_spike":
            meter.truth[spot] = meter.value[spot]
    elif kind == "zeros":
        meter.value[here] = meter.truth[here] = 0
    elif kind == "equal":
        meter.value[here] = meter.truth[here] = draw(st.integers(1, 2 * meter.level))
    elif kind == "external":
        meter.external[here] = True
        meter.value[here] += draw(st.sampled_from([0, 1, meter.level // 3, 9 * meter.level]))
    elif kind == "conflict":
        meter.conflict[here] = True
    elif kind in ("high", "low"):
        whole = slice(int(grid.offsets[days.start]), int(grid.offsets[days.start + 1]))
        changed = meter.truth[whole] * 5 if kind == "high" else meter.truth[whole] // 25
        meter.truth[whole] = meter.value[whole] = changed
    elif kind in ("outage", "outage_gap"):
        meter.outages.append(_outage(draw, grid, first, length))
        if kind == "outage_gap":
            meter.have[here] = False
    elif kind == "disconnected":
        meter.disconnected[days] = True
        if draw(st.booleans()):
            meter.have[here] = False
    elif kind == "inactive":
        meter.disconnected[days] = meter.inactive[days] = True
    elif kind == "event":
        rule = draw(st.integers(0, len(EVENT_RULES) - 1))
        meter.events.append((rule, *_outage(draw, grid, first, draw(st.sampled_from([0, 1, length])))))
    elif kind == "repeat":
        second = min(first + 1, grid.slots - 1)
        meter.value[second] += meter.value[first]
        meter.value[first] = draw(st.sampled_from([0, 0, 0, 1]))
        meter.repeats.append(int(grid.starts[first]) + draw(st.sampled_from([0, 0, 0, 1])))
    elif kind == "idle":
        meter.value[here] = meter.truth[here] = 0
    elif kind == "unexpected":
        meter.expected[days] = False
        if draw(st.booleans()):
            meter.have[here] = False
    elif kind == "part_day":
        meter.unserved[_part_of_day(draw, grid, first)] = True
    else:
        meter.capacity[days] = (
            int(np.quantile(np.abs(meter.value), draw(st.sampled_from([0.5, 0.9, 0.98])))) + 1
        )


def _outage(draw: st.DrawFn, grid: DayGrid, first: int, length: int) -> tuple[int, int]:
    """An outage that begins and ends on a slot's edge or inside the slot."""
    start = int(grid.starts[first]) + draw(st.sampled_from([0, 0, 1, grid.interval_s // 3]))
    end = start + length * grid.interval_s + draw(st.sampled_from([0, 0, -1, 1, grid.interval_s // 2]))
    return start, max(end, start + 1)


def _register(meter: _Meter, at: int, begin: int, factor: tuple[int, int]) -> int:
    """The register at a second: all truth before it, times a factor; outside the grid the level flows."""
    grid = meter.grid
    end = grid.origin + grid.slots * grid.interval_s
    if at <= grid.origin:
        moved = (at - grid.origin) * meter.level // grid.interval_s
    elif at >= end:
        moved = int(meter.truth.sum()) + (at - end) * meter.level // grid.interval_s
    else:
        column, inside = divmod(at - grid.origin, grid.interval_s)
        moved = int(meter.truth[:column].sum()) + int(meter.truth[column]) * inside // grid.interval_s
    return begin + moved * factor[0] // factor[1]


@st.composite
def _read_rows(draw: st.DrawFn, meter: _Meter) -> list[tuple[int, ...]]:
    """Reads of one meter: (at, value, modulus, resolution, version before, version after)."""
    grid = meter.grid
    pattern = draw(st.sampled_from(["none", "rhythm", "rhythm", "rhythm", "scattered"]))
    if pattern == "none":
        return []
    end = grid.origin + grid.slots * grid.interval_s
    if pattern == "rhythm":
        every = draw(st.sampled_from([1, 2, 3, 7, 30]))
        shift = draw(st.sampled_from([0, 0, 0, grid.interval_s, grid.interval_s // 3, 1, -1, 7 * 3600 + 5]))
        first = draw(st.integers(-2, 3))
        indices = range(max(first, 0), grid.days + 1, every)
        moments = [int(grid.day_starts[i]) + shift for i in indices]
        if first < 0:
            moments.insert(0, grid.origin + first * DAY_S)
    else:
        moments = draw(st.lists(st.integers(grid.origin - DAY_S, end + DAY_S), max_size=8))
    missing = draw(st.sets(st.integers(0, len(moments)), max_size=3))
    moments = sorted({at for i, at in enumerate(moments) if i not in missing})
    factor = draw(st.sampled_from([(1, 1), (1, 1), (1, 1), (1, 1), (11, 10), (3, 2), (1, 2), (99, 100)]))
    resolution = draw(st.sampled_from([1, 1, 1_000, 100_000, 10 * meter.level]))
    whole = abs(int(meter.truth.sum())) + 3 * meter.level * DAY_S // grid.interval_s
    modulus = draw(st.sampled_from([0, 0, whole * 4, whole * 2 + 1, whole // 3 + 1]))
    begin = draw(st.sampled_from([2 * whole, 0, modulus - 1 - whole // 20]))
    version = 0
    rows: list[tuple[int, ...]] = []
    for at in moments:
        value = _register(meter, at, begin, factor) // resolution * resolution
        value = value % modulus if modulus else value
        mishap = draw(st.integers(0, 19))
        if mishap == 19:
            value = draw(st.sampled_from([-1, 0, value // 2, modulus, modulus + 5, value + meter.level]))
        before = version
        version += mishap == 18
        rows.append((at, value, modulus, resolution, before, version))
    if draw(st.integers(0, 9)) == 9 and rows:
        rows[-1] = (*rows[-1][:3], 7 * resolution, *rows[-1][4:])
    return rows


@st.composite
def _tou_rows(draw: st.DrawFn, meter: _Meter) -> list[tuple[int, ...]]:
    """Reads of two TOU registers: (register, meter, at, value, modulus, resolution).

    The first counts from 7 to 21 o'clock, or two thirds of everything.
    """
    if not draw(st.booleans()):
        return []
    rows: list[tuple[int, ...]] = []
    grid, honest = meter.grid, draw(st.booleans())
    by_day = np.where((grid.wall >= 7 * 3600) & (grid.wall < 21 * 3600), meter.truth, 0)
    for at, value, modulus, resolution, *_ in meter.reads:
        before = min(max(-(-(at - grid.origin) // grid.interval_s), 0), grid.slots)
        day = min(int(by_day[:before].sum()), max(value, 0)) if honest else max(value, 0) * 2 // 3
        parts = [day, max(value, 0) - day]
        mishap = draw(st.integers(0, 9))
        if mishap == 9:
            parts[1] += draw(st.sampled_from([1, meter.level, 100 * meter.level]))
        for register, part in zip(TOU_CODES, parts, strict=True):
            if mishap != 8 or register != TOU_CODES[0]:
                rows.append((register, 0, at, -1 if mishap == 7 else part, modulus, resolution))
        if mishap == 6:
            rows.append((TOU_CODES[0], 0, at + 1, day, modulus, resolution))
    return sorted(rows)


CHANNEL_SETS = (
    ("cold_water", "volume", "export", "heat"),
    ("import", "reactive_import", "export", "volume"),
    ("import", "import_check", "export", "export_check"),
    ("volume", "import", "reactive_export", "net"),
    ("import_previous_year", "import", "import_proxy_day", "heat"),
    ("heat_proxy_day", "heat", "volume", "volume_previous_year"),
)
"""Channels of four series: any of them may belong to one meter."""


@st.composite
def series_facts(
    draw: st.DrawFn,
    *,
    grid: st.SearchStrategy[DayGrid] | None = None,
    max_series: int = 4,
    max_incidents: int = 12,
    instantaneous: bool = True,
    channels: bool = False,
) -> SeriesFacts:
    """Series on one grid with gaps, spikes, runs, outages, registers and all that, in any mixture."""
    laid = draw(grids() if grid is None else grid)
    meters = []
    for _ in range(draw(st.integers(1, max_series))):
        meter = draw(_meters(laid))
        for _ in range(draw(st.integers(0, max_incidents))):
            draw(_incidents(meter))
        meter.reads = draw(_read_rows(meter))
        meter.tou = draw(_tou_rows(meter))
        meters.append(meter)
    holidays = draw(st.sets(st.integers(laid.first_day, laid.last_day), max_size=3))
    at_all = instantaneous and draw(st.integers(0, 5)) == 5
    facts = assemble(meters, laid, frozenset(holidays), [at_all and i % 2 == 0 for i in range(len(meters))])
    if not channels and draw(st.booleans()):
        return facts
    names = draw(st.sampled_from(CHANNEL_SETS)) * 2
    numbers = sorted(draw(st.lists(st.integers(0, 1), min_size=len(meters), max_size=len(meters))))
    return replace(facts, meter=np.array(numbers, np.int64), channels=names[: len(meters)])


def assemble(
    meters: list[_Meter], grid: DayGrid, holidays: frozenset[int], instantaneous: list[bool]
) -> SeriesFacts:
    """Meters as dense facts; what no meter has is left out (None)."""

    def some(rows: list[Any]) -> Any:
        table = np.stack(rows)
        return table if table.any() else None

    expected = np.stack([m.expected for m in meters])
    unserved = np.stack([m.unserved for m in meters]) & np.repeat(expected, grid.lengths, axis=1)
    whole = np.array([[day.all() for day in np.split(row, grid.offsets[1:-1])] for row in unserved])
    expected, unserved = expected & ~whole, unserved & ~np.repeat(whole, grid.lengths, axis=1)
    have = np.stack([m.have for m in meters]) & ~unserved
    outages = [(i, *outage) for i, m in enumerate(meters) for outage in sorted(m.outages)]
    reads = [(i, *row) for i, m in enumerate(meters) for row in m.reads]
    gone = np.array(outages, np.int64).reshape(len(outages), 3)
    read = np.array(reads, np.int64).reshape(len(reads), 7)
    row, at, register, modulus, resolution = np.ascontiguousarray(read[:, :5].T)
    events = sorted((rule, i, start, end) for i, m in enumerate(meters) for rule, start, end in m.events)
    repeats = sorted({(i, at) for i, m in enumerate(meters) for at in m.repeats})
    tou = [(i, *row) for i, m in enumerate(meters) for row in m.tou]
    return SeriesFacts(
        grid=grid,
        value=np.where(have, np.stack([m.value for m in meters]), 0),
        have=have,
        expected=expected,
        one_directional=np.array([m.one_directional for m in meters], np.bool_),
        instantaneous=np.array(instantaneous, np.bool_),
        external=some([m.external & here for m, here in zip(meters, have, strict=True)]),
        conflict=some([m.conflict for m in meters]),
        disconnected=some([m.disconnected for m in meters]),
        capacity=some([m.capacity for m in meters]),
        inactive=some([m.inactive for m in meters]),
        events=EventMarks(*np.ascontiguousarray(np.array(events, np.int64).reshape(len(events), 4).T)),
        repeats=Repeats(*np.ascontiguousarray(np.array(repeats, np.int64).reshape(len(repeats), 2).T)),
        tou=TouReads(*np.ascontiguousarray(np.array(tou, np.int64).reshape(len(tou), 7).T)),
        outages=Outages(*np.ascontiguousarray(gone.T)),
        reads=Reads(row, at, register, modulus, resolution, version=read[:, 5:]),
        holidays=holidays,
        unserved=unserved if unserved.any() else None,
    )


def with_holidays(pack: RulePack, facts: SeriesFacts) -> RulePack:
    """The pack with the holidays the facts name."""
    return pack.model_copy(update={"holidays": tuple(day_date(day) for day in sorted(facts.holidays))})
