"""A pack with a class profile: golden vectors by hand, through ``meterbeam rules check``."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import schemas
from pipelines.cli import main

DEFAULT = Path(schemas.__file__).parent / "packs" / "default.yaml"
STEP = {
    "method": "class_profile",
    "shapes": [
        {"days": ["saturday", "sunday"], "months": [6, 7], "weights": [1] * 12 + [3] * 12},
        {"days": ["weekday"], "weights": [0] * 6 + [2] * 18},
    ],
}
# Ten days of 24 kWh: the average slot of half an hour is half a kWh, 24 · ½ = 12 over the weights.
VECTOR = """
name: the average in the shape of the kind of day
pack: shops
zone: Etc/GMT-1
days:
  - {day: 2026-06-01, through: 2026-06-10, slots: "24*0.25 24*0.75"}
  - {day: 2026-06-11, slots: "48*_"}
  - {day: 2026-06-12, slots: "24*0.25 24*0.75"}
  - {day: 2026-06-13, slots: "48*_"}
expect:
  - {day: 2026-06-11, slots: "12*0 36*0.666667", quality: "48*ESTIMATED", method: "48*CLASS_PROFILE"}
  - {day: 2026-06-13, slots: "24*0.25 24*0.75", quality: "48*ESTIMATED", method: "48*CLASS_PROFILE"}
"""


def test_a_day_takes_the_first_shape_that_holds_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Thursday without use by night, a Saturday of June with three times as much after noon."""
    pack = yaml.safe_load(DEFAULT.read_text())
    pack |= {"id": "shops", "estimation": {"order": [STEP]}}
    (tmp_path / "shops.yaml").write_text(yaml.safe_dump(pack))
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors" / "shape.yaml").write_text(VECTOR)
    checked = main(["rules", "check", str(tmp_path / "shops.yaml"), "--vectors", str(tmp_path / "vectors")])
    assert checked == 0, capsys.readouterr()
    assert "the average in the shape of the kind of day" in capsys.readouterr().out


def test_a_shape_without_any_weight_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the place and what was expected."""
    pack = yaml.safe_load(DEFAULT.read_text())
    step = {"method": "class_profile", "shapes": [{"weights": [0] * 24}]}
    pack |= {"id": "shops", "estimation": {"order": [step]}}
    (tmp_path / "shops.yaml").write_text(yaml.safe_dump(pack))
    assert main(["rules", "check", str(tmp_path / "shops.yaml")]) == 1
    said = capsys.readouterr().err
    assert "shops.yaml" in said
    assert "every weight is 0, expected one above it" in " ".join(said.split())
