"""The spans of a job's way through a process pool, from when a worker was free for it.

    turn                                                                                       done
    |--handover--|--pickling--|--transfer--|--start of the worker--|--unpickling there--|---run---|--back--|--unpickling--|

What is shorter than the resolution is part of what follows. The worker is not touched: what it takes to unpickle the call
is not seen: about what it took to pickle it, less where that was long in proportion to what is sent.
"""

from math import sqrt
from typing import Any, Final

from whywait.tracer import schema as s
from whywait.tracer.host.code_location import Place
from whywait.tracer.host.process_clocks import WorkerClock
from whywait.tracer.offcpu.explanation import UNSEEN, OffCpu
from whywait.tracer.offcpu.thread_observer import Observed
from whywait.tracer.offcpu.worker_observer import imported_ns, result_ns, taken
from whywait.tracer.records.ids import new_span_id
from whywait.tracer.records.process_job import Part, Passage
from whywait.tracer.records.request import Job
from whywait.tracer.spans.blockers import occupants, place_of
from whywait.tracer.spans.pools.occupant_shares import PoolShares
from whywait.tracer.spans.request_context import Drawing
from whywait.tracer.spans.span_spec import AboutPhase, AboutRun, AboutWait, SpanSpec


def add_passage(drawing: Drawing, job: Job, passage: Passage, turn_ns: int, done_ns: int) -> None:
    """The spans of the job between the two moments."""
    received = passage.receiving
    if received is not None and not passage.worker:
        passage.calls.settle()
    way = _Way(drawing, job, passage, turn_ns, done_ns)
    way.hand_over()
    way.phase(s.PICKLING, passage.pickling)
    way.phase(s.SENDING, passage.sending)
    came_ns = min(max(received.start_ns, way.at_ns), done_ns) if received is not None else done_ns
    used = way.wait_to_be_taken(came_ns) if job.end_ns else None  # else nobody knows yet
    manager_id = received.thread_id if received is not None else 0
    stays = drawing.observed.stays(manager_id, way.at_ns, came_ns) if drawing.observed is not None else ()
    way.run(result_ns(stays, way.at_ns, came_ns), used)
    way.wait(s.WAIT_RESUME, came_ns, manager_id)
    way.phase(s.RECEIVING, received)
    way.phase(s.UNPICKLING, passage.unpickling)


_UNPICKLED_NS: Final = 40  # per byte: as long as small objects take that are of many kinds
_NOTABLE: Final = 0.1  # of the worker's computing


