"""The spans of a job's way through a process pool, from when a worker was free for it.

    turn                                                                                       done
    |--handover--|--pickling--|--transfer--|--start of the worker--|---run---|--back--|--unpickling--|

What is shorter than the resolution is part of what follows.
"""

from math import sqrt
from typing import Any

from whywait.tracer import schema as s
from whywait.tracer.host.code_location import Place
from whywait.tracer.host.process_clocks import WorkerClock
from whywait.tracer.offcpu.explanation import UNSEEN, OffCpu
from whywait.tracer.records.ids import new_span_id
from whywait.tracer.records.process_job import Part, Passage
from whywait.tracer.records.request import Job
from whywait.tracer.spans.blockers import occupants, place_of
from whywait.tracer.spans.pools.shares import occupant_shares
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
    there_ns = came_ns
    if received is not None and drawing.observed is not None:
        there_ns = drawing.observed.workers.result_ns(received.thread_id, way.at_ns, came_ns)
    way.run(there_ns, used)
    way.wait(s.WAIT_RESUME, came_ns, received.thread_id if received is not None else 0)
    way.phase(s.RECEIVING, received)
    way.phase(s.UNPICKLING, passage.unpickling)


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
        begin_ns = pickling.start_ns
        ahead = [one for one in self._passage.calls.picklings if self.at_ns < one.end_ns <= begin_ns]
        until_ns = min(max((one.end_ns for one in ahead), default=0), self._done_ns)
        if until_ns - self.at_ns >= self._drawing.resolution_ns:
            found = occupant_shares(self.at_ns, until_ns, ahead, self._job.span_id)
            self._add_wait(s.WAIT_POOL_QUEUE, until_ns, UNSEEN, occupants=occupants(*found))
        self.wait(s.WAIT_POOL_HANDOVER, begin_ns, pickling.thread_id)

    def wait_to_be_taken(self, came_ns: int) -> WorkerClock | None:
        """All was sent, and no worker took it: one was still starting, or came late to it. Returns what the worker
        used from then on, where that is known."""
        passage, observed = self._passage, self._observed
        used, calls = passage.used(), passage.calls
        if observed is None or not passage.put_ns or not calls.key:
            return used
        all_put = list(calls.put_ns)
        waiting_ns, taken_ns = observed.workers.taken(calls.key, calls.places, passage.put_ns, all_put, came_ns)
        if waiting_ns - self.at_ns < self._drawing.resolution_ns:
            return used
        until_ns = min((waiting_ns + taken_ns) // 2 if taken_ns else waiting_ns, came_ns)
        # anywhere between two samples
        error_ns = round((taken_ns - waiting_ns) / sqrt(12)) if taken_ns else None
        if passage.starting:  # it used most for its start
            self._add_wait(s.WAIT_POOL_STARTUP, until_ns, OffCpu(error_ns=error_ns), inferred=True, starts_process=True)
            return None
        # there was a free one, which came late to it: it used nothing, but may have been in the run queue
        queued_ns = observed.workers.run_queue_ns(passage.worker, self.at_ns, until_ns)
        self._add_wait(s.WAIT_POOL_HANDOVER, until_ns, OffCpu(run_queue_ns=queued_ns, error_ns=error_ns), inferred=True)
        return used._replace(run_queue_ns=max(used.run_queue_ns - queued_ns, 0)) if used is not None else None

    def run(self, end_ns: int, used: WorkerClock | None) -> None:
        """The job was with a worker."""
        job, worker = self._job, self._passage.worker
        end_ns = max(end_ns, self.at_ns)
        clock = used if used is not None or worker else WorkerClock(job.cpu_ns, 0)
        off_cpu = self._worked(("worker", job.code or job.name, clock is None), worker, end_ns, clock)
        # of what used its CPU, its own process is one
        about = AboutRun(job.span_id, off_cpu._replace(cpu_users=None), place_of(job.code), worker=worker)
        self._add(job.name, job.run_id, end_ns, about)

    def phase(self, prefix: str, part: Part | None) -> None:
        """What a thread of this process did for the job."""
        end_ns = min(part.end_ns, self._done_ns) if part is not None else 0
        if part is None or end_ns - self.at_ns < self._drawing.resolution_ns:
            return
        submitted = self._passage.submitted_at
        place = Place("", submitted.file, submitted.line) if submitted is not None else None
        off_cpu = self._worked(prefix, part.thread_id, end_ns, WorkerClock(part.cpu_ns, part.run_queue_ns or 0))
        about = AboutPhase(self._job.span_id, off_cpu, place, thread_id=part.thread_id)
        self._add(f"{prefix}{self._job.name}", new_span_id(), end_ns, about)

    def _worked(self, kind: object, thread_id: int, end_ns: int, used: WorkerClock | None) -> OffCpu:
        """Explain the stretch until then of a thread that used so much."""
        length_ns = end_ns - self.at_ns
        cpu_ns = min(used.cpu_ns, length_ns) if used is not None else None
        queued_ns = min(used.run_queue_ns, length_ns - used.cpu_ns) if used is not None else 0
        if self._observed is None or not thread_id:
            return OffCpu(cpu_ns or 0, max(queued_ns, 0) or None)
        return self._observed.running(kind, thread_id, [(self.at_ns, end_ns)], cpu_ns, max(queued_ns, 0) or None)

    def wait(self, kind: str, until_ns: int, thread_id: int) -> None:
        """A thread of this process was not there yet."""
        until_ns = min(until_ns, self._done_ns)
        if until_ns - self.at_ns >= self._drawing.resolution_ns:
            off_cpu = UNSEEN
            if self._observed is not None and thread_id:
                off_cpu = self._observed.way_back((kind, "process pool"), thread_id, self.at_ns, until_ns)
            self._add_wait(kind, until_ns, off_cpu)

    def _add_wait(self, kind: str, until_ns: int, off_cpu: OffCpu, **more: Any) -> None:
        job = self._job
        about = AboutWait(job.span_id, kind, off_cpu, pool=job.pool, **more)
        self._drawing.add(kind.replace("_", " "), job, job.span_id, self.at_ns, until_ns, about)
        self.at_ns = until_ns

    def _add(self, name: str, span_id: int, end_ns: int, about: AboutRun | AboutPhase) -> None:
        trace_id, own = self._drawing.request.trace_id, self._job.span_id
        self._drawing.made.append(SpanSpec(name, trace_id, span_id, own, self.at_ns, end_ns, about))
        self.at_ns = end_ns
