"""The spans of a job's way through a process pool, from when a worker was free for it.

    turn                                                                                       done
    |--handover--|--pickling--|--transfer--|--start of the worker--|---run---|--back--|--unpickling--|

What is shorter than the resolution is part of what follows.
"""

from math import sqrt

from whywait.tracer import schema as s
from whywait.tracer.host.process_clocks import WorkerClock
from whywait.tracer.offcpu.attributes import Attributes
from whywait.tracer.records.ids import new_span_id
from whywait.tracer.records.process_job import Line, Part, Passage
from whywait.tracer.records.request import Job
from whywait.tracer.spans.attributes import place, put_occupants, put_place, put_pool
from whywait.tracer.spans.request_context import Drawing
from whywait.tracer.spans.segments import occupant_shares
from whywait.tracer.spans.span_spec import SpanSpec, span_hex


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
                attributes = self._attributes(s.WAIT_POOL_QUEUE)
                found = occupant_shares(self._at_ns, until_ns, ahead, self._job.span_id)
                links = put_occupants(attributes, self._drawing.request, *found)
                self._add_wait(s.WAIT_POOL_QUEUE, until_ns, attributes, links)
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
        attributes = self._attributes(kind)
        attributes[s.EVIDENCE] = s.EVIDENCE_INFERRED
        if taken_ns:  # anywhere between the two looks
            attributes[s.ERROR_NS] = round((taken_ns - waiting_ns) / sqrt(12))
        if passage.starting:
            attributes[s.PROCESS] = True
            used = None  # most of it for its start
        else:  # there was a free one, which came late to it: it used nothing, but may have lacked a CPU
            queued_ns = observed.workers.without_cpu_ns(passage.worker, self._at_ns, until_ns)
            attributes[s.RUN_QUEUE_NS] = queued_ns
            if used is not None and used.run_queue_ns is not None:
                used = used._replace(run_queue_ns=max(used.run_queue_ns - queued_ns, 0))
        self._add_wait(kind, until_ns, attributes, ())
        return used

    def _run(self, end_ns: int, used: WorkerClock | None) -> None:
        job = self._job
        attributes: Attributes = {
            s.KIND: s.KIND_RUN,
            s.ACTIVITY: span_hex(job.span_id),
            s.PROCESS: True,
        }
        put_place(attributes, place(job.code))
        worker, observed = self._passage.worker, self._drawing.observed
        length_ns = max(end_ns - self._at_ns, 0)
        cpu_ns = min(max(used.cpu_ns if used is not None else job.cpu_ns, 0), length_ns)
        attributes[s.CPU_NS] = cpu_ns
        if worker:
            attributes[s.WORKER] = worker
            if used is not None and used.run_queue_ns is not None:
                attributes[s.RUN_QUEUE_NS] = min(used.run_queue_ns, length_ns - cpu_ns)
            if observed is not None:
                observed.workers.put_run(
                    attributes, job.code or job.name, worker, self._at_ns, self._at_ns + length_ns, used
                )
        self._drawing.made.append(
            SpanSpec(
                job.name, self._drawing.request.trace_id, job.run_id, job.span_id, self._at_ns,
                self._at_ns + length_ns, attributes,
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
        attributes: Attributes = {
            s.KIND: s.KIND_PHASE,
            s.ACTIVITY: span_hex(job.span_id),
            s.CPU_NS: cpu_ns,
            s.THREAD_ID: part.thread_id,
        }
        if queued_ns is not None:
            attributes[s.RUN_QUEUE_NS] = min(queued_ns, end_ns - self._at_ns - cpu_ns)
        submitted = self._passage.submitted_at
        if submitted is not None:
            attributes[s.CODE_FILE], attributes[s.CODE_LINE] = submitted.file, submitted.line
        if drawing.observed is not None:
            drawing.observed.put_running(
                attributes, words, part.thread_id, [(self._at_ns, end_ns)], cpu_ns, queued_ns
            )
        drawing.made.append(
            SpanSpec(
                f"{words} {job.name}", drawing.request.trace_id, new_span_id(), job.span_id, self._at_ns,
                end_ns, attributes,
            )
        )  # fmt: skip
        self._at_ns = end_ns

    def _wait(self, kind: str, until_ns: int, thread_id: int) -> None:
        """A thread of this process was not there yet."""
        until_ns = min(until_ns, self._done_ns)
        length_ns = until_ns - self._at_ns
        if length_ns < self._drawing.resolution_ns:
            return
        attributes = self._attributes(kind)
        if self._drawing.observed is not None and thread_id:
            self._drawing.observed.put_back(
                attributes, (kind, "process pool"), thread_id, self._at_ns, until_ns
            )
        self._add_wait(kind, until_ns, attributes, ())

    def _attributes(self, kind: str) -> Attributes:
        attributes = self._drawing.wait_attributes(self._job, kind)
        put_pool(attributes, self._job.pool)
        return attributes

    def _add_wait(
        self, kind: str, until_ns: int, attributes: Attributes, links: tuple[tuple[int, int], ...]
    ) -> None:
        name, own = kind.replace("_", " "), self._job.span_id
        self._drawing.add_wait_span(name, self._job, own, self._at_ns, until_ns, attributes, links)
        self._at_ns = until_ns
