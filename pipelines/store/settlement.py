"""The view ``settlement``: what suppliers' customers took from each feeder in each slot, and what was lost.

Computed when asked for, from the current day rows: nothing is stored that could differ from them, and a
query of some days reads those days only.
"""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.store.held_points import HELD_POINTS
from pipelines.store.lake import Lake
from pipelines.tariffs.tariff_store import kept_folder
from schemas.quality import Quality
from schemas.tariff import BillingRules, load_billing_rules

__all__ = ["settlement_view", "suppliers_view"]


def suppliers_view(lake: Lake) -> str:
    """SELECT of (service_point_id, supplier, first_day, last_day) as of the lake's run."""
    rows = [
        f"({_text(point)}, {_text(supplier.id)}, DATE '{supplier.effective.from_}', "
        f"DATE '{supplier.effective.to or '9999-12-31'}')"
        for supplier in _rules(lake).suppliers
        for point in supplier.service_points
    ]
    names = "service_point_id, supplier, first_day, last_day"
    none = "(NULL::VARCHAR, NULL::VARCHAR, NULL::DATE, NULL::DATE)"
    return f"SELECT * FROM (VALUES {', '.join(rows or [none])}) AS given({names}) WHERE supplier IS NOT NULL"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _rules(lake: Lake) -> BillingRules:
    """Billing rules of the lake's run; empty where it was given no tariffs."""
    runs = lake.runs()
    named = [row["tariffs"] for row in runs.to_pylist() if row["run_no"] == lake.run_no]
    if not named or named[0] is None or not json.loads(named[0]):
        return BillingRules()
    folder: Path = kept_folder(lake.path, named[0])
    return load_billing_rules(folder)


def settlement_view() -> str:
    """SELECT over ``days``, ``service_points`` and ``stored.suppliers``.

    A row a feeder, supplier and slot. The slots of a feeder's day are as long as the longest of its meters':
    shorter ones are summed. ``losses`` is what flowed through the feeder's own meters less all that its
    customers and generators took, whosever customers they are: the same on each supplier's row; null where
    the feeder has no meter, or a slot of any of its meters has no value. ``share_of_losses`` deals them out
    to the suppliers in proportion to what their customers drew, as group correction does in the British
    settlement (Balancing and Settlement Code, section S), in whole micro-units by the largest remainder:
    Σ (drawn − fed + share_of_losses) = through.
    """
    steps = (_POINTS, _ROWS, _PARTS, _SLOTS, _SUMS, _BALANCED, _DEALT)
    return f"WITH {', '.join(steps)}\n{_SELECT}"


