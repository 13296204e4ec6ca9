"""What refused tries cost: deliveries. A receiver that takes much may be asked often whether it takes more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sender.core.window_rules import WindowRules

_MOST = 4  # tries that may be owed for


@dataclass(slots=True)
class Purse:
    """The deliveries that are owed for refused tries."""

    rules: WindowRules
    unpaid_at: float  # a try that is not paid for may be made after this
    debt: int  # negative: paid in advance, for the refusal that measures the limit first
    _paid_at_limit: int = 0  # the limit at the last try that was paid for
    _price: int = 0  # and what it cost

    def delivered(self) -> None:
        """A message was delivered."""
        if self.debt > 0:
            self.debt -= 1

    def pay(self, now: float, limit: int, share: float) -> None:
        """A try beyond `limit` was refused; it costs a share of the price."""
        self._paid_at_limit, self._price = limit, round(self.rules.price * share)
        self.debt = min(self.debt + self._price, _MOST * self.rules.price)
        self.unpaid_at = now + self.rules.unpaid_s

    def taken(self, level: int) -> None:
        """A session was taken at `level`: a refusal below it was not the limit, and what it cost comes back."""
        if level > self._paid_at_limit:
            self.debt = max(min(0, self.debt), self.debt - self._price)
            self._price = 0
