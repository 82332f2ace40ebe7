"""The decision on an ended request: whether it becomes spans, why, and its weight."""

from typing import Final, NamedTuple

WHY_ALL: Final = "all"
WHY_SLOW: Final = "slow"
WHY_ERROR: Final = "error"
WHY_UNFINISHED: Final = "unfinished"
WHY_SHARE: Final = "share"
WHY_NEW: Final = "new"  # too few requests of this endpoint so far to know what is slow


class Decision(NamedTuple):
    """Whether a request's trace is kept, why, and its weight."""

    kept: bool
    why: str
    weight: float