_MADE = f"{int(Quality.ESTIMATED)}, {int(Quality.SUBSTITUTED)}"
_POINTS = f"""points AS (
    SELECT service_point_id, meter_id, role, feeder_id, epoch_us(since) // 1000000 AS since,
           epoch_us(until) // 1000000 AS until
    FROM ({HELD_POINTS})
)"""
_ROWS = """
-- Day rows with their slots [low, high): those that start while the version of the point is in force.
of_days AS (
    SELECT p.feeder_id, p.service_point_id, p.role, p.since, d.channel, d.local_day, d.interval_s, d.quality,
           d."values", d.qualities, d.start,
           greatest(0, (p.since - d.start + d.interval_s - 1) // d.interval_s) AS low,
           least(len(d."values"), (p.until - d.start + d.interval_s - 1) // d.interval_s) AS high
    FROM (SELECT * EXCLUDE (start), epoch_us(start) // 1000000 AS start FROM stored.days_current
          WHERE NOT withdrawn AND channel IN ('import', 'export')) d
    JOIN points p ON p.meter_id = d.meter_id AND d.start < p.until
                 AND d.start + len(d."values") * d.interval_s > p.since
    WHERE p.role IN ('customer', 'generation', 'feeder')
)"""
_PARTS = """
-- ``one``: the row counts the point; not again in a slot that the version before reached into (``former``).
parts AS (
    SELECT r.feeder_id, r.local_day, r.channel = 'export' AS back, r.quality, r.interval_s,
           CASE WHEN role = 'feeder' THEN NULL ELSE coalesce(u.supplier, '') END AS supplier,
           CASE WHEN high - low = len("values") THEN "values" ELSE "values"[low + 1:high] END AS micro,
           CASE WHEN high - low = len("values") THEN qualities ELSE qualities[low + 1:high] END AS qualities,
           r.start + low * interval_s AS start,
           max(interval_s) OVER feeder AS step, arg_max(r.start, interval_s) OVER feeder AS origin,
           row_number() OVER (PARTITION BY r.service_point_id, since, local_day
                              ORDER BY channel DESC) = 1 AS one,
           lag(r.start + (high - 1) * interval_s) OVER (
               PARTITION BY r.service_point_id, channel, local_day ORDER BY since) AS former
    FROM of_days r LEFT JOIN stored.suppliers u
      ON u.service_point_id = r.service_point_id AND r.local_day BETWEEN u.first_day AND u.last_day
    WHERE low < high WINDOW feeder AS (PARTITION BY feeder_id, local_day)
)"""
_SLOTS = """
slots AS (
    SELECT feeder_id, supplier, local_day, step, origin, back, one, quality, former, interval_s, start,
           unnest(micro) AS micro, unnest(qualities) AS own, generate_subscripts(micro, 1) AS i
    FROM parts
)"""
_SUMS = f"""
sums AS (
    SELECT feeder_id, supplier, local_day, step, slot, count(*) FILTER (one AND (begin = slot OR i = 1)
                                         AND slot IS DISTINCT FROM former) AS points,
           coalesce(sum(micro) FILTER (NOT back), 0)::BIGINT AS drawn,
           coalesce(sum(micro) FILTER (back), 0)::BIGINT AS fed,
           count(*) FILTER (coalesce(quality, own) IN ({_MADE})) AS estimated,
           count(*) FILTER (coalesce(quality, own) <= {int(Quality.FAILED)}) AS missing
    FROM (SELECT * EXCLUDE (former), begin - (begin - origin % step) % step AS slot,
                 former - (former - origin % step) % step AS former
          FROM (SELECT *, start + (i - 1) * interval_s AS begin FROM slots)) GROUP BY ALL
)"""
_BALANCED = """
balanced AS (
    SELECT *, max(CASE WHEN supplier IS NULL THEN drawn - fed END) OVER feeder AS through,
           sum(CASE WHEN supplier IS NULL THEN 0 ELSE drawn - fed END) OVER feeder AS taken,
           sum(missing) OVER feeder AS lacking,
           sum(CASE WHEN supplier IS NULL THEN 0 ELSE drawn END) OVER feeder AS all_drawn
    FROM sums WINDOW feeder AS (PARTITION BY feeder_id, local_day, slot)
)"""
_DEALT = """
-- Where nobody drew anything, each point has the same weight.
weighted AS (
    SELECT *, CASE WHEN lacking = 0 AND feeder_id IS NOT NULL THEN through - taken END AS losses,
           CASE WHEN all_drawn > 0 THEN drawn ELSE points END AS weight
    FROM balanced WHERE supplier IS NOT NULL
), parted AS (
    SELECT *, abs(losses) * weight // all_weight AS least, abs(losses) * weight % all_weight AS rest
    FROM (SELECT *, nullif(sum(weight) OVER (PARTITION BY feeder_id, local_day, slot), 0) AS all_weight
          FROM weighted)
), dealt AS (
    SELECT *, sign(losses) * CASE WHEN row_number() OVER (feeder ORDER BY rest DESC, supplier)
                                       <= abs(losses) - sum(least) OVER feeder
                                  THEN least + 1 ELSE least END AS share
    FROM parted WINDOW feeder AS (PARTITION BY feeder_id, local_day, slot)
)"""


def _kwh(micro: str) -> str:
    return f"({micro}::BIGINT * 0.000001::DECIMAL(7, 6))"


_SELECT = f"""
SELECT feeder_id, nullif(supplier, '') AS supplier, local_day, make_timestamptz(slot * 1000000) AS start,
       step AS interval_s, points, {_kwh("drawn")} AS drawn, {_kwh("fed")} AS fed, estimated, missing,
       {_kwh("through")} AS through, {_kwh("losses")} AS losses, {_kwh("share")} AS share_of_losses
FROM dealt"""
