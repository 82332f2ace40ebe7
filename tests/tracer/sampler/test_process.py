"""The sampler's process: sees what threads wait in, is nobody's child, and never outlives whom it looks at."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter_ns

import pytest

import whywait
from testbed.disturbed import disturbed
from whywait import phase
from whywait.tracer.hotpath import recorder
from whywait.tracer.sampler.child.sleeping_threads import look_every
from whywait.tracer.sampler.process import SamplerProcess, start_sampler
from whywait.tracer.sampler.shared.thread_records import FUTEX, GIL, POLL, RUNNING, SLEEP
from whywait.tracer.sampler.thread_samples import Samples

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
WAIT_S = 10.0


def until(met: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not met():
        assert time.monotonic() < deadline_s, "it did not come about"
        time.sleep(0.005)


def state_in(folder: str) -> str:
    """The kernel's letter for what a process or a thread does; "Z" for one that is gone."""
    try:
        return Path(f"{folder}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def alive(process_id: int) -> bool:
    return state_in(f"/proc/{process_id}") != "Z"


def ready(process: SamplerProcess) -> bool:
    process.look()
    assert not process.failure
    return process.ready and process.header().sweeps > 3


def active_sampler() -> SamplerProcess:
    assert recorder.active is not None
    sampler = recorder.active.sampler
    assert sampler is not None
    until(lambda: ready(sampler))
    return sampler


def test_threads_are_seen_for_what_they_do() -> None:
    process = start_sampler()
    assert process is not None
    stop = threading.Event()
    computed_s: list[float] = []

    def compute() -> None:
        while not stop.is_set():
            sum(range(1_000))
        computed_s.append(time.thread_time())

    def nap() -> None:
        while not stop.is_set():
            time.sleep(0.02)

    threads = [threading.Thread(target=one) for one in (compute, compute, nap)]
    try:
        until(lambda: ready(process))
        for one in threads:
            one.start()
        start_ns = perf_counter_ns()
        until(lambda: process.header().swept_ns > start_ns + 600_000_000)
    finally:
        stop.set()
        for one in threads:
            one.join()
        process.end()
    samples = Samples(process)
    samples.read(lambda: None)
    end_ns = start_ns + 500_000_000
    busy, other, napping = (samples.seen(one.native_id or 0, start_ns, end_ns) for one in threads)
    process.close()
    took_s = (perf_counter_ns() - start_ns) / 1e9
    if sum(computed_s) < 0.7 * took_s:
        disturbed(f"whoever had the GIL had a CPU for {sum(computed_s) / took_s:.0%} of the time: few turns, few looks")
    for one in (busy, other):
        assert set(one.states) <= {RUNNING, GIL}
        assert one.states.get(GIL, 0) > 5
    names = {threads[0].native_id, threads[1].native_id}
    told = [held for held in busy.holders if held.thread_id]
    assert told
    assert sum(held.times for held in told if held.thread_id in names) >= 0.8 * sum(h.times for h in told)
    assert napping.states.get(SLEEP, 0) > 5
    assert napping.states.get(POLL, 0) == 0
    assert process.failure  # it has ended, and no sample is coming any more


def test_a_host_that_waits_for_its_children_does_not_meet_it(tmp_path: Path) -> None:
    code = (
        "import os, time, whywait\n"
        "from whywait.tracer.hotpath import recorder\n"
        "whywait.start(output='traces.jsonl')\n"
        "sampler = recorder.active.sampler\n"
        "while not sampler.ready: sampler.look(); time.sleep(0.01)\n"
        "try: os.waitpid(-1, 0); print('met one')\n"
        "except ChildProcessError: print('met nobody')\n"
        "whywait.stop()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == "met nobody\n", ran.stderr


def test_stop_ends_it(tmp_path: Path) -> None:
    whywait.start(output=tmp_path / "traces.jsonl")
    sampler = active_sampler()
    assert alive(sampler.id)
    whywait.stop()
    until(lambda: not alive(sampler.id))


def test_it_is_off_by_a_switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHYWAIT_SAMPLER", "0")
    whywait.start(output=tmp_path / "traces.jsonl")
    assert recorder.active is not None
    assert recorder.active.sampler is None
    whywait.stop()


def test_killed_it_is_missed_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "traces.jsonl"
    whywait.start(output=path)
    sampler = active_sampler()
    os.kill(sampler.id, signal.SIGKILL)
    until(lambda: not alive(sampler.id))
    with caplog.at_level(logging.WARNING, logger="whywait"):
        until(lambda: bool(sampler.failure))  # the exporter notices by itself
        with phase("afterwards"):
            time.sleep(0.01)
        whywait.stop()
    said = [one.getMessage() for one in caplog.records if one.name == "whywait"]
    assert len(said) == 1
    assert "sampler" in said[0]
    written = path.read_text()
    assert '"afterwards"' in written
    assert '"whywait.lost"' in written


def test_it_goes_when_its_host_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time, whywait\n"
        "from whywait.tracer.hotpath import recorder\n"
        f"whywait.start(output={str(tmp_path / 'traces.jsonl')!r})\n"
        "sampler = recorder.active.sampler\n"
        "while not sampler.ready: sampler.look(); time.sleep(0.01)\n"
        "print(sampler.id, flush=True)\n"
        "time.sleep(60)\n"
    )
    host = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    sampler_id = int(host.stdout.readline())
    assert alive(sampler_id)
    host.kill()
    host.communicate()
    until(lambda: not alive(sampler_id))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_has_its_own(tmp_path: Path) -> None:
    whywait.start(output=tmp_path)
    sampler = active_sampler()
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        try:
            with whywait.phase("the first work of the child"):
                own = active_sampler()
            os.write(tell, f"{own.id}".encode())
            whywait.stop()
            until(lambda: not alive(own.id))
            os._exit(0)
        finally:
            os._exit(2)
    os.close(tell)
    _, status = os.waitpid(child, 0)
    own_id = int(os.read(told, 20))
    os.close(told)
    assert os.waitstatus_to_exitcode(status) == 0
    assert own_id != sampler.id
    assert alive(sampler.id)
    assert ready(sampler)
    whywait.stop()


def test_those_long_asleep_are_looked_at_less_often_only_where_there_is_no_time() -> None:
    every = 1
    for cost_s in (0.0001, 0.0004, 0.0004, 0.0004, 0.0004):
        every = look_every(every, cost_s)
    assert every == 4
    assert look_every(every, 0.0001) == 4  # it costs so little because of that
    assert look_every(every, 0.00005) == 3
    assert look_every(1, 0.00005) == 1


@dataclass(frozen=True)
class Crowd:
    """A thread that works, among so many that sleep that these are looked at seldom."""

    process: SamplerProcess
    idle: list[threading.Thread]
    worker: threading.Thread
    samples: Samples  # filled when all have ended

    def until_swept(self, at_ns: int) -> None:
        until(lambda: self.process.header().swept_ns > at_ns)


@contextmanager
def crowd(work: Callable[[SamplerProcess], None], stop: Callable[[], None]) -> Iterator[Crowd]:
    """Yields once the sampler sweeps; `stop` is to end the work."""
    process = start_sampler()
    assert process is not None
    over = threading.Event()
    idle = [threading.Thread(target=over.wait) for _ in range(120)]
    one = Crowd(process, idle, threading.Thread(target=work, args=(process,)), Samples(process))
    try:
        for thread in (*idle, one.worker):
            thread.start()
        until(lambda: ready(process))
        yield one
    finally:
        stop()
        over.set()
        for thread in (*idle, one.worker):
            thread.join()
        process.end()
        one.samples.read(lambda: None)
        process.close()


def test_looks_at_the_long_asleep_stand_for_those_that_were_spared() -> None:
    over = threading.Event()

    def compute(_: SamplerProcess) -> None:
        while not over.is_set():
            sum(range(1_000))

    with crowd(compute, over.set) as found:
        start_ns = perf_counter_ns() + 300_000_000
        found.until_swept(start_ns + 1_100_000_000)
    *idle, busy = [
        sum(found.samples.seen(one.native_id or 0, start_ns, start_ns + 1_000_000_000).states.values())
        for one in (*found.idle, found.worker)
    ]
    assert busy > 5
    assert 0.5 * busy <= min(idle) <= max(idle) <= 1.5 * busy


def test_who_woke_between_two_seldom_looks_did_not_sleep_on() -> None:
    jobs: SimpleQueue[bool] = SimpleQueue()
    woke_ns: list[int] = []

    def work(_: SamplerProcess) -> None:
        while jobs.get():
            woke_ns.append(perf_counter_ns())

    with crowd(work, lambda: jobs.put(False)) as found:
        for _ in range(12):
            time.sleep(0.3)  # for long enough to be looked at seldom
            jobs.put(True)
        time.sleep(0.3)
        last_ns = perf_counter_ns()
        found.until_swept(last_ns)
    stays = found.samples.stays(found.worker.native_id or 0, 0, last_ns)
    assert len(woke_ns) == 12
    slept_on = [at for at in woke_ns if any(stay.first_ns < at < stay.last_ns for stay in stays)]
    assert len(slept_on) <= 3  # the sampler may have had time to look at all


def test_who_is_woken_and_lacks_a_cpu_does_not_sleep_on() -> None:
    process = start_sampler()
    assert process is not None
    jobs: SimpleQueue[bool] = SimpleQueue()
    ran_ns: list[int] = []
    only = max(os.sched_getaffinity(0))

    def work() -> None:
        os.sched_setaffinity(0, {only})
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # whoever else wants the CPU goes first
        while jobs.get():
            ran_ns.append(perf_counter_ns())

    hog = f"import os\nos.sched_setaffinity(0, {{{only}}})\nwhile True: pass"
    hogs: list[subprocess.Popen[bytes]] = []
    worker = threading.Thread(target=work)
    put_ns: list[int] = []

    def sleeps() -> bool:
        return state_in(f"/proc/self/task/{worker.native_id}") == "S"

    def lacking_ns() -> int:
        return sum(ran - put for put, ran in zip(put_ns, ran_ns, strict=True))

    try:
        worker.start()
        until(lambda: ready(process))
        until(sleeps)  # once it has rivals it may take long to come there
        hogs += [subprocess.Popen([sys.executable, "-S", "-c", hog]) for _ in range(4)]
        while lacking_ns() < 200_000_000 and len(put_ns) < 60:
            process.work_goes_on()
            until(sleeps)
            time.sleep(0.15)  # for long enough to be spared the dear reading
            put_ns.append(perf_counter_ns())
            jobs.put(True)
            until(lambda: len(ran_ns) == len(put_ns))
    finally:
        for one in hogs:
            one.kill()
            one.wait()
        jobs.put(False)
        worker.join()
        process.end()
    samples = Samples(process)
    samples.read(lambda: None)
    process.close()
    tid = worker.native_id or 0

    def asleep(begin_ns: int, end_ns: int) -> int:
        return samples.seen(tid, begin_ns, end_ns).states.get(FUTEX, 0)

    before = sum(asleep(put - 100_000_000, put) for put in put_ns)
    expected = before / (100_000_000 * len(put_ns)) * lacking_ns()  # had it slept on
    seen = sum(asleep(put, ran) for put, ran in zip(put_ns, ran_ns, strict=True))
    assert expected > 10
    assert seen < expected / 3, (len(put_ns), lacking_ns(), expected, seen)


def test_who_says_that_it_begins_to_work_is_looked_at_in_the_next_sweep() -> None:
    jobs: SimpleQueue[bool] = SimpleQueue()
    worked: list[tuple[int, int]] = []

    def work(process: SamplerProcess) -> None:
        while jobs.get():
            process.work_goes_on()  # as the request does that has the job
            process.woke(threading.get_native_id())
            began_ns, sweeps = perf_counter_ns(), process.header().sweeps
            while process.header().sweeps < sweeps + 2:  # one may be under way
                pass
            worked.append((began_ns, perf_counter_ns()))

    with crowd(work, lambda: jobs.put(False)) as found:
        for number in range(1, 17):
            time.sleep(0.2)  # for long enough to be looked at seldom
            jobs.put(True)
            until(lambda number=number: len(worked) == number)  # type: ignore[misc]
        found.until_swept(perf_counter_ns())
    tid = found.worker.native_id or 0
    assert all(found.samples.seen(tid, began, ended).states.get(RUNNING, 0) > 0 for began, ended in worked)


def test_it_rests_without_work_and_sweeps_as_soon_as_there_is_some(tmp_path: Path) -> None:
    whywait.start(output=tmp_path)
    sampler = active_sampler()
    assert ready(sampler)

    def sweeps_in(wait_s: float) -> int:
        before = sampler.header().sweeps
        time.sleep(wait_s)
        return sampler.header().sweeps - before

    until(lambda: sweeps_in(0.3) <= 1)
    spent_ns = sampler.header().cpu_ns
    assert sweeps_in(1) <= 1
    assert sampler.header().cpu_ns - spent_ns < 20_000_000
    with whywait.phase("work"):
        before, start_s = sampler.header().sweeps, time.monotonic()
        until(lambda: sampler.header().sweeps > before)
        assert time.monotonic() - start_s < 1  # the rest lasts five times as long
        assert sweeps_in(0.5) >= 5
    assert not sampler.failure
    whywait.stop()


def test_between_requests_it_sleeps_unless_something_runs(tmp_path: Path) -> None:
    """Well before it rests: a request that begins wakes it, and while a thread computes it does not sleep."""
    whywait.start(output=tmp_path)
    sampler = active_sampler()
    assert ready(sampler)
    computes, ends = threading.Event(), threading.Event()

    def compute() -> None:
        computes.wait()
        while not ends.is_set():
            pass

    def request(length_s: float) -> int:
        with whywait.phase("work"):
            before = sampler.header().sweeps
            time.sleep(length_s)
            return sampler.header().sweeps - before

    def sweeps_after_a_request(wait_s: float) -> int:
        request(0.02)
        time.sleep(0.2)  # until it sleeps
        before = sampler.header().sweeps
        time.sleep(wait_s)
        return sampler.header().sweeps - before

    thread = threading.Thread(target=compute)
    thread.start()
    until(lambda: sweeps_after_a_request(0.3) <= 2)
    # it would have slept for longer
    until(lambda: all(sweeps_after_a_request(0) == 0 and request(0.04) >= 2 for _ in range(5)))
    computes.set()
    until(lambda: sweeps_after_a_request(0.3) >= 8)
    ends.set()
    thread.join()
    whywait.stop()
