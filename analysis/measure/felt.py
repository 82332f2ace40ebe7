"""Both times of a request: what its client felt (the window), and what the handler took of it."""

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from whywait.analysis.measure.weights import percentiles, weights_of
from whywait.analysis.text import amount, milliseconds

SAME: Final = 0.02  # of the felt time: closer than this, the times are one and only one is told
PERCENTILES: Final = (50, 95, 99)


def both_percentiles(
    requests: pd.DataFrame, which: Sequence[float] = PERCENTILES
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return these percentiles of felt and of in-handler times, ns, by nearest rank."""
    felt, handler = (
        tuple(int(ns) for ns in percentiles(requests[name], weights_of(requests), which))
        for name in ("wall_ns", "handler_ns")
    )
    return felt, handler


def differ(felt_ns: float, handler_ns: float) -> bool:
    """Return whether the two times are so different that both are told."""
    return felt_ns - handler_ns > SAME * felt_ns


def both(request: dict[Any, Any]) -> str:
    """Return a request's time, or both of its times: "991 ms felt by the client, 60.8 ms in the handler"."""
    felt_ns = int(request["wall_ns"])
    return f"{amount(felt_ns)}{in_handler(request, ' felt by the client, ')}"


def in_handler(request: dict[Any, Any], before: str) -> str:
    """Return "{before}60.8 ms in the handler"; "" where that is no other time."""
    felt_ns, handler_ns = int(request["wall_ns"]), int(request["handler_ns"])
    return f"{before}{milliseconds(handler_ns)} ms in the handler" if differ(felt_ns, handler_ns) else ""
