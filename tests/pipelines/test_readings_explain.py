"""``meterbeam readings explain``: what it prints is enough to make each value again with plain arithmetic."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

import schemas
from models.calendar import DayGrid, epoch_day
from pipelines.cli import main
from tests.pipelines.towns import ZONE, run, write

DAYS = 45
GRID = DayGrid(ZONE, 3600, epoch_day(date(2026, 2, 16)), DAYS)
"""Over the clock change of 29 March 2026."""
MICROS = 1_000_000
LOST = {
    "linear": [(30, 9, 11)],
    "like_day": [(30, 9, 11)],
    "two_week": [(30, 9, 11)],
    "multi_week": [(30, 9, 11)],
    "similar": [(30, 9, 11), (42, 5, 8), (40, 12, 13)],
    "class_profile": [(30, 9, 11)],
    "flat": [(30, 9, 11)],
    "scaled": [(30, 9, 11), (31, 0, 24)],
    "register": [(1, 0, 24)],
    "tou": [(31, 4, 10)],
}
"""By meter: day and hours whose readings never came."""
WEIGHTS = [1 + (5 * hour) % 7 for hour in range(24)]
"""Of the shape of the class of class_profile; those of 09 and 10 o'clock are 4 and 2."""
DEFAULT = Path(schemas.__file__).parent / "packs" / "default.yaml"


def usage(day: int, hour: int) -> int:
    """Wh of an hour, so that no rule hits and no two days are equal."""
    return 900 + 137 * ((day * 7 + hour * hour) % 11) + day


def blocks(meter: str, day: int) -> list[dict[str, Any]]:
    """A day of a meter, without what it lost."""
    edges = [0, *(edge for d, *span in LOST[meter] if d == day for edge in span), int(GRID.lengths[day])]
    start = int(GRID.day_starts[day])
    return [
        {"meter_id": meter, "channel": "import", "start": (start + low * 3600) * MICROS, "interval_s": 3600,
         "values": [usage(day, hour) for hour in range(low, high)], "unit": "Wh", "scaler": 0,
         "quality": [], "received_at": (start + 25 * 3600) * MICROS}
        for low, high in zip(edges[::2], edges[1::2], strict=True)
        if low < high
    ]  # fmt: skip


def register(
    meter: str, day: int, value: int, *, past: int = 1800, name: str | None = None
) -> dict[str, Any]:
    """A read at half past midnight, so that two slots are shared, or some seconds past midnight."""
    at = (int(GRID.day_starts[day]) + past) * MICROS
    return {"meter_id": meter, "channel": "import", "read_at": at, "value": value, "unit": "Wh", "scaler": 0,
            "tou_register": name, "received_at": at}  # fmt: skip


