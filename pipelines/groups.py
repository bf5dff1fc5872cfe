"""Reports about groups of customers, only where nobody can be told from the group (the 15/15 rule).

A group is shown if it has at least 15 customers and none of them makes more than 15 % of its total [1].

References:
    [1] California Public Utilities Commission, Decision 97-10-031: aggregated customer usage data.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.store.held_points import HELD_POINTS

__all__ = ["GROUPINGS", "GroupRule", "daily_groups"]

GROUPINGS = ("feeder_id", "transformer_id", "customer_class", "commodity", "tariff_id")
"""Columns of service points that make groups."""


@dataclass(frozen=True)
class GroupRule:
    """When a group may be shown.

    Attributes:
        least: Fewest customers (accounts) of a group.
        most_share: Greatest share of one customer in the group's total, 0 to 1.
    """

    least: int = 15
    most_share: float = 0.15

    def __post_init__(self) -> None:
        if self.least < 1:
            raise ValueError(f"least must be >= 1, got {self.least}")
        if not 0 < self.most_share <= 1:
            raise ValueError(f"most_share must be above 0 and at most 1, got {self.most_share}")


def daily_groups(grouping: str, rule: GroupRule) -> str:
    """SELECT of daily totals of groups that may be shown; parameters: channel, first and last local day.

    A group is judged on the whole time asked for and on each day, so that no difference of two answers
    tells of one customer more than the rule allows. Accounts of role ``customer`` only; a meter counts for
    the service point in force at the start of its day.
    """
    if grouping not in GROUPINGS:
        raise ValueError(f"grouping must be one of {', '.join(GROUPINGS)}, got {grouping!r}")
    return f"""
WITH points AS ({HELD_POINTS}
), shares AS (
    SELECT p.{grouping} AS name, p.account_id, d.local_day, sum(d.total) AS total
    FROM days d JOIN points p ON p.meter_id = d.meter_id AND d.start >= p.since AND d.start < p.until
    WHERE d.channel = ? AND d.local_day BETWEEN ? AND ? AND p.role = 'customer'
      AND p.account_id IS NOT NULL AND p.{grouping} IS NOT NULL
    GROUP BY ALL
), daily AS (
    SELECT name, local_day, count(*) AS customers, sum(total) AS total, max(abs(total)) AS greatest,
           sum(abs(total)) AS size
    FROM shares GROUP BY ALL
), whole AS (
    SELECT name, count(*) AS customers, max(abs(total)) AS greatest, sum(abs(total)) AS size
    FROM (SELECT name, account_id, sum(total) AS total FROM shares GROUP BY ALL) GROUP BY ALL
)
SELECT name AS "group", local_day, customers, total FROM daily
WHERE {_allowed(rule)} AND name IN (SELECT name FROM whole WHERE {_allowed(rule)})
ORDER BY name, local_day"""


def _allowed(rule: GroupRule) -> str:
    return f"customers >= {rule.least} AND greatest <= {rule.most_share} * size"
