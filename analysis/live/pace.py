"""How a follower goes easy on the machine: how long it rests between turns, and that the service goes first."""

import os
from typing import Final

_REST_PER_WORK: Final = 4.0  # at most a fifth of a core at any volume of traces
LONGEST_S: Final = 30.0
LONGEST_WINDOW_S: Final = 600  # over which requests are counted together
_NICER: Final = 10


def rest_s(turn_s: float, worked_s: float) -> float:
    """Return the seconds to sleep after a round that took `worked_s`, when a round is due every `turn_s`."""
    return min(max(turn_s - worked_s, worked_s * _REST_PER_WORK), LONGEST_S)


def yield_to_others() -> None:
    """Asks the kernel to prefer every ordinary process to this one, where it can be asked."""
    try:
        os.nice(_NICER)
    except (AttributeError, OSError):
        return
