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
from whywait.tracer.records.process_job import Line, Part, Passage
from whywait.tracer.records.request import Job
from whywait.tracer.spans.blockers import occupants, place_of
from whywait.tracer.spans.pools.shares import occupant_shares
from whywait.tracer.spans.request_context import Drawing
from whywait.tracer.spans.span_spec import AboutPhase, AboutRun, AboutWait, Occupants, SpanSpec


def add_passage(
    drawing: Drawing, job: Job, passage: Passage, turn_ns: int, done_ns: int, small: dict[str, int]
) -> None:
    """The spans of the job between the two moments."""
    _Way(drawing, job, passage, turn_ns, done_ns, small).draw()


class _Way:
    def __init__(
        self, drawing: Drawing, job: Job, passage: Passage, turn_ns: int, done_ns: int, small: dict[str, int]
    ) -> None:
        self._drawing = drawing
        self._job, self._passage = job, passage
        self._line: Line | None = passage.line
        self._at_ns, self._done_ns = turn_ns, done_ns
        self._small = small

    def draw(self) -> None:
        passage = self._passage
        self._hand_over()
        self._phase("pickling for", passage.pickling)
        self._phase("transfer to the worker of", passage.sending)
        came_ns = self._done_ns
        if passage.receiving is not None:
            came_ns = min(max(passage.receiving.start_ns, self._at_ns), self._done_ns)
        if not self._job.end_ns:  # nobody knows yet
            self._run(came_ns, None)
            return
        used = self._wait_to_be_taken(came_ns)
        rested_ns = came_ns
        observed = self._drawing.observed
        if observed is not None and passage.worker:
            rested_ns = observed.workers.done_ns(passage.worker, self._at_ns, came_ns)
            if came_ns - rested_ns < self._drawing.resolution_ns:
                rested_ns = came_ns
        self._run(rested_ns, used)
        self._wait(s.WAIT_RESUME, came_ns, passage.manager_id)
        self._phase("transfer from the worker of", passage.receiving)
        self._phase("unpickling for", passage.unpickling)

    def _hand_over(self) -> None:
        """A worker was free: the manager's thread had to take the job up, then the one that pickles."""
        passage = self._passage
        if passage.pickling is None:
            return
        self._wait(s.WAIT_POOL_HANDOVER, passage.put_ns, passage.manager_id)
        ahead = list(self._line.picklings) if self._line is not None else []
        begin_ns = passage.pickling.start_ns
        ahead = [one for one in ahead if self._at_ns < one.end_ns <= begin_ns]
        if ahead:
            until_ns = min(max(one.end_ns for one in ahead), self._done_ns)
            if until_ns - self._at_ns >= self._drawing.resolution_ns:
                found = occupant_shares(self._at_ns, until_ns, ahead, self._job.span_id)
                self._add_wait(s.WAIT_POOL_QUEUE, until_ns, UNSEEN, occupied_by=occupants(*found))
        self._wait(s.WAIT_POOL_HANDOVER, begin_ns, passage.pickling.thread_id)

    def _wait_to_be_taken(self, came_ns: int) -> WorkerClock | None:
        """All was sent, and no worker took it: one was still starting, or came late to it. Returns what the worker
        used from then on, where that is known."""
        line, observed, passage = self._line, self._drawing.observed, self._passage
        used = passage.used()
        if line is None or observed is None or not line.key or not passage.queued_ns:
            return used
        waiting_ns, taken_ns = observed.workers.taken(
            line.key, line.places, passage.queued_ns, list(line.jobs_put), came_ns
        )
        if waiting_ns - self._at_ns < self._drawing.resolution_ns:
            return used
        until_ns = min((waiting_ns + taken_ns) // 2 if taken_ns else waiting_ns, came_ns)
        kind = s.WAIT_POOL_STARTUP if passage.starting else s.WAIT_POOL_HANDOVER
        error_ns = (
            round((taken_ns - waiting_ns) / sqrt(12)) if taken_ns else None
        )  # anywhere between two samples
        queued_ns = None
        if passage.starting:
            used = None  # most of it for its start
        else:  # there was a free one, which came late to it: it used nothing, but may have been in the run queue
            queued_ns = observed.workers.without_cpu_ns(passage.worker, self._at_ns, until_ns)
            if used is not None and used.run_queue_ns is not None:
                used = used._replace(run_queue_ns=max(used.run_queue_ns - queued_ns, 0))
        off_cpu = OffCpu(run_queue_ns=queued_ns, error_ns=error_ns)
        self._add_wait(kind, until_ns, off_cpu, inferred=True, starts_process=passage.starting)
        return used

    def _run(self, end_ns: int, used: WorkerClock | None) -> None:
        job = self._job
        worker, observed = self._passage.worker, self._drawing.observed
        length_ns = max(end_ns - self._at_ns, 0)
        cpu_ns = min(max(used.cpu_ns if used is not None else job.cpu_ns, 0), length_ns)
        off_cpu = OffCpu(cpu_ns)
        if worker and observed is not None:
            kind, until_ns = job.code or job.name, self._at_ns + length_ns
            off_cpu = observed.workers.run(kind, worker, self._at_ns, until_ns, used)
        elif worker and used is not None and used.run_queue_ns is not None:
            off_cpu = OffCpu(cpu_ns, min(used.run_queue_ns, length_ns - cpu_ns))
        about = AboutRun(job.span_id, off_cpu, place_of(job.code), worker=worker)
        self._drawing.made.append(
            SpanSpec(
                job.name, self._drawing.request.trace_id, job.run_id, job.span_id, self._at_ns,
                self._at_ns + length_ns, about,
            )
        )  # fmt: skip
        self._at_ns += length_ns

    def _phase(self, words: str, part: Part | None) -> None:
        """What a thread of this process did for the job."""
        if part is None:
            return
        drawing, job = self._drawing, self._job
        end_ns = min(part.end_ns, self._done_ns)
        if end_ns - self._at_ns < drawing.resolution_ns:
            return
        # the part of it that lies before, it did while somebody else was waited for
        share = (end_ns - max(part.start_ns, self._at_ns)) / max(part.end_ns - part.start_ns, 1)
        cpu_ns = min(int(max(part.cpu_ns, 0) * share), end_ns - self._at_ns)
        queued_ns = int(part.run_queue_ns * share) if part.run_queue_ns is not None else None
        if queued_ns is not None:
            queued_ns = min(queued_ns, end_ns - self._at_ns - cpu_ns)
        off_cpu = OffCpu(cpu_ns, queued_ns)
        if drawing.observed is not None:
            stretch = self._at_ns, end_ns
            off_cpu = drawing.observed.running(words, part.thread_id, [stretch], cpu_ns, queued_ns)
        submitted = self._passage.submitted_at
        place = Place("", submitted.file, submitted.line) if submitted is not None else None
        about = AboutPhase(job.span_id, off_cpu, place, thread_id=part.thread_id)
        drawing.made.append(
            SpanSpec(
                f"{words} {job.name}", drawing.request.trace_id, new_span_id(), job.span_id, self._at_ns,
                end_ns, about,
            )
        )  # fmt: skip
        self._at_ns = end_ns

    def _wait(self, kind: str, until_ns: int, thread_id: int) -> None:
        """A thread of this process was not there yet."""
        until_ns = min(until_ns, self._done_ns)
        length_ns = until_ns - self._at_ns
        if length_ns < self._drawing.resolution_ns:
            return
        off_cpu = UNSEEN
        if self._drawing.observed is not None and thread_id:
            about_pool = kind, "process pool"
            off_cpu = self._drawing.observed.way_back(about_pool, thread_id, self._at_ns, until_ns)
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
        name = kind.replace("_", " ")
        self._drawing.add_wait(name, job, job.span_id, self._at_ns, until_ns, about)
        self._at_ns = until_ns