def by_time_of_use(meter: str, days: tuple[int, int]) -> list[dict[str, Any]]:
    """Reads at midnight of what the meter used from 7 to 21 o'clock, of the rest and of both."""
    used = [(usage(day, hour), 7 <= hour < 21) for day in range(*days) for hour in range(24)]
    shown: dict[str | None, int] = {
        "day": sum(wh for wh, dear in used if dear),
        "night": sum(wh for wh, dear in used if not dear),
    }
    shown[None] = sum(shown.values())
    return [
        register(meter, day, 900_000 + value * place, past=0, name=name)
        for place, day in enumerate(days)
        for name, value in shown.items()
    ]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each meter is of a class of its own, whose pack has one estimator alone; two have reads."""
    folder = tmp_path_factory.mktemp("slots")
    points = [
        {"service_point_id": f"SP-{meter}", "meter_id": meter, "account_id": "A", "interval_s": 3600,
         "customer_class": meter, "channels": ["import"], "valid_from": datetime(2020, 1, 1, tzinfo=UTC)}
        for meter in LOST
    ]  # fmt: skip
    read = [register("scaled", 29, 10_000_000), register("scaled", 33, 10_131_313),
            register("register", 1, 5_000), register("register", 3, 75_431),
            *by_time_of_use("tou", (30, 34))]  # fmt: skip
    write(folder / "in" / "points.avro", "ServicePoint", points)
    write(folder / "in" / "reads.avro", "RegisterRead", read)
    sent = [each for meter in LOST for day in range(DAYS) for each in blocks(meter, day)]
    write(folder / "in" / "loads.avro", "IntervalBlock", sent)
    book = ["id: book", "packs:"]
    for meter in LOST:
        method = {"scaled": "like_day", "register": "linear", "tou": "like_day"}.get(meter, meter)
        pack = yaml.safe_load(DEFAULT.read_text())
        shapes = {"shapes": [{"weights": WEIGHTS}]} if method == "class_profile" else {}
        pack["estimation"]["order"] = [{"method": method, **shapes}]
        if meter == "tou":
            pack["registers"]["tou"] = [{"name": "day", "at": ["07:00", "21:00"]}, {"name": "night"}]
        (folder / f"{meter}.yaml").write_text(yaml.safe_dump({**pack, "id": meter}))
        book.append(f"  - {{pack: {meter}.yaml, when: {{customer_class: {meter}}}}}")
    (folder / "book.yaml").write_text("\n".join(book))
    run(folder / "lake", folder / "in", rules=str(folder / "book.yaml"), detect=False)
    return folder / "lake"


def at(day: int, hour: int) -> str:
    """A moment within a slot."""
    second = int(GRID.starts[GRID.offsets[day] + hour]) + 60
    return datetime.fromtimestamp(second, UTC).isoformat()


def explained(
    lake: Path, meter: str, moment: str, capsys: pytest.CaptureFixture[str], *options: str
) -> dict[str, Any]:
    """A slot as JSON; the result is the one that the lake has."""
    place = ["--lake", str(lake), "--meter", meter, "--at", moment]
    assert main(["readings", "explain", *place, "--json", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    stored = found["stored"]
    assert {name: found["result"][name] for name in ("value", "quality", "method")} == {
        name: stored[name] for name in ("value", "quality", "method")
    }
    return found


def half_away(value: Fraction) -> int:
    """Nearest integer, ties away from zero."""
    whole = int(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole


def by_hand(estimate: dict[str, Any]) -> int:
    """An unscaled estimate from its printed references."""
    values: list[int] = [each["value"] for each in estimate.get("references", [])]
    if estimate["method"] == "linear":
        before, after = values
        return before + half_away(Fraction((after - before) * estimate["number"], estimate["of"] + 1))
    if estimate["method"] == "register":
        return half_away(Fraction(estimate["good_total"], estimate["good_slots"]))
    if estimate["method"] == "similar":
        span = estimate["of"] + 1
        moved = []
        for each in estimate["references"]:
            pull = each["before"] * (span - estimate["number"]) + each["after"] * estimate["number"]
            share = Fraction(3, 4) if estimate["of"] == 1 else Fraction(1, 2)
            moved.append(each["value"] + half_away(Fraction(pull, span) * share))
        assert moved == [each["moved"] for each in estimate["references"]]
        middle = sorted(moved)[len(moved) // 4 : len(moved) - len(moved) // 4]
        assert sorted(each["moved"] for each in estimate["references"] if each["counted"]) == middle
        return max(half_away(Fraction(sum(middle), len(middle))), 0)
    mean = half_away(Fraction(sum(values), sum(each["slots"] for each in estimate["references"])))
    if estimate["method"] == "class_profile":
        weight = (4, 2)[estimate["number"] - 1]
        return half_away(Fraction(mean * 24 * weight, sum(WEIGHTS)))
    return mean


@pytest.mark.parametrize(
    "meter", ["linear", "like_day", "two_week", "multi_week", "similar", "class_profile", "flat"]
)
def test_an_estimate_is_made_again_from_what_is_printed(
    lake: Path, meter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The references are values as received at their time, and their arithmetic gives the slot's value."""
    starts = GRID.starts.tolist()
    for day, low, high in LOST[meter]:
        for hour in (low, high - 1):
            found = explained(lake, meter, at(day, hour), capsys)
            estimate = found["estimate"]
            assert (estimate["method"], found["result"]["method"]) == (meter, meter)
            assert (estimate["number"], estimate["of"]) == (hour - low + 1, high - low)
            assert found["result"]["measured"] is None
            assert [rule["rule"] for rule in found["rules"]] == ["missing"]
            for each in estimate["references"]:
                column = starts.index(int(datetime.fromisoformat(each["start"]).timestamp()))
                day_of = int(GRID.day_of_slot[column])
                first = column - int(GRID.offsets[day_of])
                received = [usage(day_of, h) for h in range(first, first + each["slots"])]
                assert each["value"] == 1000 * sum(received)
            assert by_hand(estimate) == estimate["unscaled"] == found["result"]["value"]


