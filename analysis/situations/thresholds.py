"""From when on something is significant: written once, for the report and for the comparison of two runs."""

from typing import Final

MIN_SHARE: Final = 0.05  # of a group's wall time
MIN_MEAN_NS: Final = 1_000_000  # per request
UNSURE_SHARE: Final = 0.2  # of unexplained, from which the verdict says that it cannot tell
