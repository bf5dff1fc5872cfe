"""What chains of bills hand on from bill to bill, and in which money each carries its credit."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from models.bill_state import BillState
from models.series import Int
from schemas.tariff import Tariff

__all__ = ["Chains"]

Money = tuple[str, int]
"""Currency and decimals."""


class Chains:
    """The states of n chains of bills (a service point and an account each).

    Args:
        count: n.
    """

    def __init__(self, count: int) -> None:
        self._state = BillState.empty(count)
        self._money: list[Money] = []
        self._money_of = np.zeros(count, np.int64)

    def begin(self, rows: Int, tariff: Tariff) -> tuple[BillState, list[str]]:
        """What some chains' next bills begin with.

        A credit counts in the money of the bill that left it. Under a tariff with more decimals it is the
        same credit; one in another currency, or with decimals that the tariff has not, cannot be carried
        over.

        Args:
            rows: Of the chains, (k,).
            tariff: That prices the next bills.

        Returns:
            State, credit in 10^-money_dp of the tariff; and why each bill is held, empty where it is not.
        """
        state, reasons = self._state.at(rows), [""] * len(rows)
        wanted = _money(tariff)
        known = self._money.index(wanted) if wanted in self._money else -1
        for i in np.flatnonzero((state.credit != 0) & (self._money_of[rows] != known)).tolist():
            mine = self._money[int(self._money_of[rows[i]])]
            credit = Decimal(int(state.credit[i])).scaleb(-mine[1])
            units = credit.scaleb(wanted[1])
            if mine[0] != wanted[0] or units != int(units):
                state.credit[i] = 0
                reasons[i] = (
                    f"tariff {tariff.id}: a credit of {credit} {mine[0]} from the bill before, "
                    f"expected one in {wanted[0]} with {wanted[1]} decimals"
                )
            else:
                state.credit[i] = int(units)
        return state, reasons

    def end(self, rows: Int, own: BillState, tariff: Tariff) -> None:
        """Take over what some chains' bills under a tariff hand on."""
        money = _money(tariff)
        if money not in self._money:
            self._money.append(money)
        self._state.put(rows, own)
        self._money_of[rows] = self._money.index(money)


def _money(tariff: Tariff) -> Money:
    return tariff.currency, tariff.rounding.money_dp
