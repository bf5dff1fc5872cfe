"""Since when each meter feeds energy in: a new roof explains a fall in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.week_table import list_column

__all__ = ["ExportStart"]


@dataclass
class ExportStart:
    """Gathered while the pieces of the ``features`` table pass by; the same for any order of them.

    Attributes:
        week: Monday of the first week in which a meter exported, by meter id. [epoch day]
    """

    week: dict[str, int] = field(default_factory=dict)

    def watched(self, pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The pieces, each looked at on its way."""
        for piece in pieces:
            rows = piece.filter(pc.equal(piece["channel"], "export"))
            if rows.num_rows:
                fed = list_column(rows, "day_total").sum(axis=1) > 0
                self._add(rows.filter(pa.array(np.asarray(fed))))
            yield piece

    def _add(self, rows: pa.Table) -> None:
        weeks = pa.table({"meter": rows["meter_id"], "week": rows["week"].cast(pa.int32())})
        first = weeks.group_by("meter").aggregate([("week", "min")])
        for meter, week in zip(first["meter"].to_pylist(), first["week_min"].to_pylist(), strict=True):
            self.week[meter] = min(week, self.week.get(meter, week))
