"""The report's content: every figure equals one computed by hand, absence is explained, data is escaped."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import duckdb
import pytest

from pipelines.report import TouBand, display, report
from tests.pipelines.page_reader import Reader
from tests.pipelines.report_fixture import FIRST_DAY, VIEWS, day_row, empty, insert
from tests.pipelines.report_town import fleet

SLOTS = 24
SETTLED = "Through each feeder less what was taken behind it, last 31 days"
HIDDEN = "Hidden by the detect run's reckoning: what neither meters nor technical loss explain"


def _read(connection: duckdb.DuckDBPyConnection, **options: Any) -> Reader:
    return Reader(report(connection, title="T", **options))


def _spaces(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


@pytest.fixture
def three_days() -> duckdb.DuckDBPyConnection:
    """Two meters, three days of 24 hours: 144 slots, of which 4 estimated, 2 substituted, 3 missing, 1 "
    "failed.
    """
    connection = empty()
    whole = ["0.5"] * SLOTS
    made = ["ESTIMATED"] * 4 + ["SUBSTITUTED"] * 2 + ["VALIDATED"] * 18
    how = ["LINEAR"] * 4 + ["LIKE_DAY_SCALED"] * 2 + ["NONE"] * 18
    left = ["MISSING"] * 3 + ["FAILED"] + ["QUESTIONABLE"] + ["VERIFIED"] * 19
    days = [FIRST_DAY + timedelta(days=n) for n in range(3)]
    insert(
        connection,
        "slot_days",
        [
            day_row("a", days[0], whole),
            day_row("a", days[1], ["0.25"] * 6 + ["1"] * 18, qualities=made, methods=how),
            day_row("a", days[2], whole),
            day_row("b", days[0], whole),
            day_row("b", days[1], whole),
            day_row("b", days[2], [None] * 3 + ["0.5"] * 21, qualities=left),
        ],
    )
    return connection


def test_headline_counts_every_slot_once(three_days: duckdb.DuckDBPyConnection) -> None:
    """Measured, made and absent slots are those of the three days, and their shares are of all 144."""
    top = _spaces(_read(three_days).sections[""])
    assert "Measured93.06 %134 of 144 slots" in top
    assert "Estimated or edited4.17 %6 slots" in top
    assert "Still without a value2.78 %4 slots" in top
    assert "Meters20 service points · 3 days · 144 slots" in top


def test_calendar_tells_each_day(three_days: duckdb.DuckDBPyConnection) -> None:
    """A day's tip holds its measured share, its made and absent slots and its silent meters."""
    tips = [
        _spaces(tip).removesuffix(" silent") for tip in _read(three_days).tips() if tip.endswith(" silent")
    ]
    want = [
        "Mon 2026-01-05: 100 % measured, 0 slots estimated or edited, 0 without a value, 0 of 2 meters",
        "Tue 2026-01-06: 87.5 % measured, 6 slots estimated or edited, 0 without a value, 0 of 2 meters",
        "Wed 2026-01-07: 91.67 % measured, 0 slots estimated or edited, 4 without a value, 0 of 2 meters",
    ]
    assert tips == want * 2, "once for wide and once for narrow screens"


def test_methods_are_counted_slot_by_slot(three_days: duckdb.DuckDBPyConnection) -> None:
    """Slots and energy by method are those of made slots alone, whatever else their day holds."""
    rows = _read(three_days).tables["How values were made, by method"]
    assert rows[1:] == [["linear", "", "4", "1.0"], ["like day scaled to register", "", "2", "0.5"]]


def test_edited_slots_count_though_the_day_has_no_estimate() -> None:
    """An edit is a made value even where ``estimated_share`` is zero."""
    connection = empty()
    qualities = ["EDITED"] * 2 + ["VALIDATED"] * 22
    methods = ["MANUAL"] * 2 + ["NONE"] * 22
    insert(
        connection,
        "slot_days",
        [day_row("a", FIRST_DAY, ["2"] * SLOTS, qualities=qualities, methods=methods)],
    )
    assert _read(connection).tables["How values were made, by method"][1:] == [["manual", "", "2", "4.0"]]


