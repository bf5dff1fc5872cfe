"""``meterbeam convert``: exact readings out of NEM12, CSV and Parquet; irregular files refused or mended."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.cli import main
from tests.pipelines.exchanged import avro_readings, failed
from tests.pipelines.towns import records
from tests.real_data import shared

Capture = pytest.CaptureFixture[str]

HALF_HOURS = 48
MIDNIGHT = int(datetime(2026, 2, 28, 14, tzinfo=UTC).timestamp())
"""2026-03-01 00:00 of the market's clock."""


def nem12(*lines: str) -> str:
    return "\r\n".join(["100,NEM12,202603021200,MDP,RET", *lines, "900", ""])


def day(values: str, quality: str = "A", date: str = "20260301") -> str:
    return f"300,{date},{values},{quality},,,20260302093000,"


def stream(suffix: str = "E1", unit: str = "kWh", minutes: int = 30, nmi: str = "NMI1234567") -> str:
    return f"200,{nmi},{suffix},1,{suffix},,,{unit},{minutes},"


FLAT = ",".join(["0.125"] * HALF_HOURS)


def convert(tmp_path: Path, text: str, *options: str) -> int:
    file = tmp_path / "in.csv"
    file.write_text(text, encoding="utf-8")
    return main(["convert", "nem12", str(file), "--out", str(tmp_path / "out"), *options])


def test_nem12_values_are_exact_and_on_the_market_clock(tmp_path: Path) -> None:
    """Slots count from midnight UTC+10; Wh and kWh, a second stream of a kind, and the update time."""
    wh = ",".join(str(n) for n in range(HALF_HOURS))
    text = nem12(stream(), day(FLAT), stream("E2", "Wh"), day(wh), stream("B1"), day("." + FLAT[2:]))
    assert convert(tmp_path, text) == 0
    found = avro_readings(tmp_path / "out")
    at = [MIDNIGHT + 1800 * n for n in range(HALF_HOURS)]
    assert set(found) == {
        *(("NMI1234567", "import", start, 1800, Fraction(1, 8)) for start in at),
        *(("NMI1234567-2", "import", start, 1800, Fraction(n, 1000)) for n, start in enumerate(at)),
        *(("NMI1234567", "export", start, 1800, Fraction(1, 8)) for start in at),
    }
    assert set(found.values()) == {0}
    assert {block["received_at"] for block in records(tmp_path / "out" / "in.avro")} == {
        datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    }


