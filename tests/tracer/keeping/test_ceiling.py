"""A burst of slow requests costs a bounded share of a core, and what is kept of it still stands for all of it."""

from math import log
from random import Random
from statistics import fmean, stdev

from whywait.tracer.config import KEEP_SLOW, MS_NS, Config
from whywait.tracer.keeping.tail_sampling import FEWEST, Keeper

MOST = 10
ENDPOINT = "GET /"
Request = tuple[float, int]  # when it ended, in s, and how long it took


class Burst:
    """A keeper at a clock of its own, which knows its endpoint."""

    def __init__(self, seed: int, most: int = MOST) -> None:
        self.now_s = 0.0
        settings = Config(keep=KEEP_SLOW, slow_ns=100 * MS_NS, keep_share=0.2, keep_per_s=most)
        self.keeper = Keeper(settings, Random(seed), lambda: self.now_s)

    def weights(self, requests: list[Request], *, error: bool = False) -> list[float]:
        """The weight of each request; 0 of those that are dropped."""
        found = []
        for self.now_s, wall_ns in requests:
            found.append(self.keeper.decide(ENDPOINT, wall_ns, error=error).weight)
        return found


def burst(seconds: int, per_s: int) -> list[Request]:
    """Requests that are the slower the later they come, every second one below what is slow."""
    return [(number / per_s, (120 + number) * MS_NS if number % 2 else 20 * MS_NS) for number in range(seconds * per_s)]


def test_what_is_kept_is_bounded_in_each_second_of_a_burst() -> None:
    for error in (False, True):
        requests = burst(seconds=6, per_s=1_000)
        weights = Burst(1).weights(requests, error=error)
        kept = [0] * 6
        for (at_s, _), weight in zip(requests, weights, strict=True):
            kept[int(at_s)] += weight > 0
        first = MOST * (1 + log(1_000 / MOST))
        assert kept[0] < 1.5 * first, kept
        assert max(kept[1:]) < 2.5 * MOST, kept
        assert sum(kept) > 6 * MOST / 2, kept


def test_weighted_sums_are_unbiased_below_the_ceiling() -> None:
    requests = burst(seconds=3, per_s=150)
    rounds = [Burst(seed).weights(requests) for seed in range(400)]
    walls = [wall_ns for _, wall_ns in requests]
    for truth, values in ((len(walls), [1] * len(walls)), (sum(walls), walls)):
        sums = [sum(weight * value for weight, value in zip(one, values, strict=True)) for one in rounds]
        assert abs(fmean(sums) - truth) < 4 * stdev(sums) / len(sums) ** 0.5
        assert stdev(sums) < truth / 4  # nor does one request stand for most


def test_a_quiet_service_keeps_every_slow_request() -> None:
    quiet = [(number / 4, 200 * MS_NS) for number in range(200)]
    assert Burst(1).weights(quiet) == [1.0] * 200


def test_without_a_ceiling_every_slow_request_is_kept() -> None:
    requests = [(0.0, 200 * MS_NS)] * (10 * MOST)
    assert Burst(1, most=0).weights(requests) == [1.0] * len(requests)
    assert sum(weight > 0 for weight in Burst(1).weights(requests)) < len(requests) / 2


def test_an_endpoint_does_not_spend_what_another_may_keep() -> None:
    one = Burst(1)
    one.weights([(0.0, 200 * MS_NS)] * 500)
    assert [one.keeper.decide("GET /other", 200 * MS_NS, error=False).weight for _ in range(MOST)] == [1.0] * MOST


def test_the_first_requests_of_an_endpoint_are_kept_whatever_their_number() -> None:
    keeper = Keeper(Config(keep=KEEP_SLOW, keep_per_s=1), Random(1), lambda: 0.0)
    assert all(keeper.decide(ENDPOINT, MS_NS, error=False).weight == 1.0 for _ in range(FEWEST))