def test_load_profile_is_the_mean_power_by_hour_and_kind_of_day() -> None:
    """Hour 7 of two weekdays with 1 and 3 kWh is 2 kW; a Saturday stands apart; a 23-hour day is left out."""
    connection = empty()
    flat = ["0"] * SLOTS
    high = [*flat[:7], "1", *flat[8:]], [*flat[:7], "3", *flat[8:]]
    saturday = [*flat[:7], "5", *flat[8:]]
    short = day_row("a", FIRST_DAY + timedelta(days=2), ["9"] * 24)
    short |= {key: short[key][:23] for key in ("values", "measured", "qualities", "methods", "flags")}
    insert(
        connection,
        "slot_days",
        [
            day_row("a", FIRST_DAY, high[0]),
            day_row("a", FIRST_DAY + timedelta(days=1), high[1]),
            short,
            day_row("a", FIRST_DAY + timedelta(days=5), saturday),
        ],
    )
    tips = _read(connection).tips()
    assert "07:00: Weekdays 2 kW, Weekends 5 kW" in tips
    assert "08:00: Weekdays 0 kW, Weekends 0 kW" in tips


def test_a_sampled_profile_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet beyond the limit is sampled by meter-day and the reader is told from how many."""
    monkeypatch.setattr("pipelines.report.load_profile.PROFILE_DAYS", 200)
    told = _read(fleet(meters=10, days=56)).sections["load"]
    assert "From about 200 of 560 meter-days" in told


def test_bands_are_drawn_in_the_colours_of_their_periods() -> None:
    """Each given weekday band is shaded from its start to its end; the dearest period is red everywhere."""
    bands = [
        TouBand("town-tou", "winter", False, "off", 0, 960),
        TouBand("town-tou", "winter", False, "peak", 960, 1440),
    ]
    page = _read(fleet(meters=4, days=28), bands=bands)
    drawn = [
        (given["class"], given["data-tip"])
        for _, given in page.tags
        if (given.get("class") or "").startswith("band f")
    ]
    assert drawn == [("band f5", "off: 00:00–16:00"), ("band f4", "peak: 16:00–24:00")] * 2


def test_periods_sum_the_determinants() -> None:
    """Quantity, share and meters by period equal a sum over the view."""
    connection = fleet(meters=6, days=28)
    rows = _read(connection).tables["Quantity by time-of-use period"]
    sums = dict(
        connection.execute("select period, sum(quantity) from determinants group by period").fetchall()
    )
    whole = sum(sums.values())
    want = [
        [
            "town-tou",
            "import",
            name,
            "",
            f"{sums[name]:,.1f} kWh",
            _spaces(display.percent(sums[name], whole, 1)),
            "6",
        ]
        for name in ("peak", "off")
    ]
    assert [[_spaces(cell) for cell in row] for row in rows[1:]] == want


def test_findings_by_rule_and_severity() -> None:
    """Errors first; each rule with its count, its meters, its first and last day and one example."""
    connection = fleet(meters=8, days=28)
    rows = [row[:2] + row[3:7] for row in _read(connection).tables["Findings by rule and severity"][1:]]
    want = connection.execute(
        "select rule, severity, count(*)::varchar, count(distinct meter_id)::varchar, "
        "min(local_day)::varchar, "
        "max(local_day)::varchar from findings group by rule, severity "
        "order by list_position(['error', 'warning', 'info'], severity), count(*) desc, rule"
    ).fetchall()
    assert rows == [list(row) for row in want]


def test_gaps_faults_and_dead_letters_are_listed() -> None:
    """What is missing, broken or unusable is named with its address and evidence."""
    page = _read(fleet())
    assert page.tables["Longest first"][1] == [
        "M00007",
        "import",
        "2026-03-21 00:00",
        "2026-03-30 00:00",
        "",
        "864",
    ]
    assert page.tables["Every fault, gravest first"][1] == [
        "M00021",
        "dead-phase",
        "error",
        "2026-02-28 00:00",
        "not over",
        "level 0.66 of own baseline within one slot; voltage_b absent",
    ]
    (dead,) = page.tables["Dead letters: input that could not be used, kept as it came"][1:]
    assert dead[1:] == [
        "town/readings-1.avro",
        "18,233",
        "block",
        "CRC mismatch: read 0x1f22aa01, computed 0x77b1c0de",
        "4",
    ]


@pytest.mark.parametrize(
    ("repeats", "said", "mark"),
    [
        pytest.param(404, "every run below that counted readings closes", "✓", id="closes"),
        pytest.param(403, "1 of the runs below do not close", "✗ does not close", id="open"),
    ],
)
def test_the_account_of_a_run_is_checked(repeats: int, said: str, mark: str) -> None:
    """Readings in must equal stored + repeats + dead letters; a run where they do not says so."""
    connection = fleet(meters=2, days=28)
    connection.execute("update runs set counts = replace(counts, '404', ?)", [str(repeats)])
    page = _read(connection)
    assert said in page.sections["account"]
    assert page.tables["Runs, latest first"][1][3:8] == ["5,376", "4,876", str(repeats), "96", mark]


def test_an_empty_lake_says_what_is_absent_and_draws_nothing() -> None:
    """No plot, no table; each section says in words why it is empty."""
    page = _read(empty())
    assert [name for name, _ in page.tags if name in ("svg", "table")] == []
    absent = {name: text for name, text in page.sections.items() if name}
    assert len(absent) == 12
    assert all("No" in text for text in absent.values()), absent
    assert "nothing has been ingested into this lake" in absent["account"]


def test_data_quality_shows_the_fleet_by_month_and_the_worst_series() -> None:
    """Months in order; of each series that lost anything its worst month; points lost by cause."""
    page = _read(fleet(meters=6, days=56))
    fleet_rows = [[_spaces(cell) for cell in row] for row in page.tables["The fleet by month"]]
    assert fleet_rows[1:] == [
        ["2026-01", "97.7", "", "97 %", "2 %", "98 %", "81", "7,776"],
        ["2026-02", "94.0", "", "94 %", "6 %", "–", "84", "8,064"],
    ]
    worst = page.tables["The worst month of each series, lowest score first"]
    assert [[_spaces(cell) for cell in row] for row in worst[1:]] == [
        ["M00000", "import", "2026-02", "82.0", "", "82 %", "18 %", "–", "28", "2,688"],
        ["M00001", "import", "2026-01", "100.0", "", "99.99 %", "0 %", "100 %", "27", "2,592"],
    ]
    # A third each of 3, 2 and 2 points; a half each of 6 and 6 where nothing says when it came.
    assert "2026-01: 97.7 of 100; lost: not received 1.00, estimated 0.67, late 0.67" in page.tips()
    assert "2026-02: 94.0 of 100; lost: not received 3.00, estimated 3.00, late 0.00" in page.tips()
    said = _spaces(page.sections["quality"])
    assert "94.0 of 100 in 2026-02: 94 % of the slots were read, 6 % estimated; none of the readings" in said


def test_a_perfect_fleet_lists_no_series() -> None:
    """Where no series lost a point the section says so instead of an empty table."""
    connection = fleet(meters=6, days=28)
    connection.execute("delete from data_quality where meter_id in ('M00000', 'M00001')")
    assert "No series lost points" in _read(connection).sections["quality"]


def test_losses_of_each_feeder() -> None:
    """A slot counts once however many suppliers it has, and only where all its values are known."""
    page = _read(fleet(meters=6, days=56))
    settled = [[_spaces(cell) for cell in row] for row in page.tables[SETTLED]]
    assert settled[1:] == [
        ["F0", "10.0", "1.5", "", "15 %", "2", "3"],
        ["F1", "8.0", "−0.4", "", "−5 %", "1", "1"],
    ]
    hidden = [[_spaces(cell) for cell in row] for row in page.tables[HIDDEN]]
    assert hidden[1:] == [
        ["F0", "50", "1,000.0", "900.0", "25.0", "75.0", "", "7.5 %"],
        ["F1", "49", "500.0", "500.0", "0.0", "0.0", "", "0 %"],
    ]
    said = _spaces(page.sections["losses"])
    assert "Most was lost on F0: 2 of 10 kWh (15 %) that went through it in the last 31 days" in said
    assert "On 1 of 2 feeders the meters behind took more than went through." in said


@pytest.mark.parametrize(
    ("missing", "section", "why"),
    [
        pytest.param(
            "bills", "bills", "no billing period lies wholly inside the days processed so far", id="bills"
        ),
        pytest.param(
            "service_points",
            "bills",
            "no service points, so its meters are billed to nobody",
            id="no-service-points",
        ),
        pytest.param("determinants", "load", "no meter of this lake has a tariff", id="no-tariff"),
        pytest.param("change_queue", "theft", "no detect run has ranked this lake's meters", id="no-queue"),
        pytest.param("settlement", "losses", "no feeder has a meter of its own", id="no-feeder"),
        pytest.param("gaps", "gaps", "every expected slot was received", id="no-gap"),
        pytest.param("findings", "exceptions", "every rule passed", id="no-finding"),
    ],
)
def test_a_lake_without_something_says_why(missing: str, section: str, why: str) -> None:
    """A full lake that lacks one product explains that product's absence and shows the rest."""
    connection = fleet(meters=6, days=28)
    with_it = {"service_points": ["bills", "bill_lines"], "settlement": ["feeder_balance"]}
    for table in [missing, *with_it.get(missing, [])]:
        connection.execute(f"delete from {table}")
    page = _read(connection)
    assert why in page.sections[section]
    assert any(name == "svg" for name, _ in page.tags)


