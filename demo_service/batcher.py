"""Decides when waiting requests are joined into one batch. No clock, no queue, no I/O of its own."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """The two bounds of a batch."""

    max_wait_s: float  # a request waits no longer than this for others
    max_rows: int  # a batch holds no more, unless a single request does


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the decision needs to know of a waiting request."""

    since_s: float
    rows: int


@dataclass(frozen=True, slots=True)
class Decision:
    """Flush the first `flush` requests now; else decide again after `wait_s` (None: when one arrives)."""

    flush: int
    wait_s: float | None


def decide(queue: Sequence[Waiting], now_s: float, policy: Policy, *, closing: bool = False) -> Decision:
    """What to do with `queue` (oldest first) at `now_s`: requests stay whole and in order.

    max_wait:  |---- a ----|         a is due: a and b go together
                    |-- b --|...
    max_rows:  a + b + c too many: a and b go now, c stays
    """
    if not queue:
        return Decision(0, None)
    fitting, full = _fitting(queue, policy.max_rows)
    due_s = queue[0].since_s + policy.max_wait_s
    if full or closing or now_s >= due_s:
        return Decision(fitting, None)
    return Decision(0, due_s - now_s)


def _fitting(queue: Sequence[Waiting], max_rows: int) -> tuple[int, bool]:
    """How many requests fit one batch, and whether nothing more could join it."""
    rows = 0
    for count, waiting in enumerate(queue):
        if count > 0 and rows + waiting.rows > max_rows:
            return count, True
        rows += waiting.rows
    return len(queue), rows >= max_rows
