"""What a bill is priced from: the load of one billing window, prices, events; and what may be lacking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from models.calendar import DayGrid, utc_text
from models.series import Int

__all__ = ["MissingPriceError", "UnpriceableError", "Window"]


class UnpriceableError(ValueError):
    """A bill cannot be priced from what is given.

    Attributes:
        found, expected: Both sides.
    """

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"{found}, expected {expected}")
        self.found, self.expected = found, expected


class MissingPriceError(UnpriceableError):
    """A slot has no price in a series that the tariff charges by.

    Attributes:
        series: Its id.
        second: Start of the first such slot, UTC; None where there is no such series at all.
    """

    def __init__(self, series: str, second: int | None) -> None:
        at = "" if second is None else f" at {utc_text(second)}"
        super().__init__(f"no price of series {series}{at}", "a price for every slot")
        self.series, self.second = series, second


@dataclass(frozen=True)
class Window:
    """The load of n service points over one billing window of one tariff version.

    Attributes:
        grid: Exactly the window's days.
        imported: Shape (n, slots). [micro-unit]
        exported: Shape (n, slots), or None. [micro-unit]
        month: Month of the bill's last local day, year · 12 + month − 1.
        billed_days: Days of the whole bill; more than the grid's where versions change inside it.
        events: Days of each event, on which the hours that the tariff names count.
        power_factor: Of each service point, None where none is given.
        of_bill: Energy drawn and reactive energy drawn in the whole bill, (n,) each, which give the power
            factor where none is given; reactive below zero where nothing measures it. [micro-unit]
        prices: Price of each slot of each series in force, shape (slots,); None where there is none.
        runs: Import of each run of one period within a day, where it is known already; shape (n, runs).
        stretches: Stretches [from, to) of each event, UTC seconds, beside its days.
        reactive: Reactive energy by channel, shape (n, slots). [micro-kvarh]
        closes: Whether the bill ends with this window; a true-up comes about only then.
    """

    grid: DayGrid
    imported: Int
    exported: Int | None
    month: int
    billed_days: int
    events: Mapping[str, frozenset[int]] = field(default_factory=dict)
    power_factor: Sequence[Decimal | None] | None = None
    of_bill: tuple[Int, Int] | None = None
    prices: Mapping[str, Sequence[Decimal | None]] = field(default_factory=dict)
    runs: Int | None = None
    stretches: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    reactive: Mapping[str, Int] = field(default_factory=dict)
    closes: bool = True

    @property
    def month_of_year(self) -> int:
        """1 January … 12 December."""
        return self.month % 12 + 1

    @property
    def own_share(self) -> Fraction:
        """Days of this window in those of the whole bill."""
        return Fraction(self.grid.days, self.billed_days)