EVIL = "<script>alert('x')</script>\"&"


def test_data_is_escaped_everywhere() -> None:
    """Every text column of every view holds markup; none of it becomes an element or an attribute."""
    connection = fleet(meters=3, days=28)
    honest = sum(name == "script" for name, _ in _read(connection).tags)
    for table, columns in VIEWS.items():
        for column, kind in re.findall(r'"?(\w+)"? (varchar)(?!\[)', columns):
            if (table, column) not in {("bills", "status"), ("runs", "counts"), ("slot_days", "channel")}:
                keep = "meter_id is null" if table == "data_quality" else "false"  # the fleet has no name
                connection.execute(
                    f'update {table} set "{column}" = coalesce("{column}", \'\') || ? where not ({keep})',
                    [EVIL],
                )
            assert kind
    page = report(connection, title=EVIL, timezone=EVIL)
    read = Reader(page)
    assert sum(name == "script" for name, _ in read.tags) == honest
    assert "<script>alert" not in page
    assert not [given for _, given in read.tags if any(name.startswith("on") for name in given)]
    assert EVIL in read.sections["theft"]
    assert EVIL in read.sections["bills"]
    assert EVIL in read.sections["quality"]
    assert EVIL in read.sections["losses"]


def test_the_page_names_no_address_to_fetch() -> None:
    """Nothing to load: no source, no link but to sections and the blank icon, no import in the style."""
    page = report(fleet(meters=4, days=28), title="T")
    places = [
        given.get("href") or given.get("src")
        for name, given in Reader(page).tags
        if {"href", "src"} & set(given)
    ]
    assert {place for place in places if place and not place.startswith("#")} == {"data:,"}
    assert "@import" not in page
    assert "url(" not in page
    assert len(page.encode()) < 6_000_000


