"""Ids of spans, traces and pools."""

from itertools import count
from random import Random

_random = Random()  # our own stream: the host may have seeded the global one and count on it
_random_bits = _random.getrandbits
new_pool_id = count(1).__next__  # of this process, over all of its sessions


def new_span_id() -> int:
    """A random non-zero 64-bit span id."""
    return _random_bits(64) or 1


def new_trace_id() -> int:
    """A random non-zero 128-bit trace id."""
    return _random.getrandbits(128) or 1


def reseed() -> None:
    """Gives this process its own stream of ids. Called in a forked child."""
    _random.seed()
