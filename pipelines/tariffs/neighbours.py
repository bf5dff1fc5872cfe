"""How much others like a bill's customer used in the same days, only where nobody can be told from it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import duckdb

from pipelines.groups import GroupRule
from pipelines.store.held_points import HELD_POINTS
from schemas.channels import BILLED

__all__ = ["neighbours"]

NEAREST_FIRST = ("transformer_id", "feeder_id", "customer_class")
"""Columns of service points that make neighbours."""
TENTH = Decimal("0.1")


def neighbours(
    connection: duckdb.DuckDBPyConnection, bill: Mapping[str, Any], rule: GroupRule | None = None
) -> dict[str, Any] | None:
    """The mean use of the nearest group of other customers; None where no group may be shown.

    The customer knows their own use, so the rule (pipelines/groups.py) holds for the others alone: at least
    15, none with more than 15 % of what they use together. Others are accounts with a whole bill's days of
    the same commodity; all energy drawn at their service points counts.

    Args:
        connection: With the views of a lake.
        bill: Has account_id, period_start and period_end.
        rule: When a group may be shown.
    """
    rule = rule or GroupRule()
    for column in NEAREST_FIRST:
        found = connection.execute(
            _SQL.format(points=HELD_POINTS, column=column, channels=BILLED), _parameters(bill)
        ).fetchall()
        own = sum((total for account, total in found if account == bill["account_id"]), Decimal(0))
        others = [total for account, total in found if account != bill["account_id"]]
        whole = sum(others, Decimal(0))
        if len(others) < rule.least or len(others) == len(found):
            continue
        if max(map(abs, others)) <= Decimal(str(rule.most_share)) * sum(map(abs, others)):
            mean = (whole / len(others)).quantize(TENTH)
            return {
                "by": column,
                "customers": len(others),
                "mean": str(mean),
                "own": str(own.quantize(TENTH)),
            }
    return None


def _parameters(bill: Mapping[str, Any]) -> list[Any]:
    days = bill["period_start"], bill["period_end"]
    return [bill["account_id"], days[1], days[0], *days, days[1], days[0]]


_SQL = """
WITH points AS ({points}
), own AS (
    SELECT DISTINCT {column} AS near, commodity FROM points
    WHERE account_id = ? AND role = 'customer' AND {column} IS NOT NULL
          AND since::DATE <= ?::DATE AND until::DATE > ?::DATE
)
SELECT p.account_id, sum(d.total) AS total
FROM days d JOIN points p ON p.meter_id = d.meter_id AND d.start >= p.since AND d.start < p.until
     JOIN own ON own.near = p.{column} AND own.commodity = p.commodity
WHERE d.local_day BETWEEN ? AND ? AND p.role = 'customer'
      AND p.account_id IS NOT NULL AND d.channel IN {channels}
GROUP BY p.account_id
HAVING count(DISTINCT d.local_day) = (?::DATE - ?::DATE) + 1
"""
