"""How good estimates are on the meters of a lake: hide measured slots, estimate them back, compare.

Run with ``python -m tests.bench.estimation_lake LAKE [PACK]``: the table of ``tests.bench.estimation`` for
any meters that a backfill has taken in, by channel and slot length. Those count whose latest 60 days were
measured in every slot, the first 400 of each kind.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.calendar import DayGrid, epoch_day
from models.series import SeriesFacts
from pipelines.store.lake import Lake
from pipelines.store.views import connect
from tests.bench.estimation import BASELINES, CLUSTER, LENGTHS, facts_of, measure

DAYS, METERS, ROUNDS = 60, 400, 8
_KINDS = """
SELECT channel, interval_s, max(local_day) FROM days GROUP BY ALL ORDER BY ALL"""
_MEASURED = """
SELECT meter_id, list("values" ORDER BY local_day) FROM stored.days_current
WHERE NOT withdrawn AND methods IS NULL AND (quality IS NULL OR quality > 1) AND channel = $1
      AND interval_s = $2 AND local_day > $3::DATE - $4::INTEGER AND local_day <= $3::DATE
GROUP BY meter_id HAVING count(*) = $4 ORDER BY hash(meter_id) LIMIT $5"""


def kinds_of(lake: Lake) -> Iterator[tuple[str, SeriesFacts]]:
    """Meters of each channel and slot length."""
    with connect(lake) as connection:
        for channel, interval_s, last in connection.execute(_KINDS).fetchall():
            found = connection.execute(_MEASURED, [channel, interval_s, last, DAYS, METERS]).fetchall()
            grid = DayGrid(lake.config.timezone, interval_s, epoch_day(last) - DAYS + 1, DAYS)
            rows = [np.concatenate(days) for _, days in found if all(None not in day for day in days)]
            whole = [row.astype(np.int64) for row in rows if len(row) == grid.slots]
            if whole:
                value = np.stack(whole)
                yield f"{channel}, {interval_s // 60} min", facts_of(value, np.ones(value.shape, bool), grid)


def table(lake: Lake, pack: str) -> Iterator[str]:
    """The lines of the table in Markdown."""
    names = (*BASELINES, pack)
    yield f"| meters | gap | {' | '.join(names)} | {pack} ÷ best |"
    yield "|---" * (len(names) + 3) + "|"
    for kind, facts in kinds_of(lake):
        for gaps, how in ((1, "one"), (CLUSTER, "cluster")):
            for length, seconds in LENGTHS.items():
                scores = measure(iter([facts] * ROUNDS), seconds, gaps, (pack,))
                best = max(min(scores[name].mae for name in BASELINES), 1e-9)
                cells = [f"{scores[name].mae:.0f}" for name in names]
                ratio = scores[pack].mae / best
                yield f"| {facts.count} of {kind}, {how} | {length} | {' | '.join(cells)} | {ratio:.2f} |"


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        raise SystemExit("usage: python -m tests.bench.estimation_lake LAKE [PACK]")
    for line in table(Lake.open(Path(sys.argv[1])), sys.argv[2] if len(sys.argv) > 2 else "default"):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
