"""The user's exception keeps its parts."""

from __future__ import annotations

import pickle

import pytest

from schemas.errors import MeterbeamError, UsageError


def test_the_message_shows_both_sides() -> None:
    """Where, found and expected all stand in the text and as attributes."""
    error = MeterbeamError("a.avro, byte 4096", "a damaged sync marker", "16 bytes 9f3c")
    assert str(error) == "a.avro, byte 4096: found a damaged sync marker, expected 16 bytes 9f3c"
    assert error.as_dict() == {
        "where": "a.avro, byte 4096",
        "found": "a damaged sync marker",
        "expected": "16 bytes 9f3c",
    }


@pytest.mark.parametrize(
    ("kind", "code"), [pytest.param(MeterbeamError, 1, id="data"), pytest.param(UsageError, 2, id="usage")]
)
def test_an_error_crosses_processes_whole(kind: type[MeterbeamError], code: int) -> None:
    """A worker's error reaches the parent with its type, its parts and its exit code."""
    copy = pickle.loads(pickle.dumps(kind("w", "f", "e")))
    assert type(copy) is kind
    assert (copy.where, copy.found, copy.expected, copy.exit_code) == ("w", "f", "e", code)


def test_an_unknown_name_lists_the_known_ones() -> None:
    """The names that would have been right are named, in order."""
    error = MeterbeamError.unknown("tariff t.yaml, charge 2", "tou", ["tier", "energy"])
    assert str(error) == "tariff t.yaml, charge 2: found 'tou', expected one of: energy, tier"
