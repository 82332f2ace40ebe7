"""What is remembered of a pool: the same as if its whole history were looked through."""

from bisect import insort
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, pairwise

from hypothesis import given
from hypothesis import strategies as st

from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.request import Pool
from whywait.tracer.schema import OCCUPANT_LIMIT
from whywait.tracer.spans.pools.history import PoolPast
from whywait.tracer.spans.pools.shares import Share, by_trace, parts

# where else requests were open: when each began, and how long it lasted
WINDOWS = st.lists(st.tuples(st.integers(0, 90), st.integers(0, 40)), max_size=4)
HOLDS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 40), st.integers(1, 3)), max_size=40)


def pool_of(holds: list[tuple[int, int, int]]) -> Pool:
    """Each hold: when it began, how long it lasted (0: it still does), and on which thread."""
    pool = Pool(1, "pool", 2, 0, None)
    for number, (start_ns, length_ns, thread_id) in enumerate(holds):
        one = Occupancy(f"job {number}", 1, number + 1, None)
        one.start_ns, one.end_ns, one.thread_id = (start_ns, start_ns + length_ns if length_ns else 0, thread_id)
        pool.occupancies.append(one)
    return pool


def past_of(windows: list[tuple[int, int]], start_ns: int, end_ns: int) -> PoolPast:
    """That of requests in these windows and in one that begins with a stretch, which may end before it."""
    return PoolPast([*((begin, begin + length) for begin, length in windows), (start_ns, end_ns)])


def occupant_shares(
    start_ns: int, end_ns: int, occupancies: Iterable[Occupancy], exclude_span_id: int
) -> tuple[list[Share], int]:
    """The occupants' shares of one stretch alone, longest first, and the rest without a known occupant."""
    held = [
        (max(one.start_ns, start_ns), min(one.end_ns or end_ns, end_ns), one)
        for one in occupancies
        if 0 < one.start_ns < end_ns and not 0 < one.end_ns <= start_ns and not one.span_id == exclude_span_id != 0
    ]
    shares = _divided([(begin, end) for begin, end, _ in held], start_ns, end_ns)
    ranked = [Share(held[index][2], ns) for index, ns in shares.items()]
    return sorted(ranked, key=lambda share: -share.ns), end_ns - start_ns - sum(shares.values())


def _divided(held: Sequence[tuple[int, int]], start_ns: int, end_ns: int) -> dict[int, int]:
    borders = sorted({start_ns, end_ns, *chain.from_iterable(held)})
    coming = sorted(range(len(held)), key=lambda index: held[index][0], reverse=True)
    active: list[int] = []  # few: as many as there are workers
    shares: dict[int, int] = {}
    for begin, end in pairwise(borders):
        while coming and held[coming[-1]][0] <= begin:
            insort(active, coming.pop())
        active = [index for index in active if held[index][1] > begin]
        for index, ns in zip(active, parts(end - begin, len(active)), strict=True):
            shares[index] = shares.get(index, 0) + ns
    return shares


@given(HOLDS, st.integers(0, 60), st.integers(1, 40), WINDOWS)
def test_nobody_who_held_a_worker_is_forgotten(
    holds: list[tuple[int, int, int]], start_ns: int, length_ns: int, windows: list[tuple[int, int]]
) -> None:
    pool, end_ns = pool_of(holds), start_ns + length_ns
    past = past_of(windows, start_ns, end_ns)
    found = past.held(pool, start_ns, end_ns)
    assert found == sorted(found, key=lambda one: one.start_ns)
    overlapping = [
        one for one in pool.occupancies if one.start_ns < end_ns and (not one.end_ns or one.end_ns > start_ns)
    ]
    assert {one.span_id for one in overlapping} <= {one.span_id for one in found}
    shares, other_ns = occupant_shares(start_ns, end_ns, found, 0)
    plain_shares, plain_other_ns = occupant_shares(start_ns, end_ns, pool.occupancies, 0)
    assert other_ns == plain_other_ns
    assert sum(one.ns for one in shares) == sum(one.ns for one in plain_shares)
    assert {one.occupant.span_id for one in shares} == {one.occupant.span_id for one in plain_shares}


@given(HOLDS, st.integers(0, 60), st.integers(1, 60), st.integers(0, 26), st.integers(1, 26), WINDOWS)
def test_shares_are_those_of_the_stretch_alone(
    holds: list[tuple[int, int, int]],
    start_ns: int,
    length_ns: int,
    own_id: int,
    traces: int,
    windows: list[tuple[int, int]],
) -> None:
    """Divided once for all that are asked, or for this one alone: to the nanosecond, in the same order."""
    pool, end_ns = pool_of(holds), start_ns + length_ns
    for number, one in enumerate(pool.occupancies):
        one.trace_id, one.name = number % traces, "job"
    past = past_of(windows, start_ns, end_ns)
    expected, other_ns = occupant_shares(start_ns, end_ns, past.held(pool, start_ns, end_ns), own_id)
    if len(expected) > OCCUPANT_LIMIT:
        expected = by_trace(expected)
    for _ in range(2):  # what was asked before changes nothing
        assert past.shares(pool, start_ns, end_ns, own_id) == (expected, other_ns)
        past.shares(pool, start_ns + 1, end_ns + 7)


@given(HOLDS, st.integers(0, 60), st.integers(1, 60), st.integers(2, 4), WINDOWS, st.integers(0, 9))
def test_a_pool_was_full_until_the_last_moment_at_which_all_had_a_job(
    holds: list[tuple[int, int, int]],
    start_ns: int,
    length_ns: int,
    size: int,
    windows: list[tuple[int, int]],
    later: int,
) -> None:
    pool, end_ns = pool_of(holds), start_ns + length_ns
    pool.size = size
    full = [
        ns
        for ns in range(start_ns, end_ns)
        if sum(one.start_ns <= ns and (not one.end_ns or one.end_ns > ns) for one in pool.occupancies) >= size
    ]
    expected = full[-1] + 1 if full else start_ns
    past = past_of(windows, start_ns, max(start_ns, end_ns - later))  # a job may outlive its request
    assert past.full_until(pool, start_ns, end_ns) == expected


@given(
    st.lists(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 20)), max_size=6), min_size=1, max_size=4),
    st.integers(0, 40), st.integers(1, 40),
)  # fmt: skip
def test_a_worker_that_works_is_not_free_and_the_next_to_begin_is(
    workers: list[list[tuple[int, int]]], start_ns: int, length_ns: int
) -> None:
    """Each worker: for how long it was free, and then worked, several times."""
    runs = [
        (end - worked, worked, thread_id)
        for thread_id, one in enumerate(workers, 1)
        for (_, worked), end in zip(one, accumulate(free + worked for free, worked in one), strict=True)
    ]

    def begins(at: int) -> list[tuple[int, int]]:
        """When who is free will begin, the next one first."""
        busy = {thread_id for begin, worked, thread_id in runs if begin <= at < begin + worked}
        return sorted((begin, who) for begin, _, who in runs if begin > at and who not in busy)

    found, at = PoolPast().free(pool_of(runs), start_ns, start_ns + length_ns), start_ns
    for thread_id, since, until in found:
        begin, _ = begins(since)[0]
        assert (since, until) == (at, min(begin, start_ns + length_ns))
        assert (begin, thread_id) in begins(since)
        at = until
    assert at == start_ns + length_ns or not begins(at)
