"""Which files of a landing folder are ready, told by names, sizes and times alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.batch.ingest_pass import Mark
from pipelines.batch.landing import Landing, landed_files
from schemas.errors import MeterbeamError

A, B = "in/a.avro", "in/b.avro"


def looks(landing: Landing, *given: tuple[float, dict[str, Mark]]) -> list[list[str]]:
    """What is ready at each look; it is taken in at once."""
    found = []
    for now, marks in given:
        ready = [str(path) for path in landing.ready(marks, now)]
        landing.known({path: marks[path] for path in ready})
        found.append(ready)
    return found


def test_a_file_is_ready_once_it_has_not_changed_for_a_while() -> None:
    """Two seconds in this case; then once, and never again while it stays as it is.

    size of a:   10    20    20    20    20
    seconds:      0     1     2     3     9
    ready:                          a
    """
    given = [(0.0, (10, 1)), (1.0, (20, 2)), (2.0, (20, 2)), (3.0, (20, 2)), (9.0, (20, 2))]
    found = looks(Landing(settle=2, patience=60), *[(now, {A: mark}) for now, mark in given])
    assert found == [[], [], [], [A], []]


def test_a_file_of_the_same_size_that_is_still_touched_is_not_ready() -> None:
    """A writer that rewrites in place changes the time, not the size."""
    landing = Landing(settle=2, patience=60)
    assert looks(landing, *[(float(now), {A: (10, now)}) for now in range(6)]) == [[]] * 6


def test_a_file_that_changes_after_it_was_taken_is_ready_again() -> None:
    """A file that was replaced under its name is new."""
    landing = Landing(settle=1, patience=60)
    assert looks(landing, (0, {A: (1, 1)}), (2, {A: (1, 1)}), (3, {A: (2, 9)}), (5, {A: (2, 9)})) == [
        [],
        [A],
        [],
        [A],
    ]


def test_a_file_that_went_and_came_back_is_watched_anew() -> None:
    """Its earlier age does not count."""
    landing = Landing(settle=2, patience=60)
    assert looks(landing, (0, {A: (1, 1)}), (1, {}), (5, {A: (1, 1)}), (7, {A: (1, 1)})) == [[], [], [], [A]]


def test_known_files_are_not_looked_at() -> None:
    """What an earlier run took in is left alone while it stays as it was."""
    landing = Landing(settle=0, patience=60)
    landing.known({A: (1, 1), B: (1, 1)})
    assert looks(landing, (0, {A: (1, 1), B: (1, 2)})) == [[B]]


def test_a_file_that_ends_too_early_is_given_time() -> None:
    """It is ready again after ``patience`` without a change, and a change starts the wait anew."""
    landing = Landing(settle=1, patience=10)
    short, longer = {A: (10, 1)}, {A: (15, 2)}
    landing.ready(short, 0)
    assert landing.ready(short, 1) == [Path(A)]
    assert landing.hold(A, 1)
    assert landing.ready(short, 5) == []
    assert landing.ready(longer, 6) == []
    assert landing.ready(longer, 7) == [Path(A)]
    assert landing.hold(A, 7)
    assert landing.ready(longer, 15) == []
    assert landing.ready(longer, 16) == [Path(A)]
    assert not landing.hold(A, 16)


def test_waiting_counts_what_was_not_dealt_with() -> None:
    """A follower that should end when all is in knows that something is on its way."""
    landing = Landing(settle=5, patience=10)
    marks = {A: (1, 1), B: (1, 1)}
    landing.ready(marks, 0)
    assert landing.waiting == 2
    landing.known({A: (1, 1)})
    assert landing.waiting == 1


def test_drafts_and_hidden_files_are_no_files(tmp_path: Path) -> None:
    """Names of transfers at work, dot files, and whatever is not Avro, in subfolders too."""
    names = ["b.avro", "sub/a.avro", ".c.avro", "d.avro.tmp", "e.avro.part", ".git/f.avro", "g.csv", "h.part"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "folder.avro").mkdir()
    assert [str(path.relative_to(tmp_path)) for path in landed_files(tmp_path)] == ["b.avro", "sub/a.avro"]


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    """A wrong name does not wait for ever for files."""
    with pytest.raises(MeterbeamError, match=r"nowhere: found no folder, expected a landing folder"):
        landed_files(tmp_path / "nowhere")
