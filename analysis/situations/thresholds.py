"""The reporting thresholds, for the report and for the comparison of two runs."""

from typing import Final

from whywait.analysis.causes import Cause

MIN_SHARE: Final = 0.05  # of a group's wall time
MIN_MEAN_NS: Final = 1_000_000  # per request
UNSURE_SHARE: Final = 0.2  # of unexplained, from which the verdict says that it cannot tell
MIN_KNOWN: Final = 0.3  # of a wait behind others: what these did must be known for so much of it
MIN_HELD: Final = 0.5  # of what is known of the holders: from this share on it is what they did
MIN_GIL_PART: Final = 1 / 3  # of their Python: so much waiting for the GIL makes that the bottleneck
MIN_CYCLE: Final = 0.3  # of the known holders of each, who wait for the other
SHORT_TURN_NS: Final = 2_000_000  # on the loop: to move it elsewhere would cost more than it gains
MANY_TURNS: Final = 20  # in one wait: a task that yields again and again has few, while an arrival's tick lasts
HARDLY: Final = 0.05  # of the wait for a thread: so little, in short turns, is no work for which a thread is needed
MANY_AWAITS: Final = 4  # like ones, one after another, in one request
SEVERAL_AWAITS: Final = 3  # of these: with fewer than MANY, what they save decides
SAVES: Final = 0.2  # of the requests' time: what fewer of them must save together
ALIKE: Final = 0.5  # of the median one: shorter awaits are no like ones
MOST_OF_ONE: Final = 2 / 3  # of like awaits' time: where the longest has more, the others do not matter
GROWS: Final = 1.3  # from pause to pause, of retries
MANY_HOPS: Final = 100  # jobs of one function that a request awaited one after another
HOP_NS: Final = 200_000  # of computing for each of these jobs; more is other work
COLD: Final = 3.0  # times as long as those that follow, and at least so many ms longer
COLD_FIRST: Final = 0.1  # of the requests: more were not only the first
COLD_NS: Final = 20_000_000
COLD_CHANCE: Final = 0.01  # that the first ones are as slow as they are, if they were drawn from those that follow
COLD_AMONG: Final = 10  # requests: with fewer, the first ones cannot be told from the others
TAIL: Final = 95  # the percentile whose chief cause is compared with that of the mean
TAIL_AMONG: Final = 20  # requests
TAIL_SHARE: Final = 0.3  # of the percentile
TAIL_NS: Final = 5_000_000  # of it: less is worth no change of its own


def significant(cause: Cause, mean_ns: float, share: float) -> bool:
    """Return whether so much per request, and of the wall time, makes this cause a reason."""
    return cause.info.is_reason and share >= MIN_SHARE and mean_ns >= MIN_MEAN_NS
