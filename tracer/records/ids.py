"""Span and trace ids, from a stream of random numbers of our own: the host may have seeded the global one."""

from random import Random

_random = Random()  # our own stream: the host may have seeded the global one and count on it


_random_bits = _random.getrandbits


def new_span_id() -> int:
    """A random non-zero 64-bit span id."""
    return _random_bits(64) or 1


def new_trace_id() -> int:
    """A random non-zero 128-bit trace id."""
    return _random.getrandbits(128) or 1


def reseed() -> None:
    """Gives this process its own stream of ids. Called in a forked child."""
    _random.seed()
