"""How a thread's run-queue time is divided among those who had the CPUs, and what they are called."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whywait.tracer import schema
from whywait.tracer.offcpu.cpu_contention import OTHER_PROCESSES, OTHER_THREADS, UNSEEN, CpuRivals, CpuUser, Division
from whywait.tracer.offcpu.gil_holders import HolderPast
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.sampler.cpu_history import Interval, ProcessUse, Stretch, ThreadUse

MS = 1_000_000
BOTH = frozenset({0, 1})
ME, OTHER, WORKER, SAMPLER = 11, 12, 13, 99


@dataclass
class Past:
    intervals: Sequence[Interval] = ()
    stretches: Sequence[Stretch] = ()
    libraries: dict[int, str] = field(default_factory=dict)
    process: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(id=SAMPLER))

    def during(self, start_ns: int, end_ns: int) -> list[Interval]:
        return [one for one in self.intervals if one.end_ns > start_ns and one.start_ns < end_ns]

    def throttled(self, start_ns: int, end_ns: int) -> list[Stretch]:
        return [one for one in self.stretches if one.end_ns > start_ns and one.start_ns < end_ns]


def thread(tid: int, used: float, waited: float = 0, cpus: frozenset[int] = BOTH) -> ThreadUse:
    return ThreadUse(tid, int(used * MS), int(waited * MS), cpus, tid == ME)


def interval(
    start: int,
    threads: Sequence[ThreadUse],
    processes: Sequence[ProcessUse] = (),
    busy: dict[frozenset[int], int] | None = None,
) -> Interval:
    busy_ns = {cpus: ms * MS for cpus, ms in (busy or {}).items()}
    return Interval(start * MS, (start + 100) * MS, tuple(threads), tuple(processes), busy_ns, BOTH, 0, 0)


def rivals(past: Past, holders: HolderPast | None = None) -> CpuRivals:
    as_past: Any = past
    return CpuRivals(as_past, holders or HolderPast())


def divided(past: Past, start: int, end: int, waited: int, holders: HolderPast | None = None) -> Division:
    return rivals(past, holders).divide(ME, [(start * MS, end * MS)], waited * MS)


def told(found: Division) -> dict[str, float]:
    return {one.name: round(one.ns / MS, 1) for one in found.users}


def ns_of(found: Division, *kinds: str) -> int:
    return sum(one.ns for one in found.users if one.kind in kinds)


PROCESSES, OWN = (schema.RIVAL_PROCESS, schema.RIVAL_SIBLING), (schema.RIVAL_THREAD, schema.RIVAL_NATIVE)


CRUNCH, SLEEPY = ProcessUse(7, 60 * MS, "crunch", BOTH), ProcessUse(8, 20 * MS, "sleepy", BOTH)
SECOND = frozenset({1})


def test_it_is_divided_as_the_cpus_were_used() -> None:
    found = divided(Past([interval(0, [thread(ME, 50, 40), thread(OTHER, 40)], [CRUNCH, SLEEPY])]), 0, 100, 36)
    assert told(found) == {"process crunch": 18.0, "native threads": 12.0, "process sleepy": 6.0}
    assert (ns_of(found, *PROCESSES), ns_of(found, *OWN), ns_of(found, schema.RIVAL_QUOTA)) == (24 * MS, 12 * MS, 0)
    assert [one.process_id for one in found.users] == [7, 0, 8]


def test_who_may_not_run_where_the_thread_may_is_no_rival() -> None:
    pinned, bystander = (thread(ME, 50, 40, cpus=SECOND), ProcessUse(9, 90 * MS, "bystander", frozenset({0})))
    crunch = CRUNCH._replace(cpus=SECOND)
    found = divided(Past([interval(0, [pinned], [crunch, bystander])]), 0, 100, 40)
    assert told(found) == {"process crunch": 40.0}
    assert found.cpus == 1


@pytest.mark.parametrize("busy", [100, 90, 120, 65])
def test_who_may_run_elsewhere_too_has_the_room_that_is_left(busy: int) -> None:
    pinned = thread(ME, 30, 40, cpus=SECOND)
    crunch, roaming = CRUNCH._replace(cpus=SECOND), ProcessUse(9, 80 * MS, "roaming", BOTH)
    found = divided(Past([interval(0, [pinned], [crunch, roaming], {SECOND: busy})]), 0, 100, 40)
    room = max(busy - 90, 0)
    whole = 60 + room
    assert told(found) == {
        name: pytest.approx(40 * ms / whole, abs=0.1)
        for name, ms in (("process crunch", 60), ("process roaming", room))
        if ms
    }


def test_its_own_use_is_no_reason_to_wait() -> None:
    found = divided(Past([interval(0, [thread(ME, 100, 10)])]), 0, 100, 10)
    assert found.users == ()


def test_what_others_cannot_have_used_is_not_known() -> None:
    found = divided(Past([interval(0, [thread(ME, 10, 80)], [SLEEPY])]), 0, 100, 80)
    assert told(found) == {"process sleepy": 20.0}


def test_without_an_interval_nothing_is_known() -> None:
    assert divided(Past(), 0, 100, 5).users == ()
    assert rivals(Past()).divide(ME, [], 7) == Division((), 0, 0, 0, 0, 0)


def test_each_interval_counts_for_what_the_thread_waited_in_it() -> None:
    past = Past([interval(0, [thread(ME, 10, 60)], [CRUNCH]), interval(100, [thread(ME, 60, 20)], [SLEEPY])])
    assert told(divided(past, 0, 200, 80)) == {"process crunch": 60.0, "process sleepy": 20.0}


def test_the_quotas_stretches_come_first() -> None:
    past = Past([interval(0, [thread(ME, 30, 70)], [CRUNCH])], [Stretch(40 * MS, 90 * MS)])
    found = divided(past, 0, 100, 70)
    assert told(found) == {"the CPU quota": 50.0, "process crunch": 20.0}
    assert [one.kind for one in found.users] == [schema.RIVAL_QUOTA, schema.RIVAL_PROCESS]
    assert told(divided(past, 0, 45, 10))["the CPU quota"] == 5.0
    assert told(divided(past, 50, 60, 3)) == {"the CPU quota": 3.0}


@pytest.mark.parametrize(
    ("quota", "name"), [((50, 100), "of 0.5 CPUs"), ((100, 100), "of 1 CPU"), ((250, 100), "of 2.5 CPUs")]
)
def test_a_quota_is_named_by_its_size(quota: tuple[int, int], name: str) -> None:
    one = interval(0, [thread(ME, 30, 70)])._replace(quota_ns=quota[0] * MS, period_ns=quota[1] * MS)
    found = divided(Past([one], [Stretch(0, 100 * MS)]), 0, 100, 70)
    assert told(found) == {f"the CPU quota {name}": 70.0}
    assert (found.quota_ns, found.period_ns) == (quota[0] * MS, quota[1] * MS)


def test_many_processes_of_one_name_are_one_rival() -> None:
    workers = [ProcessUse(30 + at, (10 + at) * MS, "gunicorn", BOTH, sibling=True) for at in range(5)]
    past = Past([interval(0, [thread(ME, 20, 80)], [*workers, CRUNCH._replace(used_ns=20 * MS)])])
    siblings, crunch = divided(past, 0, 100, 80).users
    assert (siblings.name, siblings.kind, siblings.process_id) == ("sibling process gunicorn", schema.RIVAL_SIBLING, -5)
    assert (siblings.ns, crunch.ns) == (60 * MS, 20 * MS)
    assert [one.process_id for one in divided(Past([interval(0, [thread(ME, 20, 80)], workers[:4])]), 0, 100, 46).users] == [
        33, 32, 31, 30,
    ]  # fmt: skip


def test_a_short_wait_and_those_beyond_the_longest_are_told_by_their_kind_alone() -> None:
    many = [ProcessUse(30 + at, (20 - at) * MS, f"p{at}", BOTH) for at in range(6)]
    past = Past([interval(0, [thread(ME, 20, 80), thread(OTHER, 9)], many)])
    used = {"process p0": 20, "process p1": 19, "process p2": 18, "process p3": 17}
    used |= {OTHER_PROCESSES.name: 16 + 15, OTHER_THREADS.name: 9}
    assert told(divided(past, 0, 100, 80)) == {
        name: pytest.approx(80 * ms / 114, abs=0.06) for name, ms in used.items()
    }
    (processes, threads) = rivals(past).divide(ME, [(0, 100 * MS)], 300_000).users
    assert (processes._replace(ns=0), threads._replace(ns=0)) == (OTHER_PROCESSES, OTHER_THREADS)
    assert 299_998 <= processes.ns + threads.ns <= 300_000


def test_cpus_that_were_busy_for_nobody_who_is_seen() -> None:
    past = Past([interval(0, [thread(ME, 10, 30)], [CRUNCH], {BOTH: 150})])
    found = divided(past, 0, 100, 28)
    assert told(found) == {UNSEEN.name: 16.0, "process crunch": 12.0}
    assert ns_of(found, schema.RIVAL_PROCESS) == 28 * MS
    slight = Past([interval(0, [thread(ME, 10, 30)], [CRUNCH], {BOTH: 85})])
    assert told(divided(slight, 0, 100, 28)) == {"process crunch": 28.0}


def test_who_ended_meanwhile_has_of_its_wont_what_the_cpus_were_busy_for() -> None:
    ended = ProcessUse(9, 60 * MS, "ended", BOTH, ended=True)
    me = thread(ME, 10, 30)
    busy = Past([interval(0, [me], [CRUNCH, ended], {BOTH: 100})])
    assert told(divided(busy, 0, 100, 27)) == {"process crunch": 18.0, "process ended": 9.0}  # 30 ms were left to it
    idle = Past([interval(0, [me], [CRUNCH, ended], {BOTH: 70})])
    assert told(divided(idle, 0, 100, 27)) == {"process crunch": 27.0}
    busier = Past([interval(0, [me], [CRUNCH, ended], {BOTH: 160})])
    assert told(divided(busier, 0, 100, 30)) == {"process crunch": 12.0, "process ended": 12.0, UNSEEN.name: 6.0}
    assert told(divided(Past([interval(0, [me], [CRUNCH, ended])]), 0, 100, 27)) == {"process crunch": 27.0}


def test_how_many_threads_wanted_a_cpu() -> None:
    crowd = [thread(ME, 25, 75), *(thread(20 + number, 25, 75) for number in range(6)), thread(40, 50)]
    found = divided(Past([interval(0, crowd)], libraries={20: "libgomp"}), 0, 100, 75)
    assert (found.wanted_milli, found.native_milli) == (7_500, 6_500)
    assert told(found) == {"native threads": 65.6, "native threads of libgomp (OpenMP)": 9.4}


# --- names --------------------------------------------------------------------------------------
def occupied(start: int, end: int) -> Occupancy:
    one = Occupancy("predict_one", 5, 6, None)
    one.start_ns, one.end_ns, one.thread_id = start * MS, end * MS, WORKER
    return one


def named(past: HolderPast, one: ThreadUse, libraries: dict[int, str] | None = None) -> list[CpuUser]:
    return rivals(Past(libraries=libraries or {}), past).users(one, 0, 100 * MS)


def test_a_worker_is_called_by_its_job() -> None:
    past = HolderPast(jobs={WORKER: [occupied(0, 40), occupied(60, 90)]}, names={WORKER: "pool_0"})
    found = named(past, thread(WORKER, 1))
    assert {one.name for one in found} == {"predict_one"}
    assert {one.kind for one in found} == {schema.RIVAL_THREAD}
    (worker,) = divided(Past([interval(0, [thread(ME, 1, 9), thread(WORKER, 9)])]), 0, 100, 9, past).users
    assert (worker.name, worker.trace_id, worker.span_id) == ("predict_one", 5, 6)


def test_one_function_of_many_requests_is_one_rival() -> None:
    def job(number: int, of: int) -> Occupancy:
        one = Occupancy("derive", of, number, None)
        one.start_ns, one.end_ns, one.thread_id = 0, 100 * MS, number
        return one

    workers = range(20, 26)
    past = HolderPast(jobs={number: [job(number, number)] for number in workers})
    used = [thread(number, number) for number in workers]
    found = divided(Past([interval(0, [thread(ME, 20, 80), *used], [CRUNCH])]), 0, 100, 80, past)
    assert [(one.name, one.trace_id, one.span_id) for one in found.users] == [
        ("derive", 25, 25),
        ("process crunch", 0, 0),
    ]
    assert sum(one.ns for one in found.users) == pytest.approx(80 * MS, abs=2)


def test_a_thread_without_a_job_is_called_by_its_name() -> None:
    assert named(HolderPast(names={OTHER: "poller"}), thread(OTHER, 1))[0].name == "thread poller"


def test_threads_that_run_no_python_are_called_by_their_library() -> None:
    gomp = named(HolderPast(), thread(OTHER, 1), {OTHER: "libgomp"})
    assert gomp == [CpuUser(schema.RIVAL_NATIVE, "native threads of libgomp (OpenMP)")]
    blas = named(HolderPast(), thread(OTHER, 1), {OTHER: "libopenblas"})
    assert blas == [CpuUser(schema.RIVAL_NATIVE, "native threads of libopenblas")]
    assert named(HolderPast(), thread(OTHER, 1)) == [CpuUser(schema.RIVAL_NATIVE, "native threads")]


def test_our_own_work_is_called_ours() -> None:
    ours = CpuUser(schema.RIVAL_THREAD, "whywait's own work")
    assert set(named(HolderPast(names={OTHER: "whywait-export"}), thread(OTHER, 1))) == {ours}
    assert rivals(Past()).users(ProcessUse(SAMPLER, 1, "python"), 0, 100 * MS) == [ours]
    found = divided(Past([interval(0, [thread(ME, 1, 9)], [ProcessUse(SAMPLER, 9 * MS, "python", BOTH)])]), 0, 100, 9)
    assert found.users == (ours._replace(ns=9 * MS),)


def test_a_worker_beside_this_one_is_another_process_of_the_same_service() -> None:
    beside = ProcessUse(7, 30 * MS, "gunicorn", sibling=True)
    found = divided(Past([interval(0, [thread(ME, 10, 20)], [beside])]), 0, 100, 20)
    assert found.users == (CpuUser(schema.RIVAL_SIBLING, "sibling process gunicorn", 7, ns=20 * MS),)


# --- the sum ------------------------------------------------------------------------------------
uses = st.floats(0, 200, allow_nan=False)


@given(
    st.lists(
        st.tuples(uses, uses, st.lists(uses, max_size=4), st.lists(uses, max_size=4), st.integers(0, 300)), max_size=5
    ),
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, 100)), max_size=5),
    st.tuples(st.integers(0, 400), st.integers(1, 200)),
    st.integers(0, 10**10),
)
def test_the_parts_sum_to_no_more_than_was_waited_and_none_is_negative(
    drawn: list[tuple[float, float, list[float], list[float], int]],
    throttled: list[tuple[int, int]],
    stretch: tuple[int, int],
    waited_ns: int,
) -> None:
    intervals = [
        interval(
            100 * number,
            [thread(ME, used, waited), *(thread(20 + at, of) for at, of in enumerate(threads))],
            [ProcessUse(at + 1, int(of * MS), f"p{at % 2}") for at, of in enumerate(processes)],
            {BOTH: unseen},
        )
        for number, (used, waited, threads, processes, unseen) in enumerate(drawn)
    ]
    stretches = [Stretch(at * MS, (at + length) * MS) for at, length in throttled]
    found = rivals(Past(intervals, stretches)).divide(
        ME, [(stretch[0] * MS, (stretch[0] + stretch[1]) * MS)], waited_ns
    )
    assert min((one.ns for one in found.users), default=1) > 0
    assert sum(one.ns for one in found.users) <= waited_ns
    assert len({(one.kind, one.name, one.process_id) for one in found.users}) == len(found.users)
    inside = [(max(at, stretch[0]), min(at + length, sum(stretch))) for at, length in throttled]
    withheld_ns = sum(max(end - start, 0) for start, end in inside) * MS
    assert ns_of(found, schema.RIVAL_QUOTA) == min(withheld_ns, waited_ns)


@pytest.mark.parametrize("waited", [0, 1])
def test_nothing_is_nothing(waited: int) -> None:
    found = divided(Past([interval(0, [], [])]), 0, 100, waited)
    assert found.users == ()
