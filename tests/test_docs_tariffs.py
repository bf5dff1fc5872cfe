"""Every example of docs/tariffs.md and docs/billing.md can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemas.billing_rules import RULES_FILE
from schemas.tariff import load_billing_rules, parse_tariff
from schemas.tariff_charges import STAGE

DOCS = Path(__file__).parent.parent / "docs"
PAGE = "".join((DOCS / name).read_text("utf-8") for name in ("tariffs.md", "billing.md"))
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
BASE = """
id: base
version: 1
effective: {from: 2026-01-01}
currency: USD
timezone: UTC
calendar:
  periods: [{id: peak, at: ["16:00", "21:00"]}, {id: night, at: ["23:00", "06:00"]}, {id: day}]
  events: {cpp: {at: ["16:00", "21:00"]}, system_peak: {}}
charges:
"""


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_are_tariffs(number: int, tmp_path: Path) -> None:
    """Whole files stand alone; charges stand in a tariff with the periods and events of the page."""
    example = EXAMPLES[number]
    if example.startswith("loads:"):
        (tmp_path / RULES_FILE).write_text(example)
        rules = load_billing_rules(tmp_path)
        assert all(getattr(rules, field) for field in type(rules).model_fields)
        return
    whole = example.startswith("id:")
    parse_tariff(example if whole else BASE + example, f"example {number + 1}")


def test_every_kind_of_charge_has_an_example() -> None:
    """No kind is left out."""
    assert {kind for kind in STAGE if f"type: {kind}" in "".join(EXAMPLES)} == set(STAGE)
