"""The watchdog's look at who holds the GIL: named, and not kept alive."""

import gc
import sys
import threading
import time
from collections import deque
from types import SimpleNamespace
from typing import Any
from weakref import ref

import pytest

from whywait.tracer.config import Config
from whywait.tracer.host.code_location import Place
from whywait.tracer.hotpath.recorder import Recorder
from whywait.tracer.probes.stacks import watchdog
from whywait.tracer.probes.stacks.watchdog import _Holders, _Pace, _Seen
from whywait.tracer.records.gil_holder import HolderSeen
from whywait.tracer.records.loop import Sample
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.request import Request


@pytest.fixture(autouse=True)
def no_clock_of_this_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog's thread has a file for it, which is closed with the thread."""
    monkeypatch.setattr(watchdog, "run_queue_ns", lambda: 0)


def test_a_thread_that_was_looked_at_is_let_go() -> None:
    """An executor's manager thread that lives on as an object is woken by each forked worker's exit."""
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait, name="the holder")
    thread.start()
    looks: deque[HolderSeen] = deque()
    sampler = SimpleNamespace(header=lambda: SimpleNamespace(waited_for=holder_id))
    holder_id = thread.native_id
    recorder: Any = SimpleNamespace(sampler=sampler, looks=looks, working={})
    holders = _Holders(recorder)
    holders.look()
    assert [one.thread_name for one in looks] == ["the holder"]
    leave.set()
    thread.join()
    gone = ref(thread)
    del thread
    gc.collect()
    assert gone() is None
    recorder.working[holder_id] = Occupancy("", 0, 0, None)
    holders.look()  # its number names nobody any more
    assert len(looks) == 1
    assert not recorder.working


def test_a_holder_in_a_collection_is_not_inside_a_call_that_a_probe_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """C code that makes objects gives the GIL back only in our callback of a collection: what it ran is seen."""
    inside: list[tuple[bool, tuple[str, str]]] = []
    ours: dict[str, Any] = {"look": lambda: watchdog._begin(inside, sys._getframe(1))}
    exec(compile("def probe(*_): look()", "/ours/probe.py", "exec"), ours)
    monkeypatch.setattr(watchdog, "is_ours", lambda filename: filename.startswith("/ours"))
    ours["probe"]()
    monkeypatch.setattr(gc, "callbacks", [ours["probe"]])
    ours["probe"]()
    assert [is_inside for is_inside, _ in inside] == [True, False]


def test_the_jobs_that_run_long_are_looked_at_in_turn_at_growing_intervals() -> None:
    recorder: Any = SimpleNamespace(sampler=None, looks=deque(), working={})
    holders, long_ns, now_ns = _Holders(recorder), watchdog._LONG_NS, time.perf_counter_ns()
    for number in range(1, 11):
        job = recorder.working[number] = Occupancy("job", 0, 0, None)
        job.thread_id, job.start_ns = number, now_ns - long_ns
    recorder.working[10].end_ns = now_ns
    recorder.working[9].start_ns = now_ns  # it has just begun
    seen = [holders._long_jobs(now_ns + turn) for turn in range(4)]
    assert [len(one) for one in seen] == [2, 2, 2, 2]
    assert set().union(*seen) == set(range(1, 9))
    assert list(recorder.working) == list(range(1, 10))  # what has ended is forgotten
    assert holders._long_jobs(now_ns + 4) == []
    later_ns = now_ns + long_ns  # as long again: the first are due, and the one that was short
    assert 9 in holders._long_jobs(later_ns)


@pytest.mark.parametrize(("looked_at", "told"), [(7, "parse"), (6, "here")], ids=["this run", "an earlier one"])
def test_what_a_collection_showed_of_c_code_counts_as_a_look(looked_at: int, told: str) -> None:
    def here() -> None:
        _Seen(7, loop.sample).look(loop, 20_000_000)

    before = looked_at, Sample(Place("parse", "service.py", 3), None)
    loop: Any = SimpleNamespace(
        thread_id=threading.get_ident(), native_id=threading.get_native_id(), run_start_ns=7, sample=before
    )
    here()
    run_start_ns, sample = loop.sample
    assert (run_start_ns, sample.place.function.rsplit(".", 1)[-1]) == (7, told)


@pytest.mark.parametrize(
    ("age_ns", "told"), [(2_000_000_000, "parse"), (12_000_000, "here")], ids=["late, as behind C code", "in time"]
)
def test_where_the_first_look_comes_in_time_a_collection_before_it_tells_nothing(age_ns: int, told: str) -> None:
    """Who makes objects is met by each collection, whatever else ran."""

    def here() -> None:
        watchdog._look_at_loops(recorder, pace, holders, {})

    run_start_ns = time.perf_counter_ns() - age_ns
    loop: Any = SimpleNamespace(
        thread_id=threading.get_ident(), native_id=threading.get_native_id(), run_start_ns=run_start_ns,
        running_since_ns=lambda: run_start_ns, sample=(run_start_ns, Sample(Place("parse", "service.py", 3), None)),
    )  # fmt: skip
    recorder: Any = SimpleNamespace(loops=[loop])
    pace: Any = SimpleNamespace(interval_ns=10_000_000, work_goes_on=lambda: None)
    holders: Any = SimpleNamespace(note=lambda *_: None)
    here()
    assert loop.sample[1].place.function.rsplit(".", 1)[-1] == told


