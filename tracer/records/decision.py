"""Whether a request that has ended becomes spans, why, and for how many it stands."""

from typing import Final, NamedTuple

WHY_ALL: Final = "all"
WHY_SLOW: Final = "slow"
WHY_ERROR: Final = "error"
WHY_SHARE: Final = "share"
WHY_NEW: Final = "new"  # too few requests of this endpoint so far to know what is slow


class Decision(NamedTuple):
    """Whether a request's trace is kept, why, and how many requests it then stands for."""

    kept: bool
    why: str
    weight: float
