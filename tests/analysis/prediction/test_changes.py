"""What a change does to the steps of requests."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.analysis.drawing import drawn
from whywait.analysis.causes import Cause
from whywait.analysis.errors import InputError
from whywait.analysis.pipeline import analyze
from whywait.analysis.prediction.changes import Change, changed
from whywait.analysis.prediction.holds import Recording
from whywait.analysis.prediction.programs import (
    LOCK,
    OWN,
    POOL,
    Give,
    Join,
    Key,
    Load,
    Pause,
    Program,
    Resources,
    Run,
    Start,
    Take,
)
from whywait.analysis.prediction.proposed import options, proposed
from whywait.analysis.prediction.replay import replay
from whywait.analysis.prediction.whatif import whatif
from whywait.analysis.situations.situation import Pattern, Situation

MS = 1e6
ASKS = Program(
    ((Run(1 * MS, True, ("ask",)), Pause(20 * MS, ("ask",)), Run(1 * MS, True, ("ask",)), Pause(30 * MS, ("ask",)), Pause(5 * MS, ("other",))),)
)  # fmt: skip


def felt(change: Change) -> float:
    steps, after = changed([ASKS] * 10, Resources(), Recording(), change)
    return replay(steps, after, Load(1)).felt_ns[0] / MS


@pytest.mark.parametrize(
    ("change", "ms"),
    [
        (Change(), 57), (Change(together=("ask",)), 37), (Change(faster={"ask": 2}), 31), (Change(without=("ask",)), 5),
    ],
)  # fmt: skip
def test_waits_of_a_function_pass_at_once_or_faster_or_not_at_all(change: Change, ms: float) -> None:
    assert felt(change) == pytest.approx(ms)


def test_what_was_computed_around_the_waits_of_a_function_goes_with_it_or_stays() -> None:
    around = Program(((Run(2 * MS, True, (), near=("ask",)), Pause(20 * MS, ("ask",)), Run(3 * MS, True, ("other",))),))
    for near, ms in ((False, 5), (True, 3)):
        steps, after = changed([around] * 10, Resources(), Recording(), Change(without=("ask",)), near=near)
        assert replay(steps, after, Load(1)).felt_ns[0] / MS == pytest.approx(ms)


POOL_OF_ONE: Key = (OWN, "31")
SUBMIT: Key = (LOCK, "thread.py", 30, "lock")


def with_own_pool() -> Program:
    """Makes a pool, hands it two jobs of 10 ms, waits for both, shuts it down."""
    root = (
        Take(SUBMIT), Pause(4 * MS, (), "pool_startup"), Give(SUBMIT), Start(1), Start(2), Join((1, 2)), Pause(2 * MS, (), "pool_shutdown"),
    )  # fmt: skip
    job = (Take(POOL_OF_ONE), Pause(10 * MS, ("work",)), Give(POOL_OF_ONE))
    return Program((root, job, job))


def test_one_pool_for_all_takes_its_starts_and_ends_away_and_makes_a_queue() -> None:
    found = Recording(
        limits={POOL_OF_ONE: 2, SUBMIT: 1}, names={POOL_OF_ONE: {"own"}, SUBMIT: {"submit"}}, submits={SUBMIT}
    )
    resources, load = Resources(found.limits), Load(3)
    before = replay([with_own_pool()] * 90, resources, load)
    # one after another starts a pool (4 ms), the jobs run at once
    assert before.throughput == pytest.approx(1000 * 3 / (10 + 4 + 2), rel=0.05)
    for size in (2, 3, 6):
        steps, after = changed([with_own_pool()] * 90, resources, found, Change(shared={"own": size}))
        assert after.limits[POOL, "own"] == size
        assert replay(steps, after, load).throughput == pytest.approx(1000 * size / (2 * 10), rel=0.05)
    with pytest.raises(InputError, match="no pool that requests make 'work' in this recording; it has: own"):
        changed([with_own_pool()], resources, found, Change(shared={"work": 2}))


@pytest.mark.parametrize("key", [(LOCK, "app.py", 7, "Semaphore.acquire"), ("connections", 3)])
def test_what_is_held_in_a_function_is_given_back_before_it(key: Key) -> None:
    program = Program(
        ((Take(key), Pause(8 * MS, ("query",)), Pause(12 * MS, ("settle",)), Pause(1 * MS, ("query",)), Give(key)),)
    )
    resources, load = Resources({key: 1}), Load(9)
    assert replay([program] * 90, resources, load).throughput == pytest.approx(1000 / 21, rel=0.02)
    steps, after = changed([program] * 90, resources, Recording(), Change(released=("settle",)))
    assert replay(steps, after, load).throughput == pytest.approx(1000 / 8, rel=0.1)
    assert [type(one) for one in steps[0].activities[0]] == [Take, Pause, Give, Pause, Pause]
    # what is taken again later is its own
    twice = Program((program.activities[0] + program.activities[0][:2] + (Give(key),),))
    (again,), _ = changed([twice], resources, Recording(), Change(released=("settle",)))
    assert [type(one) for one in again.activities[0]] == [Take, Pause, Give, Pause, Pause, Take, Pause, Give]


def test_a_function_that_is_not_in_the_recording_is_an_error_that_names_those_that_are() -> None:
    with pytest.raises(InputError, match="no function 'fetch' in this recording; it has: ask, other"):
        felt(Change(together=("fetch",)))


@pytest.mark.parametrize(
    "change", [{"batch": ["job"], "p95_under_ns": -1.0}, {"batch": ["job"], "window_ns": -1.0}, {"shared": {"own": 0}}]
)
def test_a_bound_a_window_or_a_size_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    found = analyze(drawn("server GET |-----|\ntask root |-----| cpu=2"))
    with pytest.raises(InputError, match=r"^expected "):
        whatif(found, **change)


def test_one_request_is_too_few_and_is_no_plural() -> None:
    found = analyze(drawn("server GET |-----|\ntask root |-----| cpu=2"))
    with pytest.raises(InputError, match=r"^cannot predict from 1 request: record at least "):
        whatif(found, clients=2)


@pytest.mark.parametrize(("holder", "option"), [("settle", "--release-before settle"), ("job", ""), ("other", "")])
def test_a_lock_is_not_to_be_larger_but_given_back_sooner_where_its_own_holder_waits(holder: str, option: str) -> None:
    """Not before a job, for which the holder waits in another activity."""
    key = LOCK, "app.py", 7, "Lock.acquire"
    held = Take(key), Pause(8 * MS, ("query",)), Pause(12 * MS, ("settle",)), Give(key)
    found = Recording(programs=[Program((held, (Pause(5 * MS, ("job",)),)))], limits={key: 1}, names={key: {"query"}})
    lock = Pattern(Situation.HOLDERS_WAIT, Cause.LIMITER_WAIT, {"is_lock": True})
    remedy: Any = SimpleNamespace(situation=Situation.HOLDERS_WAIT)
    reason: Any = SimpleNamespace(
        cause=Cause.LIMITER_WAIT, remedy=remedy, culprit=holder, detail="awaiting Lock.acquire in query"
    )
    told: Any = SimpleNamespace(reasons=[reason], situations=[lock])
    change = proposed(told, found)
    assert (options(change) if change else "") == option
    reason.detail, told.situations = "awaiting Semaphore.acquire in query", []
    change = proposed(told, found)
    assert change is not None
    assert options(change) == "--pool query=2"