@pytest.mark.parametrize(
    ("meter", "day", "method"), [("scaled", 31, "like_day"), ("register", 1, "register")]
)
def test_a_scaled_slot_is_made_again_from_its_register(
    lake: Path, meter: str, day: int, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Advance less actual is what the estimates sum to; each is its share, and the rest goes by remainder."""
    found = explained(lake, meter, at(day, 5), capsys)
    interval, scaling = found["interval"], found["interval"]["scaling"]
    assert by_hand(found["estimate"]) == found["estimate"]["unscaled"]
    assert found["result"]["method"] == (method if method == "register" else f"{method}_scaled")
    advance = interval["register_to"] - interval["register_from"]
    assert advance == interval["advance"] == {"scaled": 131_313_000, "register": 70_431_000}[meter]
    assert interval["target"] == advance - interval["actual"]
    unscaled = [each["unscaled"] for each in interval["estimates"]]
    assert sum(unscaled) == interval["unscaled_total"]
    factor = Fraction(scaling["factor"])
    assert factor == Fraction(interval["target"], sum(unscaled))
    shares = [divmod(value * factor, 1) for value in unscaled]
    spare = interval["target"] - sum(int(share) for share, _ in shares)
    order = sorted(range(len(shares)), key=lambda i: (-shares[i][1], i))
    values = [int(share) + (order.index(i) < spare) for i, (share, _) in enumerate(shares)]
    assert values == [each["value"] for each in interval["estimates"]]
    mine = scaling["number"] - 1
    assert interval["estimates"][mine]["start"] == found["start"]
    assert interval["estimates"][mine]["unscaled"] == found["estimate"]["unscaled"]
    assert values[mine] == found["result"]["value"]
    assert (scaling["units_left"], scaling["rank"]) == (spare, order.index(mine) + 1)


def test_a_slot_is_made_again_from_its_time_of_use_register(
    lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three hours of the night and three of the day are lost: each sum to what their register counted."""
    for hour, name in ((5, "night"), (8, "day")):
        found = explained(lake, "tou", at(31, hour), capsys)
        interval = found["interval"]
        lost = range(4, 7) if name == "night" else range(7, 10)
        due = 1000 * sum(usage(31, other) for other in lost)
        (part,) = [each for each in interval["tou_registers"] if each["tou_register"] == name]
        assert part["target"] == due
        mine = [each for each in interval["estimates"] if each["tou_register"] == name]
        factor = Fraction(due, sum(each["unscaled"] for each in mine))
        assert all(0 <= abs(each["by_tou_register"] - each["unscaled"] * factor) < 1 for each in mine)
        assert sum(each["by_tou_register"] for each in mine) == sum(each["value"] for each in mine) == due
        assert interval["scaling"]["factor"] == "1"
        assert found["result"]["method"] == "like_day_scaled"
    assert main(["readings", "explain", "--lake", str(lake), "--meter", "tou", "--at", at(31, 8)]) == 0
    told = capsys.readouterr().out
    assert "register day: advance " in told
    assert "moved to these registers they sum to" in told


def test_a_measured_slot_of_an_interval_is_moved_by_nothing(
    lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its value is as received, from the one record that there is; it has no estimate and no factor."""
    found = explained(lake, "scaled", at(30, 5), capsys)
    assert found["result"]["value"] == found["result"]["measured"] == 1000 * usage(30, 5)
    assert found["estimate"] is None
    assert found["interval"]["scaling"] is None
    (record,) = found["received"]
    assert (record["value"], record["holds"], record["why"]) == (1000 * usage(30, 5), True, "the only record")


def test_text_says_what_the_json_says(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines for people name the estimator, the scale factor and the register's advance."""
    told = ["readings", "explain", "--lake", str(lake), "--meter", "scaled", "--at", at(31, 5)]
    assert main(told) == 0
    text = capsys.readouterr().out
    found = explained(lake, "scaled", at(31, 5), capsys)
    assert "estimate by like_day" in text
    assert f"scale factor {found['interval']['scaling']['factor']}" in text
    assert "advance 131.313 kWh" in text
    assert "rule missing (info): seen 24 slots without a reading, expected a reading in every slot" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--meter", "nobody", "--at", at(30, 9)],
            "found: no readings of nobody import expected: a meter_id",
        ),
        (["--meter", "flat", "--channel", "export", "--at", at(30, 9)], "expected: a channel of it: import"),
        (
            ["--meter", "flat", "--at", "2027-01-01T00:00Z"],
            "expected: a slot of its local days, 2026-02-16 to",
        ),
        (
            ["--meter", "flat", "--at", "1999-01-01T00:00Z"],
            "expected: a slot of its local days, 2026-02-16 to",
        ),
        (["--meter", "flat", "--at", at(30, 9), "--as-of", "77"], "found: 77 expected: the number of a run"),
    ],
)
def test_what_is_not_there_is_said(
    lake: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong meter, channel, time or run ends with 1 and names what there is."""
    assert main(["readings", "explain", "--lake", str(lake), *options]) == 1
    assert said in " ".join(capsys.readouterr().err.split())


def test_corrections_and_edits_as_of_each_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A later record holds and says why, then a person's decision; earlier runs are told as they were."""
    start = int(GRID.day_starts[0])

    def day(first: int, received: int) -> dict[str, Any]:
        return {"meter_id": "m", "channel": "import", "start": start * MICROS, "interval_s": 3600,
                "values": [first, *(usage(0, hour) for hour in range(1, 24))], "unit": "Wh", "scaler": 0,
                "quality": [], "received_at": (start + received * 3600) * MICROS}  # fmt: skip

    lake = tmp_path / "lake"
    run(lake, write(tmp_path / "one.avro", "IntervalBlock", [day(700, 25)]), detect=False)
    run(lake, write(tmp_path / "two.avro", "IntervalBlock", [day(800, 30)]), detect=False)
    span = ["--meter", "m", "--from", f"{at(0, 0)[:13]}:00Z", "--to", f"{at(0, 1)[:13]}:00Z"]
    who = ["--user", "ann", "--reason", "site visit"]
    assert main(["edit", "set", "--lake", str(lake), *span, "--value", "0.25", *who]) == 0
    capsys.readouterr()

    first, second, now = (explained(lake, "m", at(0, 0), capsys, "--as-of", str(n)) for n in (1, 2, 3))
    assert [found["result"]["value"] for found in (first, second, now)] == [700_000, 800_000, 250_000]
    assert [found["stored"]["revision"] for found in (first, second, now)] == [1, 2, 3]
    assert [len(found["received"]) for found in (first, second)] == [1, 2]
    winner, loser = second["received"]
    assert (winner["value"], winner["holds"], winner["why"]) == (800_000, True, "received last")
    assert (loser["value"], loser["holds"]) == (700_000, False)
    assert [rule["rule"] for rule in second["rules"]] == ["conflict"]
    assert second["edit"] is None
    assert {name: now["edit"][name] for name in ("kind", "value", "user", "reason")} == {
        "kind": "set", "value": "0.25", "user": "ann", "reason": "site visit",
    }  # fmt: skip
    assert (now["result"]["measured"], now["result"]["quality"]) == (800_000, "EDITED")
