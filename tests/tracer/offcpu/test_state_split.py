"""Pure decisions about blocked time: how samples divide it, and who is said to have held the GIL."""

from collections import Counter

import pytest

from whywait.tracer.host.code_location import Place
from whywait.tracer.offcpu.gil_holders import HolderPast
from whywait.tracer.offcpu.state_split import Memory
from whywait.tracer.records.gil_holder import HolderSeen
from whywait.tracer.records.loop import Callback
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.thread_names import ThreadLife
from whywait.tracer.sampler.shared.thread_records import CALL, FUTEX, GIL, RUNNING, SLEEP
from whywait.tracer.sampler.thread_samples import Held, Stay
from whywait.tracer.spans.run_spans import without

MS = 1_000_000


def states(**counts: int) -> "Counter[int]":
    numbers = {"running": RUNNING, "gil": GIL, "futex": FUTEX, "sleep": SLEEP, "call": CALL}
    return Counter({numbers[name]: count for name, count in counts.items()})


def test_blocked_time_is_divided_as_its_samples_are() -> None:
    split = Memory().split("kind", 100 * MS, states(running=50, gil=60, futex=30, call=10), running=False)
    assert (split.gil_ns, split.lock_ns, split.call_ns) == (60 * MS, 30 * MS, 10 * MS)
    assert split.samples == 100
    assert 0 < split.error_ns < 10 * MS


def test_time_that_holds_running_too_is_divided_by_all_samples() -> None:
    split = Memory().split("kind", 100 * MS, states(running=50, gil=50), running=True)
    assert split.gil_ns == 50 * MS


def test_without_samples_nothing_is_said() -> None:
    split = Memory().split("kind", 100 * MS, states(), running=False)
    assert (split.gil_ns, split.lock_ns, split.call_ns, split.enough) == (0, 0, 0, False)
    assert not Memory().split("kind", 100 * MS, states(gil=1), running=False).enough


def test_short_work_borrows_from_work_of_its_kind_only() -> None:
    memory = Memory()
    for _ in range(10):
        memory.split("predict", 5 * MS, states(gil=9, sleep=1), running=False)
    known = memory.split("predict", 10 * MS, states(), running=False)
    assert known.gil_ns == pytest.approx(9 * MS)
    assert known.error_ns > 0
    assert memory.split("read", 10 * MS, states(), running=False).gil_ns == 0


def test_many_own_samples_outweigh_what_was_borrowed() -> None:
    memory = Memory()
    memory.split("kind", MS, states(gil=1_000), running=False)
    split = memory.split("kind", 100 * MS, states(sleep=200), running=False)
    assert split.call_ns > 95 * MS
    assert split.gil_ns < 5 * MS


def test_memory_is_bounded_and_follows_the_present() -> None:
    memory = Memory()
    for number in range(5_000):
        memory.split(("kind", number), MS, states(gil=1), running=False)
    assert len(memory._kinds) <= 2_000
    for _ in range(100):
        memory.split("shifting", MS, states(gil=100), running=False)
    for _ in range(200):
        memory.split("shifting", MS, states(sleep=100), running=False)
    assert memory.split("shifting", 100 * MS, states(), running=False).call_ns > 90 * MS


@pytest.mark.parametrize(
    ("away", "left"),
    [
        ([], [(0, 100)]),
        ([(10, 20)], [(0, 10), (20, 100)]),
        ([(0, 50), (40, 60)], [(60, 100)]),
        ([(-10, 10), (90, 200)], [(10, 90)]),
        ([(0, 100)], []),
        ([(150, 160)], [(0, 100)]),
    ],
)
def test_what_is_left_of_a_stretch(away: list[tuple[int, int]], left: list[tuple[int, int]]) -> None:
    assert without(0, 100, away) == left


def job(name: str, start_ns: int, end_ns: int, trace_id: int) -> Occupancy:
    made = Occupancy(name, trace_id, trace_id + 1, None)
    made.start_ns, made.end_ns = start_ns, end_ns
    return made


