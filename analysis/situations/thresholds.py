"""The reporting thresholds, for the report and for the comparison of two runs."""

from typing import Final

from whywait.analysis.causes import Cause

MIN_SHARE: Final = 0.05  # of a group's wall time
MIN_MEAN_NS: Final = 1_000_000  # per request
UNSURE_SHARE: Final = 0.2  # of unexplained, from which the verdict says that it cannot tell


def significant(cause: Cause, mean_ns: float, share: float) -> bool:
    """Return whether so much per request, and of the wall time, makes this cause a reason."""
    return cause.info.is_reason and share >= MIN_SHARE and mean_ns >= MIN_MEAN_NS