@pytest.mark.parametrize(("late_ms", "looks"), [(0.1, True), (3, False), (5.1, True)])
def test_no_look_where_the_gil_was_given_back_by_itself(
    late_ms: float, looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the send at a callback's end: that is not where it computed while the watchdog waited."""
    looked: list[Any] = []
    rounds = iter([True, False])
    monkeypatch.setattr(watchdog, "_look_at_loops", lambda *_: looked.append(True))
    pace: Any = SimpleNamespace(late_ns=int(late_ms * 1e6), interval_ns=10_000_000, sleep=lambda: next(rounds))
    recorder: Any = SimpleNamespace(loops=[], unsent=deque(), sampler=None, looks=deque(), working={})
    watchdog._watch(recorder, pace)
    assert bool(looked) is looks


def test_a_long_callback_has_the_part_of_the_time_in_which_it_computed() -> None:
    loop: Any = SimpleNamespace(
        thread_id=threading.get_ident(), native_id=threading.get_native_id(), run_start_ns=7, sample=None
    )
    computes, sleeps = _Seen(7, None), _Seen(7, None)
    computes.look(loop, 0)
    assert loop.sample[1].cpu_share is None  # one look sees no time pass
    began, cpu_s = time.perf_counter_ns(), time.thread_time()
    while time.thread_time() < cpu_s + 0.02:
        pass
    computes.look(loop, took_ns := time.perf_counter_ns() - began)
    assert loop.sample[1].cpu_share == pytest.approx(min(0.02e9 / took_ns, 1.0), rel=0.2)
    sleeps.look(loop, 0)
    time.sleep(0.02)
    sleeps.look(loop, 20_000_000)
    assert loop.sample[1].cpu_share < 0.2


def test_a_callback_that_ends_while_its_call_is_asked_for_has_its_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """To read the call releases the GIL: a loop that was in C code with the GIL ends its callback then."""
    loop: Any = SimpleNamespace(
        thread_id=threading.get_ident(), native_id=threading.get_native_id(), run_start_ns=7, sample=None
    )
    told: list[Any] = []

    def ends(_: int) -> str:
        told.append(loop.sample)  # what the end of the callback takes over
        loop.run_start_ns = 8
        return "read"

    monkeypatch.setattr(watchdog, "_sleeps_in", ends)
    _Seen(7, None).look(loop, 20_000_000)
    ((run_start_ns, sample),) = told
    assert run_start_ns == 7
    assert sample.place.function.endswith("has_its_function")
    assert loop.sample == told[0], "the call is another callback's"


def test_any_thread_of_ours_may_look_at_the_loops_while_it_runs() -> None:
    recorder = Recorder(Config(watchdog_interval_s=20.0))
    session: Any = SimpleNamespace(recorder=recorder)
    undo = watchdog.install(session)
    assert undo is not None
    deadline_s = time.monotonic() + 10
    while recorder.look_at_loops is None and time.monotonic() < deadline_s:
        time.sleep(0.001)
    look = recorder.look_at_loops
    assert look is not None
    loop: Any = SimpleNamespace(
        thread_id=threading.get_ident(), native_id=threading.get_native_id(), sample=None,
        run_start_ns=time.perf_counter_ns() - 20_000_000,
    )  # fmt: skip
    loop.running_since_ns = lambda: loop.run_start_ns
    recorder.loops.append(loop)
    look()
    assert loop.sample[1].place.function.endswith("while_it_runs")
    recorder.loops.clear()
    undo()
    assert recorder.look_at_loops is None


def test_it_rests_without_requests_until_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_REST_S", 20.0)
    recorder = Recorder(Config())
    pace = _Pace(recorder, 0.01)
    start_s = time.monotonic()
    assert pace.sleep()  # it has just started
    assert time.monotonic() - start_s < 5
    monkeypatch.setattr(watchdog, "_REST_AFTER_NS", 0)
    ends: list[float] = []

    def rest() -> None:
        assert pace.sleep()
        ends.append(time.monotonic())

    thread = threading.Thread(target=rest)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    begun_s = time.monotonic()
    recorder.begin(Request(1, 1, 1, 0, 10, None))
    thread.join()
    assert ends[0] - begun_s < 5
    assert recorder.ring is None
    pace.stop()
    assert not pace.sleep()


@pytest.mark.parametrize("queued_ns", [0, None])
def test_it_is_late_only_where_the_kernel_tells_what_it_waited_for(
    monkeypatch: pytest.MonkeyPatch, queued_ns: int | None
) -> None:
    monkeypatch.setattr(watchdog, "run_queue_ns", lambda: queued_ns)
    pace = _Pace(Recorder(Config()), 0.01)
    try:
        assert pace.sleep()
        assert (pace.late_ns != 0) is (queued_ns is not None)  # some µs at least
    finally:
        pace.stop()
        pace.close()