def test_links_lead_somewhere() -> None:
    """Every link of the page names the id of an element of the page."""
    page = _read(fleet(meters=4, days=28))
    ids = {given["id"] for _, given in page.tags if "id" in given}
    assert {(given["href"] or "")[1:] for name, given in page.tags if name == "a"} <= ids


def test_nothing_is_left_behind_in_the_connection() -> None:
    """The temporary tables are dropped, also where a section fails."""
    connection = empty()
    before = connection.execute("select table_name from duckdb_tables() order by 1").fetchall()
    report(connection, title="T")
    connection.execute("drop table gaps")
    with pytest.raises(duckdb.CatalogException):
        report(connection, title="T")
    after = connection.execute("select table_name from duckdb_tables() order by 1").fetchall()
    assert after == [row for row in before if row != ("gaps",)]


def test_the_same_lake_gives_the_same_page() -> None:
    """No clock, no random order: two reports of one lake are equal to the byte."""
    connection = fleet(meters=6, days=28)
    assert report(connection, title="T") == report(connection, title="T")


def test_enum_qualities_and_zoned_times_give_the_same_page() -> None:
    """A view may give names as an enum and moments with a zone."""
    connection = fleet(meters=4, days=28)
    plain = report(connection, title="T")
    for column, names in (("qualities", "quality"), ("methods", "method")):
        connection.execute(
            f"create type {names}_name as enum (select distinct unnest({column}) from slot_days)"
        )
        connection.execute(f"alter table slot_days alter {column} type {names}_name[]")
    connection.execute("alter table slot_days alter start type timestamptz using start at time zone 'UTC'")
    assert report(connection, title="T") == plain


def test_suspects_must_not_be_negative() -> None:
    """The error names the value."""
    with pytest.raises(ValueError, match=r"suspects must be >= 0, got -1"):
        report(empty(), title="T", suspects=-1)
