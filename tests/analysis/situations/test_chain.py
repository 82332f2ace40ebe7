"""What holders did is followed to the end of the chain; the parts sum to the wait."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whywait.analysis.causes import Cause, Evidence
from whywait.analysis.situations.holders.chain import meanwhile
from whywait.analysis.situations.holders.holders import Holders
from whywait.analysis.situations.holders.what_holders_did import FOLLOWED

POOL, LOCK = "pool 'four' (4 workers)", "Lock made at db.py:7"


def holders(*rows: tuple[Cause, str, str, str, float]) -> Holders:
    """Rows of: the wait, its detail, what its holders did, the detail of that, and their ms."""
    table = pd.DataFrame(rows, columns=["cause", "detail", "did", "doing", "ns"])
    return Holders(table.assign(endpoint="GET /", evidence=str(Evidence.OBSERVED), ns=table["ns"] * 1e6))


def told(table: Holders, wait_ns: int = 1_000) -> dict[str, int]:
    sums: dict[str, int] = {}
    for part in meanwhile(table, "GET /", Cause.POOL_QUEUE, wait_ns):
        sums[str(part.cause or "")] = sums.get(str(part.cause or ""), 0) + part.ns
    return sums


def test_the_holders_of_what_the_holders_wait_for_are_followed() -> None:
    # the workers wait for a lock for 60% of the time; who has that waits for the GIL for three quarters of it
    table = holders(
        (Cause.POOL_QUEUE, POOL, Cause.LOCK_WAIT, LOCK, 60), (Cause.POOL_QUEUE, POOL, Cause.COMPUTE, "score", 40),
        (Cause.LOCK_WAIT, LOCK, Cause.GIL_WAIT, "waiting for the GIL", 30), (Cause.LOCK_WAIT, LOCK, Cause.COMPUTE, "x", 10),
    )  # fmt: skip
    assert told(table) == {"gil_wait": 450, "compute": 550}
    parts = meanwhile(table, "GET /", Cause.POOL_QUEUE, 1_000)
    assert {part.evidence for part in parts if part.cause is Cause.GIL_WAIT} == {Evidence.INFERRED}  # of others' waits


def test_a_chain_that_comes_back_to_its_beginning_ends_there() -> None:
    table = holders(
        (Cause.POOL_QUEUE, POOL, Cause.LOCK_WAIT, LOCK, 100),
        (Cause.LOCK_WAIT, LOCK, Cause.POOL_QUEUE, POOL, 100),
    )  # fmt: skip
    assert told(table) == {"pool_queue": 1_000}


def test_what_is_not_known_of_the_holders_stays_unknown() -> None:
    table = holders((Cause.POOL_QUEUE, POOL, Cause.COMPUTE, "score", 25), (Cause.POOL_QUEUE, POOL, "", "", 75))  # type: ignore[arg-type]
    assert told(table) == {"compute": 250, "": 750}
    assert told(holders((Cause.POOL_QUEUE, POOL, "", "", 75))) == {}  # type: ignore[arg-type]


@pytest.mark.parametrize(("unknown_ms", "followed"), [(5, True), (400, False)])
def test_a_moment_of_the_next_holders_says_nothing_of_the_chain(unknown_ms: float, *, followed: bool) -> None:
    table = holders(
        (Cause.POOL_QUEUE, POOL, Cause.LOCK_WAIT, LOCK, 100), (Cause.LOCK_WAIT, LOCK, Cause.CPU_WAIT, "", 40),
        (Cause.LOCK_WAIT, LOCK, "", "", unknown_ms),  # type: ignore[arg-type]
    )  # fmt: skip
    assert told(table) == {"cpu_wait" if followed else "lock_wait": 1_000}


ROWS = st.tuples(
    st.sampled_from(FOLLOWED), st.sampled_from("ab"), st.sampled_from([*FOLLOWED, Cause.GIL_WAIT, Cause.COMPUTE, ""]),
    st.sampled_from("ab"), st.floats(0.001, 1e6),
)  # fmt: skip


@given(st.lists(ROWS, min_size=1, max_size=25), st.integers(1, 10**12))
def test_the_parts_of_any_chain_sum_to_the_wait(rows: list[tuple[Cause, str, str, str, float]], wait_ns: int) -> None:
    parts = meanwhile(holders(*rows), "GET /", Cause.POOL_QUEUE, wait_ns)
    assert sum(part.ns for part in parts) == (wait_ns if parts else 0)
    assert all(part.ns > 0 for part in parts)


@pytest.mark.parametrize("wait_ns", [1, 3])
def test_a_wait_of_a_few_ns_is_divided_too(wait_ns: int) -> None:
    table = holders(
        *((Cause.POOL_QUEUE, POOL, cause, "", 1.0) for cause in (Cause.COMPUTE, Cause.GIL_WAIT, Cause.CPU_WAIT))
    )
    assert sum(told(table, wait_ns).values()) == wait_ns