def test_nem12_qualities(tmp_path: Path) -> None:
    """N is no reading; substitutes and estimates are the head-end's, by method; the rest is measured."""
    ranges = ["400,1,10,A,,", "400,11,12,N,,", "400,13,20,F14,76,", "400,21,30,S17,1,", "400,31,48,E51,,"]
    assert convert(tmp_path, nem12(stream(), day(FLAT, "V"), *ranges)) == 0
    codes = avro_readings(tmp_path / "out")
    by_slot = {(key[2] - MIDNIGHT) // 1800 + 1: code for key, code in codes.items()}
    expected = {**dict.fromkeys(range(1, 11), 0), **dict.fromkeys(range(13, 21), 8)}
    expected |= {**dict.fromkeys(range(21, 31), 9), **dict.fromkeys(range(31, 49), 12)}
    assert by_slot == expected


@pytest.mark.parametrize(
    ("text", "found", "kept"),
    [
        pytest.param(nem12(stream(), day(FLAT)).replace("100,", "\r\n100,"), "an empty line", 48, id="blank"),
        pytest.param(nem12(stream(), day(FLAT))[:-5], "the end of the file", 48, id="no end"),
        pytest.param(nem12(stream(), day(FLAT))[32:], "a first record '200'", 48, id="no header"),
        pytest.param(nem12(stream(), day(FLAT + ",1")), "49 values", 0, id="one value too many"),
        pytest.param(nem12(stream(minutes=15), day(FLAT)), "48 values", 48, id="other length"),
        pytest.param(nem12(stream(), day(FLAT.replace("0.125", "x", 1))), "the value 'x'", 47, id="text"),
        pytest.param(nem12(stream(), day(FLAT.replace("0.125", "", 1))), "the value ''", 47, id="no value"),
        pytest.param(nem12(stream(), day(FLAT, "V")), "48 intervals without one", 48, id="no 400"),
        pytest.param(
            nem12(stream(), day(FLAT, "V"), "400,1,60,A,,"), "intervals 1 to 60", 48, id="400 too long"
        ),
        pytest.param(nem12(stream("X1"), day(FLAT)), "the suffix 'X1'", 0, id="suffix"),
        pytest.param(nem12(stream(unit="apples"), day(FLAT)), "the unit 'apples'", 0, id="unit"),
        pytest.param(nem12(stream(unit=""), day(FLAT)), "no unit", 48, id="no unit"),
        pytest.param(nem12(day(FLAT)), "a 300 record", 0, id="no 200"),
        pytest.param(nem12(stream(), day(FLAT, date="20260230")), "the date '20260230'", 0, id="no such day"),
        pytest.param(nem12(stream(), day(FLAT), "700,1"), "a record '700'", 48, id="unknown record"),
        pytest.param(nem12(stream(), day(FLAT)) + "300", "a record '300' after the end", 48, id="after end"),
        pytest.param(nem12(stream(), day(FLAT, "Z")), "the quality 'Z'", 48, id="unknown quality"),
        pytest.param("\x00\xff garbage", "a first record", 0, id="no text at all"),
    ],
)
def test_an_irregularity_is_refused_or_mended_and_told(
    tmp_path: Path, capsys: Capture, text: str, found: str, kept: int
) -> None:
    """Strictly: exit 1 with file and line, and no file. Leniently: exit 0, what was mended is listed."""
    assert convert(tmp_path, text) == 1
    error = capsys.readouterr().err
    assert found in error
    assert "in.csv, line" in error
    assert not list((tmp_path / "out").glob("*"))
    assert convert(tmp_path, text, "--lenient") == 0
    with (tmp_path / "out" / "mended.csv").open(encoding="utf-8") as file:
        told = list(csv.DictReader(file))
    assert any(found in row["found"] for row in told)
    assert len(avro_readings(tmp_path / "out")) == kept


def test_files_as_agents_send_them(shared_dir: Path, tmp_path: Path) -> None:
    """Every sample is read, leniently; the regular ones have nothing to mend."""
    out = tmp_path / "out"
    assert main(["convert", "nem12", str(shared_dir / "data" / "nem12"), "--out", str(out), "--lenient"]) == 0
    with (out / "mended.csv").open(encoding="utf-8") as file:
        mended = Counter(Path(row["where"].split(",")[0]).name for row in csv.DictReader(file))
    assert mended == {
        "Example_NEM12_15min_200_30min_300.csv": 1,
        "Example_NEM12_30min_200_15min_400.csv": 2,
        "Example_NEM12_different_interval_length.csv": 1,
        "Example_NEM12_incomplete_interval.csv": 1,
        "Example_NEM12_missing_header.csv": 2,
        "Example_NEM12_powercor.csv": 4,
        "Example_WesternPower.csv": 6,
    }
    solar = records(out / "Example_NEM12_month_solar.avro")
    assert {(block["meter_id"], block["channel"]) for block in solar} == {
        ("NMI1234567", "export"),
        ("NMI1234567", "import"),
    }
    assert sum(len(block["values"]) for block in solar) == 2 * 31 * 288


def test_csv_of_real_meters(shared_dir: Path, tmp_path: Path) -> None:
    """A compressed file with offsets in its times and no column of meters."""
    source = shared_dir / "data" / "eemeter_hourly" / "il-electricity-cdd-hdd-hourly.csv.gz"
    assert main(["convert", "csv", str(source), "--out", str(tmp_path), "--meter", "il"]) == 0
    found = avro_readings(tmp_path)
    table = pa.csv.read_csv(
        source, convert_options=pa.csv.ConvertOptions(column_types={"value": pa.string()})
    )
    expected = {
        ("il", "import", int(start.timestamp()), 3600, Fraction(value))
        for start, value in zip(table["start"].to_pylist(), table["value"].to_pylist(), strict=True)
        if value
    }
    assert set(found) == expected


def test_parquet_of_real_meters(shared_dir: Path, tmp_path: Path) -> None:
    """Other names of columns, times without an offset, gaps between blocks."""
    source = shared("nsw_halfhour") / "consumption.parquet"
    names = ["--column", "start=local_time", "--column", "value=kwh", "--timezone", "Etc/GMT-10"]
    assert main(["convert", "parquet", str(source), "--out", str(tmp_path), *names]) == 0
    rows = pq.read_table(source)
    starts = [int(time.replace(tzinfo=UTC).timestamp()) - 36_000 for time in rows["local_time"].to_pylist()]
    values = [Fraction(round(value * 1000), 1000) for value in rows["kwh"].to_pylist()]
    assert set(avro_readings(tmp_path)) == {
        (meter, "import", start, 1800, value)
        for meter, start, value in zip(rows["meter_id"].to_pylist(), starts, values, strict=True)
    }


HEAD = "meter_id,channel,start,interval_s,value,unit,quality\n"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        pytest.param("a,b\n1,2\n", [], "start, value, meter_id as well", id="columns"),
        pytest.param("meter_id,start,value\nm,2026-03-01,1\n", [], "--timezone", id="no offset"),
        pytest.param("meter_id,start,value\nm,yesterday,1\n", [], "column start", id="no time"),
        pytest.param(
            HEAD + "m,import,2026-03-01T00:00:00Z,900,abc,kWh,\n", [], "column value", id="no number"
        ),
        pytest.param(HEAD + "m,steam,2026-03-01T00:00:00Z,900,1,kWh,\n", [], "channel", id="channel"),
        pytest.param(HEAD + "m,import,2026-03-01T00:00:00Z,900,1,m3,\n", [], "unit of import", id="unit"),
        pytest.param(HEAD + "m,import,2026-03-01T00:00:00Z,901,1,kWh,\n", [], "901 s", id="interval"),
        pytest.param(
            HEAD + "m,import,2026-03-01T00:00:00Z,900,1,kWh,FINE\n", [], "column quality", id="quality"
        ),
        pytest.param(
            HEAD + ",import,2026-03-01T00:00:00Z,900,1,kWh,\n", [], "column meter_id", id="no meter"
        ),
        pytest.param(HEAD + "m,import,2026-03-01T00:00:00Z,900\n", [], "in.csv", id="short row"),
        pytest.param("meter_id,start,value\nm,2026-03-01T00:00:00Z,1\n", [], "--interval", id="one row"),
        pytest.param(HEAD + "m,import,2026-03-01T00:00:00Z,abc,1,kWh,\n", [], "interval_s", id="no length"),
        pytest.param(HEAD + "m,import,2026-03-01T00:00:00Z,,1,kWh,\n", [], "interval_s", id="empty length"),
        pytest.param(HEAD + "m,import,2026-03-01T00:00:00Z,900,1e30,kWh,\n", [], "column value", id="large"),
        pytest.param("", [], "in.csv", id="empty"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_clear_error(
    tmp_path: Path, capsys: Capture, text: str, options: list[str], message: str
) -> None:
    """Exit 1, the file and the column; nothing is left behind."""
    file = tmp_path / "in.csv"
    file.write_text(text, encoding="utf-8")
    code, error = failed(["convert", "csv", str(file), "--out", str(tmp_path / "out"), *options], capsys)
    assert code == 1
    assert message in error
    assert "Traceback" not in error
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["xls", "a.xls"], "FORMAT", id="format"),
        pytest.param(["csv", "a.csv", "--column", "kwh"], "--column", id="column"),
        pytest.param(["csv", "a.csv", "--channel", "steam"], "--channel", id="channel"),
        pytest.param(["csv", "a.csv", "--timezone", "Mars"], "--timezone", id="zone"),
    ],
)
def test_wrong_usage(tmp_path: Path, capsys: Capture, arguments: list[str], message: str) -> None:
    """Exit 2 and the option's name."""
    code, error = failed(["convert", *arguments, "--out", str(tmp_path)], capsys)
    assert code == 2
    assert message in error