class _Way:
    """What is drawn so far ends at `at_ns`."""

    def __init__(self, drawing: Drawing, job: Job, passage: Passage, turn_ns: int, done_ns: int) -> None:
        self._drawing, self._observed = drawing, drawing.observed
        self._job, self._passage = job, passage
        self.at_ns, self._done_ns = turn_ns, done_ns

    def hand_over(self) -> None:
        """A worker was free: the manager's thread had to take the job up, then the one that pickles."""
        pickling = self._passage.pickling
        if pickling is None:
            return
        ahead = [one for one in self._passage.calls.picklings if self.at_ns < one.end_ns <= pickling.start_ns]
        until_ns = min(max((one.end_ns for one in ahead), default=self.at_ns), self._done_ns)
        if until_ns > self.at_ns:
            found = PoolShares(ahead).between(self.at_ns, until_ns)
            self.wait(s.WAIT_POOL_QUEUE, until_ns, occupants=occupants(*found))
        self.wait(s.WAIT_POOL_HANDOVER, pickling.start_ns, pickling.thread_id)

    def wait_to_be_taken(self, came_ns: int) -> WorkerClock | None:
        """All was sent, and no worker took it: one was still starting, or came late to it. Returns what the worker
        used from then on, where that is known."""
        passage, observed = self._passage, self._observed
        used, calls = passage.used(), passage.calls
        if observed is None or not passage.put_ns:
            return used
        stays = observed.stays(calls.key, passage.put_ns, came_ns)
        waiting_ns, taken_ns = taken(stays, calls.places, passage.put_ns, list(calls.put_ns), came_ns)
        ready_ns = self._imported_ns(observed, came_ns)
        if max(waiting_ns, ready_ns) - self.at_ns < self._drawing.resolution_ns:
            return used
        taken_ns = taken_ns or waiting_ns
        until_ns = max(min((waiting_ns + taken_ns) // 2, came_ns), ready_ns)
        error_ns = round((taken_ns - waiting_ns) / sqrt(12)) or None  # anywhere between two samples
        if passage.starting:
            about = OffCpu(error_ns=error_ns)
            self.wait(s.WAIT_POOL_STARTUP, until_ns, off_cpu=about, inferred=True, starts_process=True)
            return None  # it used most for that
        # a free one, which came late to it, used nothing, but may have been in the run queue
        queued_ns = observed.run_queue_ns(passage.worker, [(self.at_ns, until_ns)])
        self.wait(
            s.WAIT_POOL_HANDOVER, until_ns, off_cpu=OffCpu(run_queue_ns=queued_ns, error_ns=error_ns), inferred=True
        )
        return used and used._replace(run_queue_ns=max(used.run_queue_ns - queued_ns, 0))

    def _imported_ns(self, observed: Observed, came_ns: int) -> int:
        """When the worker, or the first that it may have been, had imported what it runs; 0: it was up before."""
        if not self._passage.starting:
            return 0
        maybe = [self._passage.worker] if self._passage.worker else [*self._passage.after]
        stays = (observed.stays(one, self.at_ns, came_ns) for one in maybe)
        return min((imported_ns(one, self.at_ns, came_ns) for one in stays), default=0)

    def run(self, end_ns: int, used: WorkerClock | None) -> None:
        job, worker = self._job, self._passage.worker
        clock = used if used is not None or worker else WorkerClock(job.cpu_ns, 0)
        if clock is not None:
            clock = self._unpickle(end_ns, clock)
        about = AboutRun(job.span_id, place=place_of(job.code), worker=worker)
        self._add(job.name, job.run_id, max(end_ns, self.at_ns), worker, clock, about)

    def _unpickle(self, end_ns: int, used: WorkerClock) -> WorkerClock:
        """The worker unpickles the call first; its clocks and its other time are shared in proportion. Returns the rest."""
        job, passage = self._job, self._passage
        pickled_ns = passage.pickling.cpu_ns if passage.pickling is not None else 0
        cpu_ns = min(pickled_ns, passage.sent * _UNPICKLED_NS, used.cpu_ns)
        if cpu_ns < max(self._drawing.resolution_ns, _NOTABLE * used.cpu_ns) or end_ns <= self.at_ns:
            return used
        part = WorkerClock(cpu_ns, used.run_queue_ns * cpu_ns // used.cpu_ns)
        until_ns = self.at_ns + (end_ns - self.at_ns) * cpu_ns // used.cpu_ns
        about = AboutPhase(job.span_id, thread_id=passage.worker, inferred=True)
        self._add(f"{s.UNPICKLING_THERE}{job.name}", new_span_id(), until_ns, passage.worker, part, about)
        return WorkerClock(used.cpu_ns - cpu_ns, used.run_queue_ns - part.run_queue_ns)

    def phase(self, prefix: str, part: Part | None) -> None:
        """What a thread of this process did for the job."""
        end_ns = min(part.end_ns, self._done_ns) if part is not None else 0
        if part is not None and end_ns - self.at_ns >= self._drawing.resolution_ns:
            submitted = self._passage.submitted_at
            place = Place("", submitted.file, submitted.line) if submitted is not None else None
            about = AboutPhase(self._job.span_id, place=place, thread_id=part.thread_id)
            clock = WorkerClock(part.cpu_ns, part.run_queue_ns or 0)
            self._add(f"{prefix}{self._job.name}", new_span_id(), end_ns, part.thread_id, clock, about)

    def _add(
        self, name: str, span_id: int, end_ns: int, thread_id: int, used: WorkerClock | None,
        about: AboutRun | AboutPhase,
    ) -> None:  # fmt: skip
        """What a thread did until then, and used for it, if that is known."""
        length_ns = end_ns - self.at_ns
        cpu_ns = min(used.cpu_ns, length_ns) if used is not None else None
        queued_ns = min(used.run_queue_ns, max(length_ns - used.cpu_ns, 0)) or None if used is not None else None
        off_cpu = OffCpu(cpu_ns or 0, queued_ns)
        if self._observed is not None and thread_id:
            stretch, kind = (self.at_ns, end_ns), (name, about.kind, used is None)
            off_cpu = self._observed.running(kind, thread_id, [stretch], cpu_ns, queued_ns)
        if thread_id == self._passage.worker:  # its own process is one of those that used the CPUs
            off_cpu = off_cpu._replace(cpu_users=None)
        trace_id, own, about = self._drawing.request.trace_id, self._job.span_id, about._replace(off_cpu=off_cpu)
        self._drawing.made.append(SpanSpec(name, trace_id, span_id, own, self.at_ns, end_ns, about))
        self.at_ns = end_ns

    def wait(self, kind: str, until_ns: int, thread_id: int = 0, off_cpu: OffCpu = UNSEEN, **more: Any) -> None:
        """Somebody was not there yet: a thread of this process, if that is known."""
        until_ns = min(until_ns, self._done_ns)
        if until_ns - self.at_ns < self._drawing.resolution_ns:
            return
        if self._observed is not None and thread_id:
            off_cpu = self._observed.way_back((kind, "process pool"), [(thread_id, self.at_ns, until_ns)])
        about = AboutWait(self._job.span_id, kind, off_cpu, pool=self._job.pool, **more)
        self._drawing.add(kind.replace("_", " "), self._job, self._job.span_id, self.at_ns, until_ns, about)
        self.at_ns = until_ns
