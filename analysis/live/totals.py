"""Sums since the beginning, by endpoint and cause. They never decrease. Pure."""

from whywait.analysis.live.counting import Counted
from whywait.analysis.live.labels import Labels


class Total:
    """The sums of one endpoint. Amounts are in ns, times the weight of each trace."""

    __slots__ = ("by_cause", "incomplete", "requests", "traced")

    def __init__(self) -> None:
        self.requests = 0.0  # estimate for all requests
        self.traced = 0  # requests that were analysed
        self.incomplete = 0  # requests that were not recorded whole; no other field counts them
        self.by_cause: dict[str, float] = {}


class Totals:
    """One thread writes; others may read at any time and may see slightly older sums."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self.endpoints: dict[str, Total] = {}

    def add(self, request: Counted) -> str:
        """Count one request; return the label of its endpoint."""
        label = self._labels.label(request.endpoint)
        total = self.endpoints.setdefault(label, Total())
        if not request.by_cause:
            total.incomplete += 1
            return label
        total.requests += request.weight
        total.traced += 1
        for cause, ns in request.by_cause.items():
            total.by_cause[cause] = total.by_cause.get(cause, 0.0) + ns * request.weight
        return label