def test_missing_values_cut_blocks(tmp_path: Path) -> None:
    """An empty value and one of quality MISSING are no readings; qualities become ESPI codes."""
    rows = ["1.5,VALIDATED", ",VALIDATED", "2,ESTIMATED", "9,MISSING", "0.000000001,8"]
    file = tmp_path / "in.csv"
    body = [f"m,import,2026-03-01 00:{15 * n:02d}:00+00,900,{r.split(',')[0]},kWh,{r.split(',')[1]}"
            for n, r in enumerate(rows[:4])]  # fmt: skip
    body.append(f"m,import,2026-03-01 01:00:00+00,900,{rows[4].split(',')[0]},kWh,8")
    file.write_text(HEAD + "\n".join(body) + "\n", encoding="utf-8")
    assert main(["convert", "csv", str(file), "--out", str(tmp_path / "out")]) == 0
    first = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())
    assert avro_readings(tmp_path / "out") == {
        ("m", "import", first, 900, Fraction(3, 2)): 17,
        ("m", "import", first + 1800, 900, Fraction(2)): 8,
        ("m", "import", first + 3600, 900, Fraction(1, 10**9)): 8,
    }


def test_times_of_delivery(tmp_path: Path) -> None:
    """A row that says when it came, to the microsecond, one that does not, and one in another hour."""
    head = "meter_id,start,interval_s,value,received_at"
    rows = [
        "m,2026-03-01T00:00Z,900,1,2026-03-02T03:04:05.000006+01:00",
        "m,2026-03-01T00:15Z,900,2,",
        "m,2026-03-01T00:30Z,900,3,2026-03-02T03:00:00Z",
        "m,2026-03-01T00:45Z,900,4,2026-03-02T03:00:00Z",
    ]
    file = tmp_path / "in.csv"
    file.write_text("\n".join([head, *rows]), encoding="utf-8")
    assert main(["convert", "csv", str(file), "--out", str(tmp_path)]) == 0
    blocks = sorted(records(tmp_path / "in.avro"), key=lambda block: block["start"])
    assert [(len(block["values"]), block["received_at"]) for block in blocks] == [
        (1, datetime(2026, 3, 2, 2, 4, 5, 6, tzinfo=UTC)),
        (1, None),
        (2, datetime(2026, 3, 2, 3, tzinfo=UTC)),
    ]


