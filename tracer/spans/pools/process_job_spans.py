"""The spans of a job's way through a process pool, from when a worker was free for it.

    turn                                                                                       done
    |--handover--|--pickling--|--transfer--|--start of the worker--|---run---|--back--|--unpickling--|

What is shorter than the resolution is part of what follows.
"""

from math import sqrt

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
from whywait.tracer.spans.span_spec import AboutPhase, AboutRun, AboutWait, Occupants, SpanSpec


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
    if not job.end_ns:  # nobody knows yet
        way.run(came_ns, None)
        return
    used = way.wait_to_be_taken(came_ns)
    manager_id = received.thread_id if received is not None else 0
    way.run(way.result_ns(manager_id, came_ns), used)
    way.wait(s.WAIT_RESUME, came_ns, manager_id)
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
            self._add_wait(s.WAIT_POOL_QUEUE, until_ns, UNSEEN, occupied_by=occupants(*found))
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
        maybe = ([passage.worker] if passage.worker else passage.after) if passage.starting else ()
        imported_ns = min((observed.workers.imported_ns(one, self.at_ns, came_ns) for one in maybe), default=0)
        if max(waiting_ns, imported_ns) - self.at_ns < self._drawing.resolution_ns:
            return used
        until_ns = max(min((waiting_ns + taken_ns) // 2 if taken_ns else waiting_ns, came_ns), imported_ns)
        # anywhere between two samples
        error_ns = round((taken_ns - waiting_ns) / sqrt(12)) if taken_ns else None
        if passage.starting:  # it used most for its start
            off_cpu = OffCpu(error_ns=error_ns)
            self._add_wait(s.WAIT_POOL_STARTUP, until_ns, off_cpu, inferred=True, starts_process=True)
            return None
        # there was a free one, which came late to it: it used nothing, but may have been in the run queue
        queued_ns = observed.workers.run_queue_ns(passage.worker, self.at_ns, until_ns)
        self._add_wait(s.WAIT_POOL_HANDOVER, until_ns, OffCpu(run_queue_ns=queued_ns, error_ns=error_ns), inferred=True)
        if used is None or used.run_queue_ns is None:
            return used
        return used._replace(run_queue_ns=max(used.run_queue_ns - queued_ns, 0))

    def result_ns(self, manager_id: int, came_ns: int) -> int:
        """When the result was there to be taken; as it came, where that makes no difference."""
        if self._observed is None or not manager_id:
            return came_ns
        there_ns = self._observed.workers.result_ns(manager_id, self.at_ns, came_ns)
        return there_ns if came_ns - there_ns >= self._drawing.resolution_ns else came_ns

    def run(self, end_ns: int, used: WorkerClock | None) -> None:
        """The job was with a worker."""
        job, worker, observed = self._job, self._passage.worker, self._observed
        length_ns = max(end_ns - self.at_ns, 0)
        cpu_ns = min(max(used.cpu_ns if used is not None else job.cpu_ns, 0), length_ns)
        off_cpu = OffCpu(cpu_ns)
        if worker and observed is not None:
            kind, until_ns = job.code or job.name, self.at_ns + length_ns
            off_cpu = observed.workers.run(kind, worker, self.at_ns, until_ns, used)
        elif worker and used is not None and used.run_queue_ns is not None:
            off_cpu = OffCpu(cpu_ns, min(used.run_queue_ns, length_ns - cpu_ns))
        about = AboutRun(job.span_id, off_cpu, place_of(job.code), worker=worker)
        self._add(job.name, job.run_id, self.at_ns + length_ns, about)

    def phase(self, prefix: str, part: Part | None) -> None:
        """What a thread of this process did for the job."""
        end_ns = min(part.end_ns, self._done_ns) if part is not None else 0
        length_ns = end_ns - self.at_ns
        if part is None or length_ns < self._drawing.resolution_ns:
            return
        # the part of it that lies before, it did while somebody else was waited for
        share = (end_ns - max(part.start_ns, self.at_ns)) / max(part.end_ns - part.start_ns, 1)
        cpu_ns = min(int(max(part.cpu_ns, 0) * share), length_ns)
        known = part.run_queue_ns is not None
        queued_ns = min(int(part.run_queue_ns * share), length_ns - cpu_ns) if known else None  # type: ignore[operator]
        off_cpu = OffCpu(cpu_ns, queued_ns)
        if self._observed is not None:
            off_cpu = self._observed.running(prefix, part.thread_id, [(self.at_ns, end_ns)], cpu_ns, queued_ns)
        submitted = self._passage.submitted_at
        place = Place("", submitted.file, submitted.line) if submitted is not None else None
        about = AboutPhase(self._job.span_id, off_cpu, place, thread_id=part.thread_id)
        self._add(f"{prefix}{self._job.name}", new_span_id(), end_ns, about)

    def wait(self, kind: str, until_ns: int, thread_id: int) -> None:
        """A thread of this process was not there yet."""
        until_ns = min(until_ns, self._done_ns)
        if until_ns - self.at_ns >= self._drawing.resolution_ns:
            off_cpu = UNSEEN
            if self._observed is not None and thread_id:
                off_cpu = self._observed.way_back((kind, "process pool"), thread_id, self.at_ns, until_ns)
            self._add_wait(kind, until_ns, off_cpu)

    def _add_wait(
        self, kind: str, until_ns: int, off_cpu: OffCpu, *, occupied_by: Occupants | None = None,
        inferred: bool = False, starts_process: bool = False,
    ) -> None:  # fmt: skip
        job = self._job
        about = AboutWait(
            job.span_id, kind, off_cpu, pool=job.pool, occupants=occupied_by, starts_process=starts_process,
            inferred=inferred,
        )  # fmt: skip
        self._drawing.add(kind.replace("_", " "), job, job.span_id, self.at_ns, until_ns, about)
        self.at_ns = until_ns

    def _add(self, name: str, span_id: int, end_ns: int, about: AboutRun | AboutPhase) -> None:
        trace_id, own = self._drawing.request.trace_id, self._job.span_id
        self._drawing.made.append(SpanSpec(name, trace_id, span_id, own, self.at_ns, end_ns, about))
        self.at_ns = end_ns
