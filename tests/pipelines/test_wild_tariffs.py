"""Tariffs of nine countries: every line of a bill against one reckoned by hand (tests/golden/wild)."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from pipelines.cli import main
from tests.golden.wild.compute import BILLS, kvarh_of, load

WILD = Path(__file__).parents[1] / "golden" / "wild"


@pytest.mark.parametrize("name", BILLS)
def test_every_line_and_the_total(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Charge, period, tier, quantity, unit and amount, from the command line, to the cent."""
    expected = json.loads((WILD / f"{name}.json").read_text("utf-8"))
    first, last = date.fromisoformat(expected["from"]), date.fromisoformat(expected["to"])
    reactive = "kVA" in (WILD / f"{name}.yaml").read_text("utf-8")
    head = "start_utc,import_kwh" + (",reactive_import_kvarh" if reactive else "")
    rows = [
        f"{at:%Y-%m-%dT%H:%M:%SZ},{kwh}" + (f",{kvarh_of(kwh)}" if reactive else "")
        for at, kwh in load(expected["zone"], first, last, expected["scale"])
    ]
    (tmp_path / "load.csv").write_text("\n".join([head, *rows]))
    (tmp_path / "events.json").write_text(json.dumps(expected["events"]))
    wanted = ["--from", expected["from"], "--to", expected["to"], "--events", str(tmp_path / "events.json")]
    load_file = ["--load", str(tmp_path / "load.csv")]
    assert main(["tariff", "price", str(WILD / f"{name}.yaml"), *load_file, *wanted, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    found = [
        [
            line["charge"],
            line["period"],
            line["tier"],
            Decimal(line["quantity"]),
            line["unit"],
            line["amount"],
        ]
        for line in answer["lines"]
    ]
    lines = [[*line[:3], Decimal(line[3]), *line[4:]] for line in expected["lines"]]
    assert sorted(found, key=str) == sorted(lines, key=str)
    assert answer["total"] == expected["total"]
