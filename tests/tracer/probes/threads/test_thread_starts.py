"""What threads run, known by their numbers beyond their end."""

import functools
import threading
from collections.abc import Callable
from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any

import pytest

import whywait
from tests.tracer.conftest import Traced
from whywait.tracer.host.code_location import Place
from whywait.tracer.hotpath import recorder
from whywait.tracer.hotpath.pools import watch_thread
from whywait.tracer.offcpu.gil_holders import HolderPast
from whywait.tracer.records.gil_holder import HolderSeen
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.thread_names import ThreadLife, ThreadLives
from whywait.tracer.sampler.thread_samples import Held

Begin = Callable[..., Traced]
HERE = Place("hog", "/app/hog.py", 3)
LIBRARY = Place("wait", threading.__file__, 300)


def life(thread_id: int, start_ns: int, function: str = "hog") -> ThreadLife:
    return ThreadLife(start_ns, thread_id, f"thread-{thread_id}", HERE._replace(function=function))


def known() -> dict[int, ThreadLife]:
    assert recorder.active is not None
    return {one.thread_id: one for one in recorder.active.threads}


# --- pure ---------------------------------------------------------------------------------------
def test_who_has_ended_is_remembered_under_its_number() -> None:
    lives = ThreadLives()
    lives.add(life(7, 100, "first"))
    lives.settle({8})
    lives.add(life(7, 200, "second"))
    lives.add(life(9, 150))
    assert [(one.thread_id, one.place.function) for one in lives] == [(7, "first"), (7, "second"), (9, "hog")]


def test_a_number_that_is_used_again_ends_who_had_it() -> None:
    lives = ThreadLives()
    lives.add(life(7, 100, "first"))
    lives.add(life(7, 200, "second"))
    assert [one.place.function for one in lives] == ["first", "second"]


def test_lives_are_bounded() -> None:
    lives = ThreadLives()
    for number in range(30_000):
        lives.add(life(number, number))
        if number % 1_000 == 0:
            lives.settle(())
    assert len(list(lives)) <= 8_192 + 4_096
    assert list(lives)[-1].thread_id == 29_999


def test_a_holder_that_nobody_looked_at_is_what_its_thread_runs() -> None:
    past = HolderPast(lives={7: [life(7, 100, "first"), life(7, 200, "second")]}, names={7: "now"})
    assert [past.at(7, at_ns).name for at_ns in (150, 250)] == ["first", "second"]
    assert past.at(7, 50).name == "thread now"  # before it began
    (holder,) = past.holders([Held(250, 7, 2), Held(260, 0, 2)], 1_000)
    assert (holder.name, holder.place, holder.thread_name, holder.ns) == (
        "second", HERE._replace(function="second"), "thread-7", 500,
    )  # fmt: skip


@pytest.mark.parametrize(("seen_in", "name"), [(HERE._replace(function="inner"), "inner"), (LIBRARY, "hog")])
def test_what_was_seen_goes_before_what_it_began_with(seen_in: Place, name: str) -> None:
    look = HolderSeen(1_000, 7, "thread-7", seen_in)
    assert HolderPast(lives={7: [life(7, 0)]}, awake={7: [look]}).at(7, 1_000).name == name


# --- real threads -------------------------------------------------------------------------------
def by_target(work: Callable[[], None]) -> threading.Thread:
    return threading.Thread(target=work)


def by_partial(work: Callable[[], None]) -> threading.Thread:
    return threading.Thread(target=functools.partial(work))


def by_timer(work: Callable[[], None]) -> threading.Thread:
    return threading.Timer(0, work)


@pytest.mark.parametrize("make", [by_target, by_partial, by_timer])
def test_a_thread_is_known_by_its_function(traced_to: Begin, make: Any) -> None:
    traced_to()
    ids = []

    def work() -> None:
        ids.append(threading.get_native_id())

    before_ns = perf_counter_ns()
    thread = make(work)
    thread.start()
    thread.join()
    found = known()[ids[0]]
    assert found.place.function == "test_a_thread_is_known_by_its_function.<locals>.work"
    assert found.place.file == __file__
    assert before_ns < found.start_ns < perf_counter_ns()
    assert found.thread_name == thread.name


def test_a_thread_with_a_run_of_its_own_is_known_by_that(traced_to: Begin) -> None:
    traced_to()

    class Worker(threading.Thread):
        def run(self) -> None:
            ids.append(threading.get_native_id())

    ids: list[int] = []
    thread = Worker()
    thread.start()
    thread.join()
    assert known()[ids[0]].place.function.endswith("Worker.run")


def test_threads_that_run_already_are_known_and_none_is_kept_alive(traced_to: Begin) -> None:
    stop = threading.Event()

    def waiter() -> None:
        stop.wait()

    thread = threading.Thread(target=waiter)
    thread.start()
    traced_to()
    try:
        found = known()[thread.native_id or 0]
        assert (found.start_ns, found.place.function) == (
            0,
            "test_threads_that_run_already_are_known_and_none_is_kept_alive.<locals>.waiter",
        )
    finally:
        stop.set()
        thread.join()
    assert all(type(part) in (int, str, Place) for one in known().values() for part in one)


def test_a_failing_probe_is_removed_and_the_thread_runs(traced_to: Begin) -> None:
    traced_to()
    assert recorder.active is not None
    recorder.active.threads = SimpleNamespace(settle=lambda alive: None, __iter__=lambda: iter(()))  # type: ignore[assignment]
    ran = []
    thread = threading.Thread(target=ran.append, args=(1,))
    other = threading.Thread(target=lambda: ran.append(2))
    for one in (thread, other):
        one.start()
        one.join()
    assert ran == [1, 2]
    assert recorder.active.lost["probe threads"] == 1
    recorder.active.threads = ThreadLives()
    whywait.stop()


def test_threads_of_no_pool_are_watched_only_while_requests_may_wait_for_them(traced_to: Begin) -> None:
    def started() -> int:
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(threading.get_native_id()))
        thread.start()
        thread.join()
        return found[0]

    traced_to()
    assert recorder.active is not None
    working = recorder.active.working
    assert started() not in working

    @whywait.traced
    def root() -> None:
        thread_id = started()
        assert working[thread_id].thread_id == thread_id
        job = working[thread_id] = Occupancy("a job", 0, 0, None)
        assert watch_thread(thread_id, 5) == ()
        assert working[thread_id] is job  # a worker's job is sampled already
        job.end_ns = 6
        for at in range(7, 30):
            marks = watch_thread(thread_id, at)
        assert working[thread_id].start_ns == 29
        assert [at for at, _ in marks] == list(range(14, 30))  # the latest
        assert [cpu for _, cpu in marks] == sorted(cpu for _, cpu in marks)

    root()
