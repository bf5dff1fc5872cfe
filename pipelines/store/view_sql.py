"""The output contract as SQL: each view over the rows of the lake's tables, and the records that hold."""

from __future__ import annotations

from schemas.arrow import RAW
from schemas.channels import CHANNELS
from schemas.quality import Flag, Method, Quality
from schemas.records import Kind
from schemas.units import unit_factor, units_of

__all__ = ["CONTRACT", "DATA_QUALITY", "RECORD_KINDS", "view_of_records"]

_DECIMAL = "({0} * 0.000001::DECIMAL(7, 6))"
"""Micro-units as an exact decimal in the billing unit; 64 bits always fit."""


def _method_name(code: int) -> str:
    return Method(code).name.lower() if code in list(Method) else f"method_{code}"


_QUALITIES = "[" + ", ".join(f"'{quality.name}'" for quality in Quality) + "]"
_METHODS = "[" + ", ".join(f"'{_method_name(code)}'" for code in range(max(Method) + 1)) + "]"


def _flag_names(flag: str) -> str:
    """SQL: the names of the bits of a flag set, joined by ``|``; no text where none is set."""
    names = ", ".join(f"CASE WHEN {flag} & {f.value} > 0 THEN '{f.name.lower()}' END" for f in Flag if f.name)
    return f"CASE WHEN coalesce({flag}, 0) = 0 THEN '' ELSE concat_ws('|', {names}) END"


_LATEST_DETECTION = "run_no = (SELECT max(run_no) FROM stored.detect_runs_rows)"

