"""Counts all requests, kept or dropped: how many, how long, and why each was kept."""

from collections import Counter
from dataclasses import dataclass, field
from threading import RLock
from typing import Final

_MOST_ENDPOINTS: Final = 500
OTHERS: Final = "(other)"  # all endpoints beyond the limit: the number of labels must be bounded


@dataclass(slots=True)
class Total:
    """One endpoint's sums since the session began."""

    wall_ns: int = 0
    by_decision: dict[str, int] = field(default_factory=dict)  # requests, by why they were kept; "" = dropped


class Totals:
    """The thread that ends a request counts it."""

    def __init__(self) -> None:
        self._adding = RLock()  # a signal handler may end a request, too
        self.endpoints: dict[str, Total] = {}

    def add(self, endpoint: str, wall_ns: int, decision: str) -> None:
        with self._adding:
            total = self.endpoints.get(endpoint)
            if total is None:
                if len(self.endpoints) >= _MOST_ENDPOINTS:
                    endpoint = OTHERS
                total = self.endpoints.setdefault(endpoint, Total())
            total.wall_ns += wall_ns
            total.by_decision[decision] = total.by_decision.get(decision, 0) + 1

    def decisions(self) -> Counter[str]:
        """Return the numbers of requests by why they were kept ("" = dropped), of all endpoints together."""
        return sum((Counter(one.by_decision) for one in self.endpoints.values()), Counter())
