"""Key figures and what needs attention, each with a link to its evidence."""

from __future__ import annotations

from pipelines.report import display
from pipelines.report.facts import MADE, MEASURED, Facts
from pipelines.report.markup import Content, Html, join, tag

SUSPECT = "first_week is not null and kwh_lost > 0"
"""SQL: a ranked meter is an open suspect when its change has a first week and cost energy."""

ERROR = "lower(severity) in ('error', 'critical')"
"""SQL: a finding or fault that somebody must act on."""


def headline(facts: Facts) -> Html:
    """The tiles and the list under them."""
    tiles = [
        _fleet(facts),
        *_quality(facts),
        _billed(facts),
        _suspects(facts),
        _faults(facts),
        _findings(facts),
    ]
    return join([tag("div", tiles, class_="tiles"), _attention(facts)])


def _tile(label: str, value: Content, detail: Content, anchor: str, style: str = "") -> Html:
    return tag(
        "a",
        tag("span", label, class_="label"),
        tag("span", value, class_="value"),
        tag("span", detail, class_="detail"),
        href=f"#{anchor}",
        class_=f"tile {style}".strip(),
    )


def _fleet(facts: Facts) -> Html:
    if facts.first_day is None or facts.last_day is None:
        return _tile("Meters", "0", f"{display.count(facts.service_points)} service points", "completeness")
    days = (facts.last_day - facts.first_day).days + 1
    return _tile(
        "Meters",
        display.count(facts.meters),
        f"{display.count(facts.service_points)} service points · {display.count(days)} days · "
        f"{display.count(facts.expected)} slots",
        "completeness",
    )


def _quality(facts: Facts) -> list[Html]:
    measured, made = facts.share_of(MEASURED), facts.share_of(MADE)
    left = facts.expected - measured - made
    return [
        _tile(
            "Measured",
            display.percent(measured, facts.expected),
            f"{display.count(measured)} of {display.count(facts.expected)} slots",
            "completeness",
        ),
        _tile(
            "Estimated or edited",
            display.percent(made, facts.expected),
            f"{display.count(made)} slots",
            "estimation",
        ),
        _tile(
            "Still without a value",
            display.percent(left, facts.expected),
            f"{display.count(left)} slots",
            "gaps",
            "warn" if left else "",
        ),
    ]


def _billed(facts: Facts) -> Html:
    totals = facts.rows(
        "select currency, sum(total) as total, count(*) as n from bills where status = 'active' "
        "group by currency order by count(*) desc, currency"
    )
    held = facts.count("bills", "status = 'held'")
    if not totals:
        return _tile(
            "Billed", display.NOTHING, f"{display.count(held)} bills held" if held else "no bills", "bills"
        )
    value = join(
        [[display.money(row["total"]), tag("small", f" {row['currency']}")] for row in totals[:2]], " + "
    )
    detail = _plural(sum(row["n"] for row in totals), "bill", "bills") + (
        f" · {display.count(held)} held" if held else ""
    )
    return _tile("Billed", value, detail, "bills")


def _suspects(facts: Facts) -> Html:
    row = facts.one(
        f"select count(*) as n, coalesce(sum(kwh_lost), 0) as lost from change_queue where {SUSPECT}"
    )
    ranked = facts.count("change_queue")
    detail = (
        f"of {display.count(ranked)} ranked · {display.amount(row['lost'], 0)} kWh lost"
        if ranked
        else "no detect run"
    )
    return _tile(
        "Open suspects",
        display.count(row["n"]) if ranked else display.NOTHING,
        detail,
        "theft",
        "warn" if row["n"] else "",
    )


def _faults(facts: Facts) -> Html:
    row = facts.one(
        "select count(*) as n, count(distinct meter_id) as meters from faults where until is null"
    )
    return _tile(
        "Open faults",
        display.count(row["n"]),
        "on " + _plural(row["meters"], "meter", "meters"),
        "faults",
        "warn" if row["n"] else "",
    )