def test_a_parquet_of_lists_is_refused(shared_dir: Path, tmp_path: Path, capsys: Capture) -> None:
    """A row a day with its slots in a list is another form: one clear error."""
    source = shared("swiss_15min") / "consumption.parquet"
    names = ["--column", "start=day", "--column", "value=kwh", "--timezone", "Europe/Zurich"]
    code, error = failed(["convert", "parquet", str(source), "--out", str(tmp_path), *names], capsys)
    assert (code, "column value" in error, "Traceback" in error) == (1, True, False), error


@pytest.mark.parametrize(("day", "word"), [("2026-10-25", "repeats"), ("2026-03-29", "skips")])
def test_local_times_at_a_clock_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], day: str, word: str
) -> None:
    """A local time that is two moments or none is never guessed; the message says what to write instead."""
    table = tmp_path / "home.csv"
    table.write_text("start,value\n" + "".join(f"{day} 0{hour}:00,1\n" for hour in (1, 2, 3)))
    out = ["--out", str(tmp_path / "out"), "--meter", "m", "--timezone", "Europe/Zurich"]
    assert main(["convert", "csv", str(table), *out]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert f"a local time of the hour that the clock of Europe/Zurich {word}" in error


def test_rows_in_order_tell_a_repeated_hour_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two meters side by side in a file, each with both passes; with one pass it is refused as before."""
    table, out = tmp_path / "homes.csv", tmp_path / "out"
    halves = ("01:30", "02:00", "02:30", "02:00", "02:30", "03:00")
    rows = [f"{meter},2026-10-25 {half},{n}" for n, half in enumerate(halves) for meter in ("a", "b")]
    table.write_text("\n".join(["meter_id,start,value", *rows]), encoding="utf-8")
    asked = ["convert", "csv", str(table), "--out", str(out), "--timezone", "Europe/Zurich"]
    assert main(asked) == 1
    assert "--in-order" in capsys.readouterr().err
    assert main([*asked, "--in-order"]) == 0
    found = records(out / "homes.avro")
    start = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    assert [(row["meter_id"], row["start"], row["interval_s"]) for row in found] == [
        (meter, start, 1800) for meter in ("a", "b")
    ]
    assert [[value * Fraction(10) ** row["scaler"] for value in row["values"]] for row in found] == [
        [0, 1, 2, 3, 4, 5]
    ] * 2
    table.write_text("\n".join(["meter_id,start,value", *rows[:6], *rows[10:]]), encoding="utf-8")
    assert main([*asked, "--in-order"]) == 1
    assert "repeats" in capsys.readouterr().err
