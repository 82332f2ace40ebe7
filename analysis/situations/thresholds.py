"""The reporting thresholds, for the report and for the comparison of two runs."""

from typing import Final

from whywait.analysis.causes import Cause

MIN_SHARE: Final = 0.05  # of a group's wall time
MIN_MEAN_NS: Final = 1_000_000  # per request
UNSURE_SHARE: Final = 0.2  # of unexplained time: from this share on the verdict names it
_NO_REASON: Final = {Cause.COMPUTE, Cause.UNEXPLAINED}


def significant(cause: Cause, mean_ns: float, share: float) -> bool:
    """Return whether a cause with this mean (ns per request) and share of the wall time is significant."""
    return cause not in _NO_REASON and share >= MIN_SHARE and mean_ns >= MIN_MEAN_NS