CONTRACT: dict[str, str] = {
    "days": f"""
SELECT meter_id, channel, local_day, start, interval_s,
       [{_DECIMAL.format("x")} FOR x IN "values"] AS "values",
       CASE WHEN qualities IS NULL THEN list_resize([]::VARCHAR[], len("values"), {_QUALITIES}[quality + 1])
            ELSE [{_QUALITIES}[q + 1] FOR q IN qualities] END AS qualities,
       CASE WHEN methods IS NULL THEN list_resize([]::VARCHAR[], len("values"), 'none')
            ELSE [{_METHODS}[m + 1] FOR m IN methods] END AS methods,
       CASE WHEN flags IS NULL THEN list_resize([]::VARCHAR[], len("values"), '')
            ELSE [{_flag_names("f")} FOR f IN flags] END AS flags,
       {_DECIMAL.format("total")} AS total, estimated_slots / len("values") AS estimated_share, revision
FROM stored.days_current WHERE NOT withdrawn""",
    # A slot's number is unnested and the lists are indexed by it: lists that a query does not ask for are
    # then never read, which unnesting each of them would do.
    "readings": f"""
SELECT meter_id, channel,
       make_timestamptz(epoch_us(start) + (i - 1) * interval_s::BIGINT * 1000000) AS start, interval_s,
       {_DECIMAL.format('"values"[i]')} AS value,
       {_DECIMAL.format('CASE WHEN measured IS NULL THEN "values"[i] ELSE measured[i] END')} AS measured,
       unit, {_QUALITIES}[coalesce(quality, qualities[i]) + 1] AS quality,
       CASE WHEN methods IS NULL THEN 'none' ELSE {_METHODS}[methods[i] + 1] END AS method,
       CASE WHEN flags IS NULL THEN '' ELSE {_flag_names("flags[i]")} END AS flags, revision
FROM (SELECT *, unnest(range(1, len("values") + 1)) AS i FROM stored.days_current WHERE NOT withdrawn)""",
    "findings": """
SELECT f.rule, f.severity, meter_id, nullif(channel, '') AS channel, local_day, f.start AS start,
       f."end" AS "end", f.seen, f.expected, revision
FROM (SELECT meter_id, channel, local_day, revision, unnest(findings) AS f FROM stored.days_current)""",
    "gaps": """
SELECT meter_id, channel, min(start) AS "from", max("end") AS "to", sum(slots)::BIGINT AS slots
FROM (
    SELECT *, count(*) FILTER (WHERE before IS DISTINCT FROM start)
                  OVER (PARTITION BY meter_id, channel, interval_s ORDER BY start) AS island
    FROM (
        SELECT *, lag("end") OVER (PARTITION BY meter_id, channel, interval_s ORDER BY start) AS before
        FROM (
            SELECT meter_id, channel, interval_s, f.start AS start, f."end" AS "end",
                   (epoch_us(f."end") - epoch_us(f.start)) // (interval_s::BIGINT * 1000000) AS slots
            FROM (SELECT meter_id, channel, interval_s, unnest(findings) AS f
                  FROM stored.days_current WHERE NOT withdrawn)
            WHERE f.rule = 'missing'
        )
    )
)
GROUP BY meter_id, channel, interval_s, island""",
    "determinants": f"""
SELECT meter_id, local_day, tariff_id, d.period, d.direction, {_DECIMAL.format("d.quantity")} AS quantity,
       d.unit
FROM (SELECT meter_id, local_day, tariff_id, unnest(lines) AS d
      FROM stored.determinants_current WHERE NOT withdrawn)""",
    "bills": """
SELECT bill_id, account_id, period_start, period_end, revision,
       CASE WHEN withdrawn OR superseded THEN 'reversed' ELSE status END AS status, total, currency,
       estimated_share, CASE WHEN withdrawn THEN 'billed no more' ELSE reason END AS reason
FROM (SELECT bill_id, revision, withdrawn, status, total, estimated_share, reason,
             COALESCE(account_id, lag(account_id) OVER own) AS account_id,
             COALESCE(period_start, lag(period_start) OVER own) AS period_start,
             COALESCE(period_end, lag(period_end) OVER own) AS period_end,
             COALESCE(currency, lag(currency) OVER own) AS currency,
             lead(revision) OVER own IS NOT NULL AS superseded
      FROM stored.bills_rows WINDOW own AS (PARTITION BY bill_id ORDER BY revision))""",
    "bill_lines": """
SELECT bill_id, revision, l.line, l.charge, l.tariff_id, l.tariff_version, l.period, l.tier, l.quantity,
       l.unit, l.rate, l.amount
FROM (SELECT bill_id, revision, unnest(lines) AS l FROM stored.bills_rows)""",
    "change_queue": f"""
SELECT meter_id, rank, score, first_week, kwh_lost, reasons, against, as_of, money_lost, currency, model
FROM stored.change_queue_rows WHERE {_LATEST_DETECTION}""",
    "state_queue": f"""
SELECT meter_id, rank, score, first_week, kwh_lost, reasons, against, as_of, money_lost, currency, model
FROM stored.state_queue_rows WHERE {_LATEST_DETECTION}""",
    "faults": f"""
SELECT meter_id, fault, since, until, severity, evidence FROM stored.faults_rows WHERE {_LATEST_DETECTION}""",
    "feeder_balance": f"""
SELECT feeder_id, rank, days, through_kwh, reported_kwh, technical_kwh, hidden_kwh, hidden_share, as_of
FROM stored.feeder_balance_rows WHERE {_LATEST_DETECTION}""",
    "outcomes": """
SELECT meter_id, inspected_on, outcome, note, "user", revision FROM stored.outcomes_current
WHERE NOT withdrawn""",
    "dead_letters": """
SELECT run_id, source, "offset", kind, reason, bytes FROM stored.dead_letters_rows""",
    "dirty_days": """
SELECT meter_id, channel, from_day, to_day FROM stored.dirty_days_rows""",
    "runs": """
SELECT run_id, started, finished, inputs, counts, code_version, rules, tariffs FROM stored.runs_rows""",
}
"""View name → SELECT over ``stored.<table>_rows`` (every row) and ``stored.<table>_current``."""


DATA_QUALITY = """
WITH slots AS (
    SELECT meter_id, channel, date_trunc('month', local_day)::DATE AS month, count(*) AS days,
           sum(len("values"))::BIGINT AS slots, sum(estimated_slots)::BIGINT AS estimated,
           sum(CASE WHEN measured IS NOT NULL THEN len([x FOR x IN measured IF x IS NOT NULL])
                    WHEN quality IS NULL THEN len([q FOR q IN qualities IF q <> 0])
                    WHEN quality = 0 THEN 0 ELSE len("values") END)::BIGINT AS received
    FROM stored.days_current WHERE NOT withdrawn GROUP BY ALL
), sums AS (
    SELECT meter_id, channel, month, sum(days)::BIGINT AS days, sum(slots)::BIGINT AS slots,
           sum(received) / sum(slots) AS completeness, sum(estimated) / sum(slots) AS estimated_share,
           sum(timely) / nullif(sum(dated), 0) AS timeliness
    FROM slots LEFT JOIN stored.arrivals USING (meter_id, channel, month)  -- pipelines/store/arrivals_view.py
    GROUP BY GROUPING SETS ((meter_id, channel, month), (month))
)
SELECT *, round(100 * (completeness + 1 - estimated_share + coalesce(timeliness, 0))
                / (CASE WHEN timeliness IS NULL THEN 2 ELSE 3 END), 1) AS score
FROM sums"""
"""The data quality of each series, and of all together (``meter_id`` null), by local month."""


