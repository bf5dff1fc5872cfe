"""``meterbeam.yaml``: what is accepted, and what a mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import MeterbeamError
from schemas.settings import Settings, load_settings


def _written(folder: Path, text: str) -> Path:
    file = folder / "meterbeam.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_paths_are_meant_from_the_folder_of_the_file(tmp_path: Path) -> None:
    """A settings file works from any working folder; an absolute path stays."""
    settings = load_settings(
        _written(tmp_path, "lake: town\ninputs: [in, /data/x.avro, 'kafka://b:9092']\nplugins: [r.py, rules]")
    )
    assert settings.lake == tmp_path / "town"
    assert settings.inputs == [str(tmp_path / "in"), "/data/x.avro", "kafka://b:9092"]
    assert settings.plugin == [str(tmp_path / "r.py"), "rules"]


def test_a_rule_pack_is_a_file_beside_the_settings_or_a_built_in_name(tmp_path: Path) -> None:
    """A name that is no file there is left as a name."""
    (tmp_path / "own.yaml").write_text("")
    assert load_settings(_written(tmp_path, "rules: own.yaml")).rules == tmp_path / "own.yaml"
    assert str(load_settings(_written(tmp_path, "rules: core")).rules) == "core"


def test_only_what_the_file_states_is_given_to_a_command(tmp_path: Path) -> None:
    """Defaults of the model do not override defaults of a command."""
    settings = load_settings(_written(tmp_path, "from: 2024-03-31\nworkers: 4\non_error: dead-letter"))
    assert settings.given() == {"from": "2024-03-31", "workers": 4, "on_error": "dead-letter"}


def test_an_empty_file_states_nothing(tmp_path: Path) -> None:
    """No key is mandatory in the file: a flag may give it."""
    assert load_settings(_written(tmp_path, "# nothing yet\n")).given() == {}


@pytest.mark.parametrize(
    ("text", "where", "found", "expected"),
    [
        pytest.param("workers: 0", "line 1: workers", "0", "greater than or equal to 1", id="range"),
        pytest.param("timezone: Zurich", "line 1: timezone", "'Zurich'", "IANA", id="timezone"),
        pytest.param("on_error: skip", "line 1: on_error", "'skip'", "'stop' or 'dead-letter'", id="choice"),
        pytest.param("wokers: 2", "line 1: wokers", "an unknown field", "workers", id="unknown-key"),
        pytest.param("from: 2024-02-30", "line 1: from", "2024-02-30", "date", id="no-such-day"),
        pytest.param(
            "from: 2024-02-02\nto: 2024-02-01",
            "line 1: from",
            "2024-02-02, after to 2024-02-01",
            "from <= to",
            id="order",
        ),
        pytest.param("- lake", "meterbeam.yaml", "a list", "fields such as", id="not-a-mapping"),
        pytest.param("a: 1\nb: [", "line 2", "stream end", "valid YAML", id="no-yaml"),
    ],
)
def test_a_mistake_names_file_key_and_expectation(
    tmp_path: Path, text: str, where: str, found: str, expected: str
) -> None:
    """Both sides are shown: what stands in the file and what could stand there."""
    with pytest.raises(MeterbeamError) as caught:
        load_settings(_written(tmp_path, text))
    assert str(tmp_path / "meterbeam.yaml") in caught.value.where
    assert where in caught.value.where
    assert found in caught.value.found
    assert expected in caught.value.expected


def test_a_missing_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    """A file that was named must be there."""
    with pytest.raises(MeterbeamError, match="no such file"):
        load_settings(tmp_path / "absent.yaml")


def test_every_setting_is_described() -> None:
    """A setting without a description cannot be documented."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
