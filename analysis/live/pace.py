"""How a follower goes easy on the machine: how long it rests between turns, and that the service goes first."""

import os
from typing import Final

_REST_PER_WORK: Final = 4.0  # at most a fifth of a core, however much is written
LONGEST_S: Final = 30.0
_NICER: Final = 10


def rest_s(turn_s: float, worked_s: float) -> float:
    """Return how long to wait after a turn that took `worked_s`, when there is one every `turn_s`."""
    return min(max(turn_s - worked_s, worked_s * _REST_PER_WORK), LONGEST_S)


def yield_to_others() -> None:
    """Asks the kernel to prefer every ordinary process to this one, where it can be asked."""
    try:
        os.nice(_NICER)
    except (AttributeError, OSError):
        return