def _findings(facts: Facts) -> Html:
    total, bad = facts.count("findings"), facts.count("findings", ERROR)
    return _tile(
        "Findings of severity error",
        display.count(bad),
        f"of {_plural(total, 'finding', 'findings')}",
        "exceptions",
        "warn" if bad else "",
    )


def _attention(facts: Facts) -> Html:
    lines = [
        line
        for line in (
            _held(facts),
            _top_suspect(facts),
            _worst_gap(facts),
            _worst_faults(facts),
            _errors(facts),
            _dead(facts),
        )
        if line
    ]
    if not lines:
        return (
            tag(
                "p",
                "Nothing needs attention: no held bill, suspect, gap, open fault, error finding or dead "
                "letter.",
                class_="calm",
            )
            if facts.meters
            else tag("p")
        )
    return tag(
        "div",
        tag("h2", "Needs attention", id="attention"),
        tag("ul", [tag("li", line) for line in lines]),
        class_="attention",
    )


def _go(text: str, anchor: str) -> Html:
    return tag("a", text, href=f"#{anchor}")


def _plural(number: int, one: str, many: str) -> str:
    return f"{display.count(number)} {one if number == 1 else many}"


def _held(facts: Facts) -> Html | None:
    rows = facts.rows(
        "select reason, count(*) as n from bills where status = 'held' group by reason order by n desc, "
        "reason"
    )
    if not rows:
        return None
    total = sum(row["n"] for row in rows)
    return join(
        [
            _go(_plural(total, "bill is held", "bills are held"), "bills"),
            f", most often because: {rows[0]['reason']}.",
        ]
    )


def _top_suspect(facts: Facts) -> Html | None:
    rows = facts.rows(
        f"select meter_id, first_week, kwh_lost from change_queue where {SUSPECT} order by rank limit 1"
    )
    if not rows:
        return None
    row = rows[0]
    return join(
        [
            _go(f"Meter {row['meter_id']}", "theft"),
            (
                f" leads the theft queue: about {display.amount(row['kwh_lost'], 0)} kWh "
                f"lost since the week of {display.day(row['first_week'])}."
            ),
        ]
    )


def _worst_gap(facts: Facts) -> Html | None:
    row = facts.one(
        "select count(*) as n, coalesce(sum(slots), 0)::bigint as slots, count(distinct meter_id) as "
        "meters from gaps"
    )
    if not row["n"]:
        return None
    return join(
        [
            _go(_plural(row["n"], "gap", "gaps"), "gaps"),
            (
                f" to ask the head-end for again: {display.count(row['slots'])} slots "
                f"of {_plural(row['meters'], 'meter', 'meters')}."
            ),
        ]
    )


def _worst_faults(facts: Facts) -> Html | None:
    rows = facts.rows(
        "select fault, count(*) as n from faults where until is null group by fault order by n desc, "
        "fault limit 3"
    )
    if not rows:
        return None
    return join(
        [
            _go("Open meter faults", "faults"),
            ": " + ", ".join(f"{row['fault']} ({row['n']})" for row in rows) + ".",
        ]
    )


def _errors(facts: Facts) -> Html | None:
    rows = facts.rows(
        "select rule, count(*) as n from findings where " + ERROR + " group by rule order by n desc, rule"
    )
    if not rows:
        return None
    total = sum(row["n"] for row in rows)
    return join(
        [
            _go(_plural(total, "finding", "findings"), "exceptions"),
            " of severity error: "
            + ", ".join(f"{row['rule']} ({display.count(row['n'])})" for row in rows[:4])
            + ".",
        ]
    )


def _dead(facts: Facts) -> Html | None:
    total = facts.count("dead_letters")
    return (
        join(
            [
                _go(_plural(total, "dead letter", "dead letters"), "account"),
                " kept because they could not be used.",
            ]
        )
        if total
        else None
    )
