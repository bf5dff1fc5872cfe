"""Edits: a person's decision wins over rules, registers and later readings until it is revoked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.calendar import DayGrid
from models.edits import edits_in_force, slot_edits, validate_with_edits
from models.series import Reads, SeriesFacts, SeriesResult
from models.vee import validate_and_estimate
from schemas.arrow import RAW
from schemas.quality import Method, Quality
from schemas.records import Kind
from schemas.rulepack import RulePack, load_rule_pack

PACK = load_rule_pack("california")
MICROS = 1_000_000
HOUR = 3600
GRID = DayGrid("UTC", HOUR, 19_800, 10)
NAME = ("m", "import")


def edit(kind: str, first: int, last: int, **more: Any) -> dict[str, Any]:
    """An edit of the slots first … last − 1."""
    at = more.pop("at", 0)
    start = GRID.origin
    return {
        "edit_id": "e", "kind": kind, "meter_id": "m", "channel": "import",
        "from": (start + first * HOUR) * MICROS, "to": (start + last * HOUR) * MICROS, "value": None,
        "method": None, "user": "ann", "reason": "why", "edited_at": at, "received_at": at, "sequence": None,
        "source": None, **more,
    }  # fmt: skip


def table(*rows: dict[str, Any]) -> pa.Table:
    """Raw edits."""
    return pa.Table.from_pylist(list(rows), schema=RAW[Kind.EDITS])


def facts() -> SeriesFacts:
    """Ten days of 1 and 2 kWh in turn, a spike of 40 kWh in slot 100, slot 110 missing, no registers."""
    value = np.where(np.arange(GRID.slots) % 2, 2_000_000, 1_000_000)[None, :].astype(np.int64)
    have = np.ones(value.shape, np.bool_)
    value[0, 100], have[0, 110], value[0, 110] = 40_000_000, False, 0
    days = np.ones((1, GRID.days), np.bool_)
    return SeriesFacts(GRID, value, have, days, np.ones(1, np.bool_), np.zeros(1, np.bool_))


def result(*rows: dict[str, Any], of: SeriesFacts | None = None) -> SeriesResult:
    """Under the edits."""
    decided = slot_edits(edits_in_force(table(*rows)), [NAME], GRID)
    return validate_with_edits(of or facts(), decided, PACK)


def slot(found: SeriesResult, column: int) -> tuple[int, str, str]:
    """Value, quality and method of a slot."""
    quality, method = Quality(found.quality[0, column]).name, Method(found.method[0, column]).name
    return int(found.value[0, column]), quality, method


def test_without_edits_the_rules_decide() -> None:
    """The spike is replaced, the gap estimated: what the edits below change."""
    found = result()
    assert slot(found, 100) == (2_000_000, "SUBSTITUTED", "LINEAR")
    assert slot(found, 110) == (2_000_000, "ESTIMATED", "LINEAR")


def test_a_set_value_stands_and_no_other_slot_is_touched() -> None:
    """Its slots hold the value, EDITED and MANUAL; the last slot before its end included."""
    found = result(edit("set", 20, 22, value="7.25"))
    assert [slot(found, column) for column in (19, 20, 21, 22)] == [
        (2_000_000, "VALIDATED", "NONE"),
        (7_250_000, "EDITED", "MANUAL"),
        (7_250_000, "EDITED", "MANUAL"),
        (1_000_000, "VALIDATED", "NONE"),
    ]
    assert slot(result(edit("set", 110, 111, value="-3")), 110) == (-3_000_000, "EDITED", "MANUAL")


def test_an_accepted_spike_stays_as_received() -> None:
    """No rule finds anything in it; a slot without a value is not made by accepting it."""
    found = result(edit("accept", 100, 101), edit("accept", 110, 111) | {"edit_id": "f"})
    assert slot(found, 100) == (40_000_000, "EDITED", "NONE")
    assert slot(found, 110) == (2_000_000, "ESTIMATED", "LINEAR")
    assert found.flags[0, 100] == 0


def test_a_rejected_value_is_estimated_and_known_to_have_been_there() -> None:
    """SUBSTITUTED by the pack's order; where nothing can be estimated the value stays, FAILED."""
    assert slot(result(edit("reject", 30, 31)), 30) == (2_000_000, "SUBSTITUTED", "LINEAR")
    everything = result(edit("reject", 0, GRID.slots))
    assert slot(everything, 31) == (2_000_000, "FAILED", "NONE")
    assert slot(everything, 110)[1:] == ("MISSING", "NONE")


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        pytest.param(None, (2_000_000, "SUBSTITUTED", "LINEAR"), id="the pack's order"),
        pytest.param("like_day", (1_000_000, "SUBSTITUTED", "LIKE_DAY"), id="like day"),
        pytest.param("flat", (1_500_000, "SUBSTITUTED", "FLAT"), id="flat"),
        pytest.param("multi_week", (1_000_000, "SUBSTITUTED", "MULTI_WEEK"), id="one the pack does not name"),
    ],
)
def test_estimate_by_method(method: str | None, expected: tuple[int, str, str]) -> None:
    """A received slot is estimated anew by the method asked for."""
    assert slot(result(edit("estimate", 216, 217, method=method)), 216) == expected


