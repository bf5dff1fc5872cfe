"""``meterbeam tariff``: golden bills through the command line, state from bill to bill, clear errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from models.calendar import DayGrid, epoch_day
from pipelines.cli import main

GOLDEN = Path(__file__).parent.parent / "golden" / "tariffs"
EXAMPLE = GOLDEN / "tariff_example.yaml"
BILLS: list[dict[str, Any]] = json.loads((GOLDEN / "golden_bills.json").read_text("utf-8"))
FLAT = """
id: flat
version: 1
effective: {from: 2026-01-01}
currency: EUR
timezone: Europe/Zurich
calendar: {periods: [{id: all}]}
charges:
"""


def golden_load(case: str, path: Path) -> Path:
    """The load of a golden bill, in the form of the path's ending."""
    table = pq.read_table(GOLDEN / "golden_loads.parquet")
    table = table.filter(pc.equal(table["case"].cast("string"), case)).drop_columns(["case"])
    write = pq.write_table if path.suffix == ".parquet" else csv.write_csv
    write(table, path)
    return path


def priced(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """The JSON of one call."""
    assert main(["tariff", "price", *map(str, arguments), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def hours(path: Path, first: date, days: int, imported: Callable[[int], str], exported: str = "0") -> Path:
    """An hourly load in kWh, as decimal text."""
    grid = DayGrid("Europe/Zurich", 3600, epoch_day(first), days)
    table = pa.table(
        {
            "start_utc": pa.array(grid.starts, pa.int64()).cast(pa.timestamp("s", "UTC")),
            "import_kwh": [imported(i) for i in range(grid.slots)],
            "export_kwh": [exported] * grid.slots,
        }
    )
    csv.write_csv(table, path)
    return path


def tariff(path: Path, charges: str, **fields: str) -> Path:
    """A tariff with one period."""
    text = FLAT + charges + "".join(f"{name}: {value}\n" for name, value in fields.items())
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("bill", BILLS, ids=lambda bill: bill["case"])
def test_golden_bills(
    bill: dict[str, Any], suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every line, the total, days, slots and the credit handed on, from both kinds of file."""
    state, events = tmp_path / "state.json", tmp_path / "events.json"
    known = {"past_peaks_kw": bill["past_peaks_kw"], "credit": bill["credit_in"]}
    state.write_text(json.dumps({**known, "power_factor": bill["power_factor"]}))
    events.write_text(json.dumps({"cpp": bill["event_days"]}))
    found = priced(
        capsys, EXAMPLE, "--load", golden_load(bill["case"], tmp_path / f"load{suffix}"),
        "--from", bill["first_local_day"], "--to", bill["last_local_day"],
        "--state", state, "--events", events,
    )  # fmt: skip
    lines = [
        (
            " ".join(
                filter(None, (line["charge"], line["period"], f"T{line['tier']}" if line["tier"] else ""))
            ),
            *(line[name] for name in ("quantity", "unit")), line["rate"] or "", line["amount"],
        )
        for line in found["lines"]
    ]  # fmt: skip
    names = ("charge", "quantity", "unit", "rate", "amount")
    expected = [tuple(line[name] for name in names) for line in bill["lines"]]
    assert lines == [(("export" if name == "export credit" else name), *rest) for name, *rest in expected]
    assert (found["total"], found["billed_days"], found["slots"]) == (
        bill["total"], bill["billed_days"], bill["slots"],
    )  # fmt: skip
    assert found["state"]["credit"] == bill["credit_out"]
    assert found["state"]["past_peaks_kw"][bill["last_local_day"][:7]] == bill["measured_kw"]


def test_credit_carries_from_bill_to_bill_and_lapses_at_the_true_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """March spends what it earns as far as it can and carries the rest; April pays the year's surplus."""
    rates = tariff(
        tmp_path / "t.yaml",
        '  - {id: energy, type: energy, rates: {all: "0.20"}}\n'
        '  - {id: export, type: export, rate: {all: "0.10"}, applies_to: [energy],'
        ' true_up: {month: 4, rate: "0.03"}}\n',
    )
    # 743 hours (clock change): the first 100 draw 2 kWh, the others feed 1 kWh.
    march = hours(tmp_path / "m.csv", date(2026, 3, 1), 31, lambda i: "2" if i < 100 else "0", "1")
    first = priced(capsys, rates, "--load", march, "--from", "2026-03-01", "--to", "2026-03-31")
    amounts = [(line["charge"], line["quantity"], line["amount"]) for line in first["lines"]]
    assert amounts == [("energy", "100.000", "20.00"), ("export", "643.000", "-20.00")]
    assert first["state"] == {"past_peaks_kw": {}, "credit": "44.30", "surplus_kwh": "543"}
    state = tmp_path / "s.json"
    state.write_text(json.dumps(first["state"]))
    april = hours(tmp_path / "a.csv", date(2026, 4, 1), 30, lambda i: "1.5" if i < 20 else "0")
    second = priced(
        capsys, rates, "--load", april, "--from", "2026-04-01", "--to", "2026-04-30", "--state", state
    )
    amounts = [(line["charge"], line["quantity"], line["amount"]) for line in second["lines"]]
    assert amounts == [
        ("energy", "30.000", "6.00"), ("export", "0.000", "-6.00"), ("export true-up", "513.000", "-15.39"),
    ]  # fmt: skip
    assert (second["total"], second["state"]) == ("-15.39", {"past_peaks_kw": {}, "credit": "0.00"})


def test_series_credit_sale_and_rounding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prices by the hour, an amount off, all that is fed in sold, and halves to the even cent."""
    rates = tariff(
        tmp_path / "t.yaml",
        '  - {id: spot, type: energy_series, series: day-ahead, multiplier: "1.1", adder: "0.01"}\n'
        '  - {id: sale, type: export, mode: buy_all_sell_all, netting: none, rate: {all: "0.045"}}\n'
        '  - {id: bonus, type: credit, amount: "0.125", per: day, taxed: false}\n'
        '  - {id: tax, type: tax, rate: "0.1"}\n',
        rounding="{mode: half_even}",
    )
    load = hours(tmp_path / "l.csv", date(2026, 5, 1), 1, lambda i: "1.25", "0.1")
    prices = tmp_path / "p.csv"
    starts = [
        f"2026-04-30T{22 + i:02d}:00:00" if i < 2 else f"2026-05-01T{i - 2:02d}:00:00" for i in range(24)
    ]
    prices.write_text("series_id,start_utc,price\n" + "".join(f"day-ahead,{at},0.10\n" for at in starts))
    days = ("--from", "2026-05-01", "--to", "2026-05-01")
    found = priced(capsys, rates, "--load", load, *days, "--prices", prices)
    # 30 kWh × (0.10 × 1.1 + 0.01) = 3.60; 2.4 kWh × 0.045 = 0.108; 0.125 is the even 0.12; tax on 3.49.
    assert [(line["charge"], line["amount"]) for line in found["lines"]] == [
        ("spot", "3.60"), ("sale", "-0.11"), ("tax", "0.35"), ("bonus", "-0.12"),
    ]  # fmt: skip
    prices.write_text("series_id,start_utc,price\n" + "".join(f"day-ahead,{at},0.10\n" for at in starts[:-1]))
    arguments = ["tariff", "price", str(rates), "--load", str(load), *days, "--prices", str(prices)]
    assert main(arguments) == 1
    assert "no price of series day-ahead at 2026-05-01T21:00:00Z" in capsys.readouterr().err


def test_a_bill_over_two_versions_uses_the_energy_of_each_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten days at 0.20, twenty at 0.30: by the real load of each day, not by counting days."""
    folder = tmp_path / "versions"
    folder.mkdir()
    charge = '  - {id: energy, type: energy, rates: {all: "%s"}}\n'
    one = tariff(folder / "1.yaml", charge % "0.20").read_text()
    (folder / "1.yaml").write_text(one.replace("{from: 2026-01-01}", "{from: 2026-01-01, to: 2026-06-10}"))
    two = tariff(folder / "2.yaml", charge % "0.30").read_text().replace("version: 1", "version: 2")
    (folder / "2.yaml").write_text(two.replace("2026-01-01", "2026-06-11"))
    load = hours(tmp_path / "l.csv", date(2026, 6, 1), 30, lambda i: "3" if i < 240 else "1")
    found = priced(capsys, folder, "--load", load, "--from", "2026-06-01", "--to", "2026-06-30")
    lines = [(line["tariff_version"], line["quantity"], line["amount"]) for line in found["lines"]]
    assert lines == [(1, "720.000", "144.00"), (2, "480.000", "144.00")]
    assert found["total"] == "288.00"


def test_compare_ranks_tariffs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The cheapest first, each with its total."""
    charge = '  - {id: energy, type: energy, rates: {all: "%s"}}\n'
    dear = tariff(tmp_path / "dear.yaml", charge % "0.40")
    cheap = tariff(tmp_path / "cheap.yaml", charge % "0.10")
    cheap.write_text(cheap.read_text().replace("id: flat", "id: cheap"))
    load = hours(tmp_path / "l.csv", date(2026, 6, 1), 2, lambda i: "1")
    found = priced(
        capsys, dear, "--load", load, "--from", "2026-06-01", "--to", "2026-06-02", "--compare", cheap
    )
    assert [(row["tariff"], row["total"]) for row in found["compare"]] == [
        ("cheap", "4.80"),
        ("flat", "19.20"),
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(
            lambda text: text.replace("2026-06-01 01:00", "2026-06-01 01:07"), "no value for 1 of", id="odd"
        ),
        pytest.param(
            lambda text: "\n".join(text.splitlines()[:-5]), "no value for 5 of 48 slots", id="short"
        ),
        pytest.param(
            lambda text: text.replace("import_kwh", "kwh"), "import_micro_kwh or import_kwh", id="column"
        ),
        pytest.param(lambda text: text.replace(',"1",', ',"one",', 1), "column import_kwh", id="word"),
        pytest.param(lambda text: text + text.splitlines()[-1] + "\n", "two rows at", id="twice"),
        pytest.param(lambda text: "", "Empty CSV", id="empty"),
    ],
)
def test_loads_that_cannot_be_priced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[str], str], said: str
) -> None:
    """One message that names the file, what stands there and what was expected; exit code 1."""
    rates = tariff(tmp_path / "t.yaml", '  - {id: energy, type: energy, rates: {all: "0.40"}}\n')
    load = hours(tmp_path / "l.csv", date(2026, 6, 1), 2, lambda i: "1")
    load.write_text(change(load.read_text()))
    days = ("--from", "2026-06-01", "--to", "2026-06-02")
    assert main(["tariff", "price", str(rates), "--load", str(load), *days]) == 1
    error = capsys.readouterr().err
    assert "l.csv" in error
    assert said in " ".join(error.split())


def test_check_draws_the_calendar_and_names_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twelve months by 24 hours for each kind of day; a hole in the calendar is named with its line."""
    assert main(["tariff", "check", str(EXAMPLE)]) == 0
    picture = capsys.readouterr().out
    weekdays = picture[picture.index("weekdays") : picture.index("Saturdays")].splitlines()
    assert weekdays[7].split() == ["Jul", *"CCCCCCCCCCCCCCCCAAAAACCC"]
    assert weekdays[1].split() == ["Jan", *"DDDDDDDDDDDDDDDDBBBBBDDD"]
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        EXAMPLE.read_text().replace(
            "{id: w_off,  season: winter, days: all}", "{id: w_off, season: winter, days: weekday}"
        )
    )
    assert main(["tariff", "check", str(broken)]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "line 11: calendar.periods" in error
    assert "no period for 00:00–24:00 on a saturday" in error


def test_a_field_twice_is_no_tariff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """YAML would let the last one hold: two rates of one period are refused, with both lines."""
    rates = tariff(
        tmp_path / "t.yaml",
        '  - id: energy\n    type: energy\n    rates:\n      all: "0.1"\n      all: "0.4"\n',
    )
    assert main(["tariff", "check", str(rates)]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "t.yaml, line 13" in error
    assert "a second 'all', after that of line 12" in error


def test_the_true_up_closes_with_the_bill_not_with_a_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bill over two versions settles the year once, with what both of its parts fed in."""
    folder = tmp_path / "versions"
    folder.mkdir()
    charge = (
        '  - {id: export, type: export, rate: {all: "0"}, applies_to: [energy],'
        ' true_up: {month: 6, rate: "0.05"}}\n'
    )
    both = '  - {id: energy, type: energy, rates: {all: "0.20"}}\n' + charge
    one = tariff(folder / "1.yaml", both).read_text()
    (folder / "1.yaml").write_text(one.replace("{from: 2026-01-01}", "{from: 2026-01-01, to: 2026-06-10}"))
    two = one.replace("version: 1", "version: 2").replace("2026-01-01", "2026-06-11")
    (folder / "2.yaml").write_text(two)
    load = hours(tmp_path / "l.csv", date(2026, 6, 1), 30, lambda i: "0", "1")
    found = priced(capsys, folder, "--load", load, "--from", "2026-06-01", "--to", "2026-06-30")
    lines = [(line["charge"], line["quantity"], line["amount"]) for line in found["lines"]]
    assert lines == [("export true-up", "720.000", "-36.00")]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        pytest.param("day-ahead,soon,0.1\n", "column start_utc", id="no time"),
        pytest.param("day-ahead,,0.1\n", "column start_utc", id="no time at all"),
        pytest.param("day-ahead,2026-05-01T00:00:00Z,dear\n", "a price such as", id="no price"),
        pytest.param(
            "day-ahead,2026-05-01T00:00:00Z,0.1\nday-ahead,2026-05-01T00:00:00Z,0.2\n",
            "two prices",
            id="twice",
        ),
    ],
)
def test_prices_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: str, said: str
) -> None:
    """One message that names the file; exit code 1."""
    rates = tariff(tmp_path / "t.yaml", "  - {id: spot, type: energy_series, series: day-ahead}\n")
    load = hours(tmp_path / "l.csv", date(2026, 5, 1), 1, lambda i: "1")
    prices = tmp_path / "p.csv"
    prices.write_text("series_id,start_utc,price\n" + rows)
    days = ("--from", "2026-05-01", "--to", "2026-05-01")
    assert main(["tariff", "price", str(rates), "--load", str(load), *days, "--prices", str(prices)]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "p.csv" in error
    assert said in error


def test_days_must_be_days(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Wrong usage ends with 2."""
    arguments = ["tariff", "price", str(EXAMPLE), "--load", str(tmp_path / "none.csv")]
    assert main([*arguments, "--from", "2026-02-30", "--to", "2026-03-01"]) == 2
    later = (date(2026, 3, 1) - timedelta(days=1)).isoformat()
    assert main([*arguments, "--from", "2026-03-01", "--to", later]) == 2
    assert "a day not before 2026-03-01" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        pytest.param({5: "abc"}, "column import_kwh, row 6 found: 'abc'", id="text"),
        pytest.param({7: "1e30"}, "column import_kwh, row 8 found: '1e30'", id="too large"),
        pytest.param({7: "-0.5"}, "column import_kwh, row 8 found: -0.5", id="negative"),
        pytest.param({9: ""}, "column import_kwh, row 10 found: an empty cell", id="empty"),
    ],
)
def test_loads_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cells: dict[int, str], said: str
) -> None:
    """One message that names file, column and row, and what stands there; exit code 1."""
    rates = tariff(tmp_path / "t.yaml", '  - {id: energy, type: energy, rates: {all: "0.20"}}\n')
    load = hours(tmp_path / "l.csv", date(2026, 5, 1), 1, lambda i: cells.get(i, "1"))
    days = ("--from", "2026-05-01", "--to", "2026-05-01")
    assert main(["tariff", "price", str(rates), "--load", str(load), *days]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "l.csv" in error
    assert said in error


def test_a_bill_far_from_its_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A year mistyped is refused at once, with what the load spans."""
    rates = tariff(tmp_path / "t.yaml", '  - {id: energy, type: energy, rates: {all: "0.20"}}\n')
    load = hours(tmp_path / "l.csv", date(2026, 5, 1), 2, lambda i: "1")
    days = ("--from", "2026-05-01", "--to", "9999-12-31")
    assert main(["tariff", "price", str(rates), "--load", str(load), *days]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "values from 2026-04-30T22:00:00Z to 2026-05-02T21:00:00Z" in error


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("[" * 3000, "lists within lists", id="deep"),
        pytest.param("", "an empty file", id="empty"),
        pytest.param("- a\n- b\n", "a list", id="list"),
        pytest.param("a: &a [*a]\n", "an unknown field a", id="in itself"),
        pytest.param("? [1, 2]\n: 3\n", "unhashable key", id="key that is no name"),
        pytest.param("id: x\n---\nid: y\n", "another document", id="two documents"),
    ],
)
def test_files_that_are_no_tariff(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    """One clear message, exit code 1."""
    (tmp_path / "t.yaml").write_text(content)
    assert main(["tariff", "check", str(tmp_path / "t.yaml")]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "t.yaml" in error
    assert said in error


def test_a_misspelt_field_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is missing under its own name as well; the name that stands there says more."""
    rates = tariff(tmp_path / "t.yaml", '  - {id: energy, type: energy, raets: {all: "0.20"}}\n')
    assert main(["tariff", "check", str(rates)]) == 1
    assert "an unknown field raets" in " ".join(capsys.readouterr().err.split())


def test_rows_between_the_slots_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Energy that no slot holds would vanish from the bill."""
    rates = tariff(tmp_path / "t.yaml", '  - {id: energy, type: energy, rates: {all: "0.20"}}\n')
    load = hours(tmp_path / "l.csv", date(2026, 5, 1), 2, lambda i: "1")
    with load.open("a") as file:
        file.write("2026-05-01T10:15:00Z,500,0\n")
    days = ("--from", "2026-05-01", "--to", "2026-05-01")
    assert main(["tariff", "price", str(rates), "--load", str(load), *days]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "1 rows between the slots, the first one at 2026-05-01T10:15:00Z" in error


@pytest.mark.parametrize(
    "state", ['{"credit": 1.5}', '{"power_factor": 0.85}', '{"past_peaks_kw": {"2025-08": 5.0}}']
)
def test_a_float_in_the_state_is_refused(
    state: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Money and kW are text or whole numbers; the message says which field and how to write it."""
    (tmp_path / "state.json").write_text(state)
    flat = tariff(tmp_path / "flat.yaml", '  - {id: energy, type: energy, rates: {all: "0.2"}}\n')
    load = hours(tmp_path / "load.csv", date(2026, 1, 1), 1, lambda i: "1")
    span = ["--from", "2026-01-01", "--to", "2026-01-01"]
    arguments = ["tariff", "price", str(flat), "--load", str(load), *span]
    assert main([*arguments, "--state", str(tmp_path / "state.json")]) == 1
    said = capsys.readouterr().err
    assert 'a decimal number as text such as "4.2"' in said
    assert json.loads(state).popitem()[0] in said
