"""The view ``settlement``: what suppliers' customers took from each feeder in each slot, and what was lost.

Computed when asked for, from the current day rows: nothing is stored that could differ from them, and a
query of some days reads those days only.
"""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.store.lake import Lake
from pipelines.tariffs.tariff_store import kept_folder
from schemas.quality import Quality
from schemas.tariff import BillingRules, load_billing_rules

__all__ = ["settlement_view", "suppliers_view"]

_MICRO = "({0} * 0.000001::DECIMAL(7, 6))"


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
    the feeder has no meter, or a slot of any of its meters has no value.
    """
    drawn, fed, through = (_MICRO.format(name) for name in ("drawn", "fed", "through"))
    lost = f"quality <= {int(Quality.FAILED)}"
    made = f"quality IN ({int(Quality.ESTIMATED)}, {int(Quality.SUBSTITUTED)})"
    return f"""
WITH points AS (
    SELECT service_point_id, meter_id, role, feeder_id, valid_from,
           least(lead(valid_from, 1, TIMESTAMPTZ '9999-01-01') OVER (
                     PARTITION BY service_point_id ORDER BY valid_from),
                 coalesce(valid_to, TIMESTAMPTZ '9999-01-01')) AS until
    FROM service_points
), of_days AS (
    SELECT p.feeder_id, p.service_point_id, p.role, p.valid_from, p.until, d.channel, d.local_day, d.start,
           d.interval_s, d."values", d.quality, d.qualities, max(d.interval_s) OVER (PARTITION BY p.feeder_id,
           d.local_day) AS step
    FROM stored.days_current d JOIN points p
      ON p.meter_id = d.meter_id AND d.start < p.until AND d.start + INTERVAL 25 HOUR > p.valid_from
    WHERE NOT d.withdrawn AND d.channel IN ('import', 'export')
          AND p.role IN ('customer', 'generation', 'feeder')
), slots AS (
    SELECT feeder_id, service_point_id, role, channel, local_day, start AS midnight, step,
           (i - 1) * interval_s // step AS slot, coalesce("values"[i], 0) AS micro,
           coalesce(quality, qualities[i]) AS quality,
           start + INTERVAL 1 SECOND * ((i - 1) * interval_s) AS moment, valid_from, until
    FROM (SELECT *, unnest(range(1, len("values") + 1)) AS i FROM of_days)
), counted AS (
    SELECT s.*, CASE WHEN role = 'feeder' THEN NULL ELSE coalesce(u.supplier, '') END AS supplier
    FROM slots s LEFT JOIN stored.suppliers u
      ON u.service_point_id = s.service_point_id AND s.local_day BETWEEN u.first_day AND u.last_day
    WHERE moment >= valid_from AND moment < until
), of_supplier AS (
    SELECT feeder_id, supplier, local_day, midnight, slot, step, count(DISTINCT service_point_id) AS points,
           coalesce(sum(micro) FILTER (channel = 'import'), 0)::BIGINT AS drawn,
           coalesce(sum(micro) FILTER (channel = 'export'), 0)::BIGINT AS fed,
           count(*) FILTER ({made}) AS estimated, count(*) FILTER ({lost}) AS missing
    FROM counted GROUP BY ALL
), balanced AS (
    SELECT *, max(CASE WHEN supplier IS NULL THEN drawn - fed END) OVER feeder AS through,
           sum(CASE WHEN supplier IS NULL THEN 0 ELSE drawn - fed END) OVER feeder AS taken,
           sum(missing) OVER feeder AS lacking
    FROM of_supplier WINDOW feeder AS (PARTITION BY feeder_id, local_day, slot)
)
SELECT feeder_id, nullif(supplier, '') AS supplier, local_day,
       midnight + INTERVAL 1 SECOND * (slot * step) AS start,
       step AS interval_s, points, {drawn} AS drawn, {fed} AS fed, estimated, missing, {through} AS through,
       CASE WHEN lacking = 0 AND feeder_id IS NOT NULL THEN {_MICRO.format("(through - taken)::BIGINT")} END
           AS losses
FROM balanced WHERE supplier IS NOT NULL"""