def test_a_method_that_the_pack_has_twice_is_used_as_the_pack_does() -> None:
    """An hour by the latest like day, which is meant for an hour; three hours by the mean of three."""
    steps = [{"method": "like_day", "days": 1, "max_minutes": 60}, {"method": "like_day", "days": 3}]
    pack = RulePack.model_validate({**PACK.model_dump(by_alias=True), "estimation": {"order": steps}})
    each = facts()
    rising = replace(each, value=(1000 * each.grid.day_of_slot)[None].astype(np.int64), have=each.have | True)
    for hours, expected in ((1, 8000), (3, 6333)):  # Wednesday from Tuesday; and Monday, Friday
        wanted = edits_in_force(table(edit("estimate", 220, 220 + hours, method="like_day")))
        found = validate_with_edits(rising, slot_edits(wanted, [NAME], GRID), pack)
        assert slot(found, 220) == (expected, "SUBSTITUTED", "LIKE_DAY")


def test_a_later_reading_does_not_change_an_edit() -> None:
    """Another value received for the slot leaves the result as it is."""
    corrected = facts()
    corrected.value[0, 20] = 9_000_000
    for kind, value in (("set", "7.25"), ("reject", None)):
        decided = edit(kind, 20, 21, value=value)
        assert slot(result(decided, of=corrected), 20) == slot(result(decided), 20)


def test_the_later_decision_holds_and_a_revoke_takes_it_away() -> None:
    """By (edited_at, edit_id), however the records came; after the revoke the earlier edit is in force."""
    first = edit("set", 20, 21, value="7", at=1)
    second = edit("set", 20, 21, value="8", at=2) | {"edit_id": "f"}
    gone = {
        **second,
        "kind": "revoke",
        "meter_id": "",
        "channel": "",
        "value": None,
        "edited_at": 3,
        "received_at": 3,
    }
    assert slot(result(second, first), 20)[0] == 8_000_000
    assert slot(result(gone, second, first), 20)[0] == 7_000_000
    assert slot(result(gone, second), 20) == (1_000_000, "VALIDATED", "NONE")


def test_registers_move_estimates_around_an_edit() -> None:
    """The edited value counts in the sum; what is left goes to the estimate, to the micro-unit."""
    truth = facts()
    at = GRID.day_starts[4:6]
    nothing = np.zeros(2, np.int64)
    reads = Reads(nothing, at, np.array([0, 46_000_000]), nothing, nothing + 1, np.zeros((2, 2), np.int64))
    found = result(edit("set", 100, 101, value="9"), of=replace(truth, reads=reads))
    day = slice(int(GRID.offsets[4]), int(GRID.offsets[5]))
    assert int(found.value[0, day].sum()) == 46_000_000
    assert slot(found, 100) == (9_000_000, "EDITED", "MANUAL")
    assert slot(found, 110)[1:] == ("ESTIMATED", "LINEAR_SCALED")


def test_facts_are_left_as_they_were() -> None:
    """What was received is not written over."""
    received = facts()
    before = received.value.copy(), received.have.copy()
    result(edit("set", 0, 50, value="1"), of=received)
    assert np.array_equal(received.value, before[0])
    assert np.array_equal(received.have, before[1])


def test_edits_of_others_change_nothing() -> None:
    """An edit of another series is as none."""
    other = edit("set", 0, 50, value="1") | {"channel": "export"}
    found, plain = result(other), validate_and_estimate(facts(), PACK)
    assert np.array_equal(found.value, plain.value)
    assert np.array_equal(found.quality, plain.quality)


def test_an_edit_before_the_range_decides_nothing() -> None:
    """Days before the first reading have no slots to set: a run of equal values does not begin on them."""
    made = facts()
    made.expected[0, :2], made.have[0, :48] = False, False
    on_third = edit("set", 48, 72, value="0.5")
    found = result(on_third, edit("set", 0, 48, value="0.5") | {"edit_id": "f"}, of=made).findings
    assert 24 in found.seen.tolist()  # the flat line of the third day alone
    assert found.seen.tolist() == result(on_third, of=made).findings.seen.tolist()
