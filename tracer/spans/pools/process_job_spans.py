"""The spans of a job's way through a process pool, from when a worker was free for it.

    turn                                                                                       done
    |--handover--|--pickling--|--transfer--|--start of the worker--|--unpickling there--|---run---|--back--|--unpickling--|

What is shorter than the resolution is part of what follows. The worker is not touched: what it takes to unpickle the call
is not seen: about what it took to pickle it, less where that was long in proportion to what is sent.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

from whywait.tracer import schema as s
from whywait.tracer.host.process_clocks import WorkerClock
from whywait.tracer.offcpu.explanation import UNSEEN, OffCpu
from whywait.tracer.records.process_job import Part, Passage
from whywait.tracer.records.request import Job
from whywait.tracer.sampler.shared.thread_records import POLL, RUNNING
from whywait.tracer.sampler.thread_samples import Stay
from whywait.tracer.spans.blockers import occupants, place_of
from whywait.tracer.spans.pools.occupant_shares import PoolShares
from whywait.tracer.spans.request_context import Drawing
from whywait.tracer.spans.span_spec import AboutPhase, AboutRun, AboutWait, wait_name


def add_passage(drawing: Drawing, job: Job, passage: Passage, turn_ns: int, done_ns: int) -> None:
    """The spans of the job between the two moments."""
    received = passage.receiving
    if received.thread_id and not passage.worker:
        passage.calls.settle()
    way = _Way(drawing, job, passage, turn_ns, done_ns)
    way.hand_over()
    way.phase(s.PICKLING, passage.pickling, s.TRANSFER_PICKLED)
    way.phase(s.SENDING, passage.sending, s.TRANSFER_PIPED)
    came_ns = min(max(received.start_ns or done_ns, way.at_ns), done_ns)
    used = way.wait_to_be_taken(came_ns) if job.end_ns else None  # else nobody knows yet
    stays = drawing.observed.stays(received.thread_id, way.at_ns, came_ns) if drawing.observed is not None else ()
    way.run(result_ns(stays, way.at_ns, came_ns), used)
    way.wait(s.WAIT_RESUME, came_ns, received.thread_id)
    way.phase(s.RECEIVING, received, s.TRANSFER_PIPED)
    way.phase(s.UNPICKLING, passage.unpickling, s.TRANSFER_PICKLED)


_UNPICKLED_NS: Final = 40  # per byte: as long as small objects take that are of many kinds
_NOTABLE: Final = 0.1  # of the worker's computing
_IMPORTS, _FEW = 100, 10  # read calls: of a process that imports, and of a job that does not


@dataclass
class _Way:
    drawing: Drawing
    job: Job
    passage: Passage
    at_ns: int  # what is drawn so far ends then
    done_ns: int

    def hand_over(self) -> None:
        """A worker was free, or began: the manager's thread had to take the job up, then the one that pickles."""
        pickling = self.passage.pickling
        ahead = [one for one in self.passage.calls.picklings if self.at_ns < one.end_ns <= pickling.start_ns]
        until_ns = min(max((one.end_ns for one in ahead), default=self.at_ns), self.done_ns)
        if until_ns > self.at_ns:
            found = PoolShares(ahead).between(self.at_ns, until_ns)
            self.wait(s.WAIT_POOL_QUEUE, until_ns, occupants=occupants(*found))
        if self.passage.none_up:  # the manager's thread ends the one before it, begins this one
            self.wait(s.WAIT_POOL_STARTUP, pickling.start_ns, inferred=True, starts_process=True)
        self.wait(s.WAIT_POOL_HANDOVER, pickling.start_ns, pickling.thread_id)

    def wait_to_be_taken(self, came_ns: int) -> WorkerClock | None:
        """All was sent, and no worker took it: one was still starting, or came late to it. Returns what the worker
        used from then on, where that is known."""
        passage, observed = self.passage, self.drawing.observed
        used, calls = passage.used(), passage.calls
        if observed is None or not passage.put_ns:
            return used
        stays = observed.stays(calls.key, passage.put_ns, came_ns)
        waiting_ns, taken_ns = taken(stays, calls.places, passage.put_ns, list(calls.put_ns), came_ns)
        # when the worker, or the first that it may have been, had imported what it runs; 0: it was up before
        maybe = ([passage.worker] if passage.worker else [*passage.after]) if passage.starting else []
        starts = (observed.stays(one, self.at_ns, came_ns) for one in maybe)
        ready_ns = min((imported_ns(one, self.at_ns, came_ns) for one in starts), default=0)
        if max(waiting_ns, ready_ns) - self.at_ns < self.drawing.resolution_ns:
            return used
        taken_ns = taken_ns or waiting_ns
        until_ns = max(min((waiting_ns + taken_ns) // 2, came_ns), ready_ns)
        error_ns = round((taken_ns - waiting_ns) / sqrt(12)) or None  # anywhere between two samples
        if passage.starting:
            kind, queued_ns = s.WAIT_POOL_STARTUP, None
        else:  # a free one, which came late to it, used nothing, but may have been in the run queue
            kind, queued_ns = s.WAIT_POOL_HANDOVER, observed.run_queue_ns(passage.worker, [(self.at_ns, until_ns)])
        about = OffCpu(run_queue_ns=queued_ns, error_ns=error_ns)
        self.wait(kind, until_ns, off_cpu=about, inferred=True, starts_process=passage.starting)
        if queued_ns is None or used is None:
            return None  # who starts used most for that
        return used._replace(run_queue_ns=max(used.run_queue_ns - queued_ns, 0))

    def run(self, end_ns: int, used: WorkerClock | None) -> None:
        job, worker = self.job, self.passage.worker
        clock = used if used is not None or worker else WorkerClock(job.cpu_ns, 0)
        if clock is not None:
            clock = self._unpickle(end_ns, clock)
        about = AboutRun(job.span_id, place=place_of(job.code), worker=worker)
        self._add(job.name, max(end_ns, self.at_ns), worker, clock, about, job.run_id)

    def _unpickle(self, end_ns: int, used: WorkerClock) -> WorkerClock:
        """The worker unpickles the call first; its clocks and its other time are shared in proportion. Returns the rest."""
        job, passage = self.job, self.passage
        cpu_ns = min(passage.pickling.cpu_ns, passage.sent * _UNPICKLED_NS, used.cpu_ns)
        if cpu_ns < max(self.drawing.resolution_ns, _NOTABLE * used.cpu_ns) or end_ns <= self.at_ns:
            return used
        part = WorkerClock(cpu_ns, used.run_queue_ns * cpu_ns // used.cpu_ns)
        until_ns = self.at_ns + (end_ns - self.at_ns) * cpu_ns // used.cpu_ns
        about = AboutPhase(job.span_id, transfer=s.TRANSFER_PICKLED, thread_id=passage.worker, inferred=True)
        self._add(f"{s.UNPICKLING_THERE}{job.name}", until_ns, passage.worker, part, about)
        return WorkerClock(used.cpu_ns - cpu_ns, used.run_queue_ns - part.run_queue_ns)

    def phase(self, prefix: str, part: Part, transfer: str) -> None:
        """What a thread of this process did for the job."""
        end_ns = min(part.end_ns, self.done_ns)
        if end_ns - self.at_ns >= self.drawing.resolution_ns:
            submitted = self.passage.submitted_at
            place = submitted and submitted._replace(function="")
            about = AboutPhase(self.job.span_id, place=place, transfer=transfer, thread_id=part.thread_id)
            self._add(f"{prefix}{self.job.name}", end_ns, part.thread_id, part, about)

    def _add(
        self, name: str, end_ns: int, thread_id: int, used: WorkerClock | Part | None,
        about: AboutRun | AboutPhase, span_id: int = 0,
    ) -> None:  # fmt: skip
        """What a thread did until then, and used for it, if that is known."""
        length_ns = end_ns - self.at_ns
        cpu_ns = min(used.cpu_ns, length_ns) if used is not None else None
        queued_ns = min(used.run_queue_ns, max(length_ns - used.cpu_ns, 0)) or None if used is not None else None
        off_cpu = OffCpu(cpu_ns or 0, queued_ns)
        if self.drawing.observed is not None and thread_id:
            stretch, kind = (self.at_ns, end_ns), (name, about.kind, used is None)
            off_cpu = self.drawing.observed.running(kind, thread_id, [stretch], cpu_ns, queued_ns)
        if thread_id == self.passage.worker:  # its own process is one of those that used the CPUs
            off_cpu = off_cpu._replace(cpu_users=None)
        own, about = self.job.span_id, about._replace(off_cpu=off_cpu)
        self.drawing.add(name, self.job, own, self.at_ns, end_ns, about, span_id)
        self.at_ns = end_ns

    def wait(self, kind: str, until_ns: int, thread_id: int = 0, off_cpu: OffCpu = UNSEEN, **more: Any) -> None:
        """Somebody was not there yet: a thread of this process, if that is known."""
        until_ns = min(until_ns, self.done_ns)
        if until_ns - self.at_ns < self.drawing.resolution_ns:
            return
        if self.drawing.observed is not None and thread_id:
            off_cpu = self.drawing.observed.way_back((kind, "process pool"), [(thread_id, self.at_ns, until_ns)])
        about = AboutWait(self.job.span_id, kind, off_cpu, pool=self.job.pool, **more)
        self.drawing.add(wait_name(kind), self.job, self.job.span_id, self.at_ns, until_ns, about)
        self.at_ns = until_ns


def taken(stays: Sequence[Stay], size: int, queued_ns: int, jobs_put: Sequence[int], until_ns: int) -> tuple[int, int]:
    """Return when a job queued at `queued_ns` was last sampled waiting, and when it was taken (0: never): when no
    more jobs are in the queue than were added after it. `stays` are of the free places."""
    later = bisect_right(jobs_put, queued_ns)
    waiting_ns = 0
    for stay in stays:
        seen_ns = max(stay.first_ns, queued_ns)
        on_their_way = size - stay.number
        if on_their_way <= bisect_right(jobs_put, seen_ns) - later:
            return waiting_ns, seen_ns
        last = later + on_their_way - 1  # the last of the later jobs: with that one it was taken
        if last < len(jobs_put) and jobs_put[last] <= stay.last_ns:
            return min(seen_ns, until_ns), jobs_put[last]
        waiting_ns = min(stay.last_ns, until_ns)
    return waiting_ns, 0


def result_ns(stays: Sequence[Stay], start_ns: int, end_ns: int) -> int:
    """Return when the thread that takes results at `end_ns`, whose `stays` these are, was last sampled waiting for one,
    at or before that: what follows is its own delay."""
    woken_ns = 0
    for stay in reversed(stays):
        if stay.state == POLL:
            return (min(stay.last_ns, end_ns) + woken_ns) // 2 if woken_ns else end_ns
        woken_ns = max(stay.first_ns, start_ns)
    return end_ns


def imported_ns(stays: Sequence[Stay], start_ns: int, end_ns: int) -> int:
    """Return when a worker that starts, whose `stays` these are, had imported what it runs: from then on it read hardly
    anything; `start_ns` where it read little at all."""
    ran = [one for one in stays if one.state == RUNNING and one.number]
    if not ran or ran[-1].number - ran[0].number < _IMPORTS:
        return start_ns
    return min(max(one.last_ns for one in ran if ran[-1].number - one.number >= _FEW), end_ns)