_TIMES = frozenset(
    {"read_at", "occurred_at", "valid_from", "valid_to", "start", "from", "to", "edited_at", "received_at"}
)
_DECIMALS = {
    (Kind.SERVICE_POINTS, "multiplier"),
    (Kind.PRICES, "price"),
    (Kind.EDITS, "value"),
}
_KEYS: dict[Kind, tuple[str, ...]] = {
    Kind.REGISTERS: ("meter_id", "channel", "read_at", "tou_register"),
    Kind.EVENTS: ("meter_id", "event_type", "occurred_at", "value", "detail"),
    Kind.SERVICE_POINTS: ("service_point_id", "valid_from"),
    Kind.PRICES: ("series_id", "start"),
    Kind.EDITS: ("edit_id",),
}
RECORD_KINDS = tuple(_KEYS)
"""Kinds whose records are shown as views: of each key the one that holds."""


def view_of_records(kind: Kind) -> str:
    """SELECT of the records that hold over ``stored.<kind>_received`` (SEMANTICS, Which record holds).

    The order is (received_at, sequence, micro-value, quality, canonical content): the same as in the
    kernels, ties included.
    """
    names = RAW[kind].names
    order = ["received_at DESC NULLS LAST", "sequence DESC NULLS LAST"]
    if kind is Kind.REGISTERS:
        order += [f"{_MICRO} DESC NULLS LAST", "quality DESC NULLS LAST"]
    if kind is Kind.PRICES:
        order.append("price::DECIMAL(38, 12) DESC")
    content = sorted(name for name in names if name not in ("source", "received_at", "sequence"))
    order += [f"{_canonical(kind, name)} DESC" for name in content]
    shown = ", ".join(_shown(kind, name) for name in names if name != "value_float")
    keys = ", ".join(f'"{name}"' for name in _KEYS[kind])
    return (
        f"\nSELECT {shown}\nFROM stored.{kind.value}_received\n"
        f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {', '.join(order)}, source) = 1"
    )


def _shown(kind: Kind, name: str) -> str:
    if name == "value_int":
        return "coalesce(value_int::DOUBLE, value_float) AS value"
    if name in _TIMES:
        return f'make_timestamptz("{name}") AS "{name}"'
    if (kind, name) in _DECIMALS:
        return f'"{name}"::DECIMAL(28, 12) AS "{name}"'
    return f'"{name}"'


def _canonical(kind: Kind, name: str) -> str:
    """A field as the text that decides between records equal in all else: Python's ``repr``."""
    type_ = str(RAW[kind].field(name).type)
    if type_.startswith("list"):
        items = f"['''' || x || '''' FOR x IN \"{name}\"]"
        text = f"'[' || array_to_string({items}, ', ') || ']'"
    elif "string" in type_:
        text = f"'''' || \"{name}\" || ''''"
    else:
        text = f'"{name}"::VARCHAR'
    return f"coalesce({text}, 'None')"


def _unit_factors() -> str:
    """SQL: a factor to the billing unit for each way a unit may be written."""
    factors: dict[str, float] = {}
    for channel in CHANNELS:
        for unit in units_of(channel):
            for text in (unit, unit.upper(), unit.lower(), unit.casefold()):
                factor = unit_factor(text, channel)
                if factor is not None:
                    factors.setdefault(text, float(factor))
    cases = " ".join(f"WHEN '{text}' THEN {factor!r}" for text, factor in sorted(factors.items()))
    return f"CASE trim(unit) {cases} ELSE 1 END"


_MICRO = f"coalesce(value_int::DOUBLE, value_float) * pow(10, coalesce(scaler, 0)) * ({_unit_factors()})"
