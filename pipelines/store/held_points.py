"""Who holds a meter when: the versions of service points, cut so that each meter has one at a time.

The same rule as in ``models/master.py``: where two service points claim a meter, the greatest
(valid_from, service_point_id) holds.
"""

from __future__ import annotations

__all__ = ["HELD_POINTS", "held_points"]

_FOREVER = "TIMESTAMPTZ '9999-01-01'"


def held_points(wanted: str = "true") -> str:
    """SELECT of service points with the times ``since`` and ``until`` for which each holds its meter.

    Args:
        wanted: SQL condition on ``meter_id``.
    """
    return f"""
WITH claims AS (
    SELECT * FROM (
        SELECT *, least(lead(valid_from, 1, {_FOREVER}) OVER (
                            PARTITION BY service_point_id ORDER BY valid_from),
                        coalesce(valid_to, {_FOREVER})) AS ends
        FROM service_points
    ) WHERE valid_from < ends AND {wanted}
), pieces AS (
    SELECT meter_id, edge AS since, lead(edge) OVER (PARTITION BY meter_id ORDER BY edge) AS until
    FROM (SELECT DISTINCT meter_id, unnest([valid_from, ends]) AS edge FROM claims)
)
SELECT c.* EXCLUDE (ends), p.since, p.until
FROM pieces p JOIN claims c ON c.meter_id = p.meter_id AND c.valid_from <= p.since AND c.ends >= p.until
QUALIFY row_number() OVER (
    PARTITION BY c.meter_id, p.since ORDER BY c.valid_from DESC, c.service_point_id DESC) = 1"""


HELD_POINTS = held_points()