def test_holders_are_named_by_what_their_thread_did_then() -> None:
    here = Place("crunch", "/srv/app.py", 12)
    past = HolderPast(
        jobs={7: [job("predict", 0, 50, 1), job("rank", 60, 100, 2)]},
        callbacks={8: [Callback(0, 100, 100, 1, 3, 4, None, None, None)]},
        awake={9: [HolderSeen(40, 9, "crunching", here)], 10: [HolderSeen(40, 10, "whywait-export", here)]},
    )
    seen = [Held(10, 7, 4), Held(70, 7, 2), Held(20, 8, 1), Held(41, 9, 1), Held(42, 10, 1), Held(50, 0, 1)]
    holders = past.holders(seen, 100)
    assert [(one.name, one.ns, one.trace_id) for one in holders] == [
        ("predict", 40, 1), ("rank", 20, 2), ("a callback", 10, 3), ("crunch", 10, 0),
        ("whywait's own work", 10, 0),
    ]  # fmt: skip
    assert holders[3].place == here
    assert holders[3].thread_name == "crunching"
    assert sum(one.ns for one in holders) == 90  # one of ten samples could not be told


def test_a_job_that_had_ended_is_not_the_holder() -> None:
    past = HolderPast(jobs={7: [job("predict", 0, 50, 1)]})
    (holder,) = past.holders([Held(55, 7, 1)], 10)
    assert holder.name == "thread 7"


@pytest.mark.parametrize(("file", "name"), [("/v/site-packages/aiosqlite/core.py", "near"), ("/srv/app.py", "km")])
def test_what_a_librarys_thread_runs_for_the_user_has_his_name(file: str, name: str) -> None:
    handed = job("Connection._execute", 0, 50, 1)
    handed.place = Place("near", "/srv/app.py", 32)
    looks = [HolderSeen(20, 7, "Thread-1", Place("km" if name == "km" else "_connection_worker_thread", file, 63))]
    (holder,) = HolderPast(jobs={7: [handed]}, awake={7: looks}).holders([Held(20, 7, 1)], 10)
    assert (holder.name, holder.trace_id) == (name, 1)


@pytest.mark.parametrize(
    ("seen", "name"),
    [
        ([Held(100, 7, 4, 150), Held(155, 7, 4, 190)], "parse"),  # nothing else could run until 190 ms
        ([Held(100, 7, 4, 150), Held(155, 8, 4, 190)], "watch"),
        ([Held(100, 7, 4, 110)], "watch"),
    ],
    ids=["kept it", "another had it then", "may have given it back"],
)
def test_c_code_that_keeps_the_gil_is_sampled_as_it_ends(seen: list[Held], name: str) -> None:
    """As `pickle.loads` of much does, in a thread of the user's."""
    parse, watch = (Place(one, "/srv/app.py", 3) for one in ("parse", "watch"))
    looks = [HolderSeen(200 * MS, 7, "watcher", parse)]
    past = HolderPast(awake={7: looks}, lives={7: [ThreadLife(1, 7, "watcher", watch)]})
    held = [one._replace(at_ns=one.at_ns * MS, until_ns=one.until_ns * MS) for one in seen]
    assert past.holders(held, 100 * MS)[0].name == name


def test_samples_at_growing_intervals_stand_for_the_time_that_is_nearest() -> None:
    """A job opens for 30 ms, then asks for 120: most of its samples are early."""
    ages = [2, 3, 4.5, 6.8, 10, 15, 22, 34, 51, 76, 114]
    places = [Place("open" if at < 30 else "ask", "/srv/app.py", 9) for at in ages]
    looks = [
        HolderSeen(round(at * MS), 7, "", place, waits=True, call=(place.function, "driver"))
        for at, place in zip(ages, places, strict=True)
    ]
    _, called, call = HolderPast(looks={7: looks}).ran(7, [(0, 150 * MS)], 0, 150 * MS, [])
    assert {one.place.function: one.ns / MS for one in called} == pytest.approx({"ask": 122, "open": 28}, abs=1)
    assert call == ("ask", "driver")


def test_what_computed_and_what_slept_have_the_time_that_the_threads_state_shows() -> None:
    """A job computes for 60 ms, then asks for 120; its last sample while it computes is at 34 ms."""
    ages = [10, 15, 22, 34, 76, 114, 170]
    looks = [HolderSeen(at * MS, 7, "", Place("open" if at < 60 else "ask", "/srv/app.py", 9)) for at in ages]
    asleep = [Stay(60 * MS, 180 * MS, CALL, 0)]
    ran, called, _ = HolderPast(looks={7: looks}).ran(7, [(0, 180 * MS)], 60 * MS, 120 * MS, asleep)
    assert [(one.place.function, one.ns / MS) for one in ran] == [("open", 60)]
    assert [(one.place.function, one.ns / MS) for one in called] == [("ask", 120)]
