"""Drawn decisions: requests as (arrived at, rows), the policy joins up to 10 rows for up to 2 s."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo_service.batcher import Decision, Policy, Waiting, decide

POLICY = Policy(max_wait_s=2, max_rows=10)


@pytest.mark.parametrize(
    ("queue", "now_s", "closing", "decision"),
    [
        ([], 5, False, Decision(0, None)),  # nobody: sleep until somebody comes
        ([], 5, True, Decision(0, None)),
        ([(0, 7)], 0, False, Decision(0, 2)),  # alone and fresh: the whole wait is left
        ([(0, 7)], 1.5, False, Decision(0, 0.5)),
        ([(0, 7)], 2, False, Decision(1, None)),  # due
        ([(0, 3), (1.9, 3)], 2, False, Decision(2, None)),  # the oldest is due, the young goes along
        ([(0, 5), (0, 5)], 0, False, Decision(2, None)),  # exactly full: no reason to wait
        ([(0, 5), (0, 4)], 0, False, Decision(0, 2)),
        ([(0, 5), (0, 6)], 0, False, Decision(1, None)),  # the second would overflow: it stays
        ([(0, 64)], 0, False, Decision(1, None)),  # larger than a batch: goes alone, whole
        ([(0, 1), (0, 64)], 0, False, Decision(1, None)),
        ([(0, 1)], 0, True, Decision(1, None)),  # closing waits for nobody
    ],
)
def test_decisions(queue: list[tuple[float, int]], now_s: float, closing: bool, decision: Decision) -> None:
    waiting = [Waiting(since_s, rows) for since_s, rows in queue]
    assert decide(waiting, now_s, POLICY, closing=closing) == decision


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 64)), min_size=1, max_size=30))
def test_a_batch_keeps_both_bounds(arrivals: list[tuple[float, int]]) -> None:
    waiting = [Waiting(since_s, rows) for since_s, rows in sorted(arrivals)]
    decision = decide(waiting, 3.0, POLICY)
    rows = sum(one.rows for one in waiting[: decision.flush])
    if decision.flush:
        assert rows <= POLICY.max_rows or decision.flush == 1
    else:
        assert decision.wait_s == pytest.approx(waiting[0].since_s + POLICY.max_wait_s - 3.0)
        assert rows < POLICY.max_rows
