"""Which rule pack is in force for each series on each local day of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.calendar import DayGrid, epoch_day
from models.master import MasterData
from models.series import Int, SeriesFacts
from schemas.channels import CHANNELS
from schemas.rulebook import RuleBook
from schemas.rulepack import RulePack

__all__ = ["PackDays", "pack_days", "with_holidays"]


@dataclass(frozen=True)
class PackDays:
    """Packs and the days they are in force on.

    Attributes:
        packs: At least one.
        of_day: Position in ``packs``; (n, days).
        named: Whether the holidays are those of the packs, and not those of the facts.
    """

    packs: tuple[RulePack, ...]
    of_day: Int
    named: bool = True

    @staticmethod
    def alone(pack: RulePack, facts: SeriesFacts) -> PackDays:
        """One pack for everything, with the holidays of the facts."""
        return PackDays((pack,), np.zeros(facts.expected.shape, np.int64), named=False)

    def at(self, series: int, day: int) -> RulePack:
        """The pack of a series on a day of the grid."""
        return self.packs[int(self.of_day[series, day])]

    @property
    def only(self) -> int | None:
        """The one pack of all days, None where there are several."""
        first = int(self.of_day.flat[0]) if self.of_day.size else 0
        return first if len(self.packs) == 1 or (self.of_day == first).all() else None

    def rows(self, rows: Int) -> PackDays:
        """The same for some series, with the packs that these have."""
        only = self.only
        if only is not None:
            return PackDays(
                (self.packs[only],), np.zeros((len(rows), self.of_day.shape[1]), np.int64), self.named
            )
        used, of_day = np.unique(self.of_day[rows], return_inverse=True)
        packs = tuple(self.packs[number] for number in used.tolist())
        return PackDays(packs, of_day.reshape(len(rows), -1).astype(np.int64), self.named)


def with_holidays(facts: SeriesFacts, pack: RulePack) -> SeriesFacts:
    """The facts with the holidays of a pack."""
    return replace(facts, holidays=frozenset(epoch_day(day) for day in pack.holidays))


def pack_days(
    book: RuleBook, names: Sequence[tuple[str, str]], grid: DayGrid, master: MasterData
) -> PackDays:
    """The pack of every series and day.

    The customer class and the commodity are those of the service point in force when the day begins; where
    there is none the channel tells the commodity.

    Args:
        book: The rules.
        names: (meter, channel) of each series.
        grid: The days.
        master: Service points.
    """
    of_day = np.zeros((len(names), grid.days), np.int64)
    known: dict[tuple[str | None, str, str], Int] = {}

    def timeline(customer_class: str | None, commodity: str, channel: str) -> Int:
        key = customer_class, commodity, channel
        if key not in known:
            known[key] = np.zeros(grid.days, np.int64)
            for first, number in book.stretches(*key):
                known[key][max(epoch_day(first) - grid.first_day, 0) :] = number
        return known[key]

    for row, (meter, channel) in enumerate(names):
        own = CHANNELS[channel].commodity
        of_day[row] = timeline(None, own, channel)
        for span in master.spans.get(meter, ()):
            low, high = np.searchsorted(grid.day_starts[:-1], [span.start, span.end]).tolist()
            version = span.version
            commodity = version.commodity if own == "volume" else own
            of_day[row, low:high] = timeline(version.customer_class, commodity, channel)[low:high]
    return PackDays(book.packs, of_day)
