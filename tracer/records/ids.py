"""Ids of spans, traces and pools."""

from itertools import count
from random import Random

_random = Random()  # a stream of its own: the host may have seeded the global one
random_bits = _random.getrandbits
new_pool_id = count(1).__next__  # unique in this process, over all sessions


def new_span_id() -> int:
    """Return a random non-zero 64-bit span id."""
    return random_bits(64) or 1


def new_trace_id() -> int:
    """Return a random non-zero 128-bit trace id."""
    return _random.getrandbits(128) or 1


def reseed() -> None:
    """Give this process a stream of ids of its own. Called in a forked child."""
    _random.seed()
