"""How a thread's run-queue time is divided among those who had the CPUs, and what they are called."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whywait.tracer import schema
from whywait.tracer.offcpu.cpu_contention import CpuRivals, Division, Rival
from whywait.tracer.offcpu.cpu_user_names import REST, UNSEEN, CpuNames, Named
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
    asked: list[tuple[int, int]] = field(default_factory=list)

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


def divided(
    past: Past, start: int, end: int, waited: int, names: HolderPast | None = None, libraries: dict[int, str] | None = None
) -> Division:  # fmt: skip
    rivals = CpuRivals(past, CpuNames(names or HolderPast(), libraries or {}, SAMPLER))
    return rivals.divide(ME, [(start * MS, end * MS)], waited * MS)


def told(found: Division) -> dict[str, float]:
    return {one.named.name: round(one.ns / MS, 1) for one in found.rivals}


def test_how_many_processes_there_were_is_no_process_id() -> None:
    several = Rival(Named(schema.RIVAL_PROCESS, REST), 0, 1, 5 * MS)
    threads = Rival(Named(schema.RIVAL_THREAD, "rank"), 0, 3, 5 * MS)
    assert (several.number, threads.number) == (0, 3)


CRUNCH, SLEEPY = ProcessUse(7, 60 * MS, "crunch", BOTH), ProcessUse(8, 20 * MS, "sleepy", BOTH)
SECOND = frozenset({1})


def test_it_is_divided_as_the_cpus_were_used() -> None:
    found = divided(Past([interval(0, [thread(ME, 50, 40), thread(OTHER, 40)], [CRUNCH, SLEEPY])]), 0, 100, 36)
    assert told(found) == {"crunch": 18.0, "native threads": 12.0, "sleepy": 6.0}
    assert (found.process_ns, found.own_ns, found.throttled_ns, found.unknown_ns) == (24 * MS, 12 * MS, 0, 0)
    assert [one.named.process_id for one in found.rivals] == [7, 0, 8]


def test_who_may_not_run_where_the_thread_may_is_no_rival() -> None:
    pinned, bystander = (thread(ME, 50, 40, cpus=SECOND), ProcessUse(9, 90 * MS, "bystander", frozenset({0})))
    crunch = CRUNCH._replace(cpus=SECOND)
    found = divided(Past([interval(0, [pinned], [crunch, bystander])]), 0, 100, 40)
    assert told(found) == {"crunch": 40.0}
    assert found.cpus == 1


@pytest.mark.parametrize("busy", [100, 90, 120, 65])
def test_who_may_run_elsewhere_too_has_the_room_that_is_left(busy: int) -> None:
    pinned = thread(ME, 30, 40, cpus=SECOND)
    crunch, roaming = CRUNCH._replace(cpus=SECOND), ProcessUse(9, 80 * MS, "roaming", BOTH)
    found = divided(Past([interval(0, [pinned], [crunch, roaming], {SECOND: busy})]), 0, 100, 40)
    room = max(busy - 90, 0)
    whole = 60 + room
    assert told(found) == {
        name: pytest.approx(40 * ms / whole, abs=0.1) for name, ms in (("crunch", 60), ("roaming", room)) if ms
    }


def test_its_own_use_is_no_reason_to_wait() -> None:
    found = divided(Past([interval(0, [thread(ME, 100, 10)])]), 0, 100, 10)
    assert (found.unknown_ns, found.rivals) == (10 * MS, ())


def test_what_others_cannot_have_used_is_not_known() -> None:
    found = divided(Past([interval(0, [thread(ME, 10, 80)], [SLEEPY])]), 0, 100, 80)
    assert told(found) == {"sleepy": 20.0}
    assert found.unknown_ns == 60 * MS


def test_without_an_interval_nothing_is_known() -> None:
    assert divided(Past(), 0, 100, 5).unknown_ns == 5 * MS
    rivals = CpuRivals(Past(), CpuNames(HolderPast(), {}, SAMPLER))
    assert rivals.divide(ME, [], 7) == Division(0, 0, 0, 7, (), 0, 0, 0, 0, 0)


def test_each_interval_counts_for_what_the_thread_waited_in_it() -> None:
    past = Past([interval(0, [thread(ME, 10, 60)], [CRUNCH]), interval(100, [thread(ME, 60, 20)], [SLEEPY])])
    assert told(divided(past, 0, 200, 80)) == {"crunch": 60.0, "sleepy": 20.0}


def test_the_quotas_stretches_come_first() -> None:
    past = Past([interval(0, [thread(ME, 30, 70)], [CRUNCH])], [Stretch(40 * MS, 90 * MS)])
    found = divided(past, 0, 100, 70)
    assert (found.throttled_ns, found.process_ns, found.unknown_ns) == (50 * MS, 20 * MS, 0)
    assert divided(past, 0, 45, 10).throttled_ns == 5 * MS
    assert divided(past, 50, 60, 3).throttled_ns == 3 * MS


def test_cpus_that_were_busy_for_nobody_who_is_seen() -> None:
    past = Past([interval(0, [thread(ME, 10, 30)], [CRUNCH], {BOTH: 150})])
    found = divided(past, 0, 100, 28)
    assert told(found) == {UNSEEN: 16.0, "crunch": 12.0}
    assert found.process_ns == 28 * MS
    slight = Past([interval(0, [thread(ME, 10, 30)], [CRUNCH], {BOTH: 85})])
    assert told(divided(slight, 0, 100, 28)) == {"crunch": 28.0}


def test_who_ended_meanwhile_has_of_its_wont_what_the_cpus_were_busy_for() -> None:
    ended = ProcessUse(9, 60 * MS, "ended", BOTH, ended=True)
    me = thread(ME, 10, 30)
    busy = Past([interval(0, [me], [CRUNCH, ended], {BOTH: 100})])
    assert told(divided(busy, 0, 100, 27)) == {"crunch": 18.0, "ended": 9.0}  # 30 ms were left to it
    idle = Past([interval(0, [me], [CRUNCH, ended], {BOTH: 70})])
    assert told(divided(idle, 0, 100, 27)) == {"crunch": 27.0}
    busier = Past([interval(0, [me], [CRUNCH, ended], {BOTH: 160})])
    assert told(divided(busier, 0, 100, 30)) == {"crunch": 12.0, "ended": 12.0, UNSEEN: 6.0}
    assert told(divided(Past([interval(0, [me], [CRUNCH, ended])]), 0, 100, 27)) == {"crunch": 27.0}


def test_how_many_threads_wanted_a_cpu() -> None:
    crowd = [thread(ME, 25, 75), *(thread(20 + number, 25, 75) for number in range(6)), thread(40, 50)]
    found = divided(Past([interval(0, crowd)]), 0, 100, 75, libraries={20: "libgomp"})
    assert (found.wanted_milli, found.native_milli) == (7_500, 6_500)
    assert found.rivals[0].threads == 6


# --- names --------------------------------------------------------------------------------------
def occupied(start: int, end: int) -> Occupancy:
    one = Occupancy("predict_one", 5, 6, None)
    one.start_ns, one.end_ns, one.thread_id = start * MS, end * MS, WORKER
    return one


def named(past: HolderPast, one: ThreadUse, libraries: dict[int, str] | None = None) -> list[Named]:
    return CpuNames(past, libraries or {}, SAMPLER).of(one, 0, 100 * MS)


def test_a_worker_is_called_by_its_job() -> None:
    past = HolderPast(jobs={WORKER: [occupied(0, 40), occupied(60, 90)]}, names={WORKER: "pool_0"})
    names = CpuNames(past, {}, SAMPLER)
    found = names.of(thread(WORKER, 1), 0, 100 * MS)
    assert {one.name for one in found} == {"predict_one"}
    assert {one.kind for one in found} == {schema.RIVAL_THREAD}
    assert names.spans[found[0]] == 6


def test_one_function_of_many_requests_is_one_rival() -> None:
    def job(number: int, of: int) -> Occupancy:
        one = Occupancy("derive", of, number, None)
        one.start_ns, one.end_ns, one.thread_id = 0, 100 * MS, number
        return one

    workers = range(20, 26)
    past = HolderPast(jobs={number: [job(number, number)] for number in workers})
    used = [thread(number, number) for number in workers]
    found = divided(Past([interval(0, [thread(ME, 20, 80), *used], [CRUNCH])]), 0, 100, 80, past)
    assert [(one.named.name, one.named.trace_id) for one in found.rivals] == [("derive", 25), ("crunch", 0)]
    assert sum(one.ns for one in found.rivals) == pytest.approx(found.own_ns + found.process_ns, abs=2)


def test_a_thread_without_a_job_is_called_by_its_name() -> None:
    assert named(HolderPast(names={OTHER: "poller"}), thread(OTHER, 1))[0].name == "thread poller"


def test_threads_that_run_no_python_are_called_by_their_library() -> None:
    gomp = named(HolderPast(), thread(OTHER, 1), {OTHER: "libgomp"})
    assert gomp == [Named(schema.RIVAL_NATIVE, "native threads of libgomp (OpenMP)")]
    blas = named(HolderPast(), thread(OTHER, 1), {OTHER: "libopenblas"})
    assert blas == [Named(schema.RIVAL_NATIVE, "native threads of libopenblas")]
    assert named(HolderPast(), thread(OTHER, 1)) == [Named(schema.RIVAL_NATIVE, "native threads")]


def test_our_own_work_is_called_ours() -> None:
    ours = Named(schema.RIVAL_THREAD, "whywait's own work")
    assert named(HolderPast(names={OTHER: "whywait-export"}), thread(OTHER, 1)) == [ours]
    assert CpuNames(HolderPast(), {}, SAMPLER).of(ProcessUse(SAMPLER, 1, "python"), 0, 100 * MS) == [ours]
    found = divided(Past([interval(0, [thread(ME, 1, 9)], [ProcessUse(SAMPLER, 9 * MS, "python", BOTH)])]), 0, 100, 9)
    assert (found.own_ns, found.process_ns) == (9 * MS, 0)


def test_a_worker_beside_this_one_is_another_process_of_the_same_service() -> None:
    beside = ProcessUse(7, 30 * MS, "gunicorn", sibling=True)
    found = divided(Past([interval(0, [thread(ME, 10, 20)], [beside])]), 0, 100, 20)
    assert (found.process_ns, found.rivals[0].named.kind) == (20 * MS, schema.RIVAL_SIBLING)


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
def test_the_parts_sum_exactly_and_none_is_negative(
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
    rivals = CpuRivals(Past(intervals, stretches), CpuNames(HolderPast(), {}, SAMPLER))
    found = rivals.divide(ME, [(stretch[0] * MS, (stretch[0] + stretch[1]) * MS)], waited_ns)
    parts = (found.process_ns, found.own_ns, found.throttled_ns, found.unknown_ns)
    assert sum(parts) == waited_ns
    assert min(parts) >= 0
    assert sum(one.ns for one in found.rivals) <= found.process_ns + found.own_ns
    for kind, of_kind in ((schema.RIVAL_PROCESS, found.process_ns), (schema.RIVAL_NATIVE, found.own_ns)):
        assert sum(one.ns for one in found.rivals if one.named.kind == kind) <= of_kind + len(found.rivals)


@pytest.mark.parametrize("waited", [0, 1])
def test_nothing_is_nothing(waited: int) -> None:
    found = divided(Past([interval(0, [], [])]), 0, 100, waited)
    assert found.unknown_ns == waited * MS
