"""The common context of a request's spans: which activities have spans, and the parent of each span."""

from collections.abc import Mapping, Sequence
from typing import Final

from whywait.tracer.offcpu.thread_observer import Observed
from whywait.tracer.records.ids import new_span_id
from whywait.tracer.records.loop import Loop
from whywait.tracer.records.request import MIN_RESOLUTION_NS, Activity, Job, Request, Wait
from whywait.tracer.spans.past import Past
from whywait.tracer.spans.span_spec import About, SpanSpec

_MANY: Final = 64  # tasks and jobs of a request: of more, those that made nobody late are drawn without their turns


class Drawing:
    """The spans of one request so far."""

    def __init__(
        self, request: Request, past: Past, signals: Sequence[str], max_resolution_ns: int,
        lost: Mapping[str, int], observed: Observed | None = None, cpus: int = 0,
    ) -> None:  # fmt: skip
        self.request = request
        self.past = past
        self.signals = signals
        self.lost = lost
        self.observed = observed
        self.cpus = cpus
        wall_ns = request.end_ns - request.begun_ns  # of a long wait for the server nothing is gained in detail
        self.resolution_ns = min(max_resolution_ns, max(wall_ns // 100, MIN_RESOLUTION_NS))
        self.kept = {id(one): one for one in request.activities if self._matters(one)}
        many = len(request.activities) > _MANY
        self._decisive = {id(one) for one in _decisive(request.root)} if many else None
        self.made: list[SpanSpec] = []
        self._steps: dict[int, tuple[list[int], list[bool]]] = {}  # by span id of an activity
        self.small_phases: dict[int, dict[str, int]] = {}  # by id(activity)
        # by id of a thread's activity: its latest run-queue reading, and when; start and end of its waits with
        # run-queue time, and how much
        self._read: dict[int, tuple[int, int]] = {}
        self._queued: dict[int, list[tuple[int, int, int]]] = {}

    def is_decisive(self, activity: Activity) -> bool:
        """Whether the request may have been late because this activity was; of a few each is drawn in full."""
        return self._decisive is None or id(activity) in self._decisive

    def _matters(self, activity: Activity) -> bool:
        if activity is self.request.root or isinstance(activity, Job):
            return True
        lived_ns = (activity.end_ns or self.request.end_ns) - activity.born_ns
        return lived_ns >= self.resolution_ns

    def steps_of(self, span_id: int) -> tuple[list[int], list[bool]]:
        """When the waits of an activity on the loop ended, and whether a job ended them."""
        found = self._steps.get(span_id)
        if found is None:
            own = (one.waits for one in self.request.activities if one.span_id == span_id)
            waits = [wait for wait in next(own, ()) if not wait.thread]
            ends, by_job = [wait.end_ns for wait in waits], [isinstance(wait.by, Job) for wait in waits]
            found = self._steps[span_id] = ends, by_job
        return found

    def kept_or_spawner(self, activity: Activity | None) -> Activity | None:
        """The activity, or its nearest spawner with a span."""
        while activity is not None and activity.request is self.request and id(activity) not in self.kept:
            activity = activity.spawner
        return activity

    def kept_or_beginner(self, activity: Activity | None) -> Activity | None:
        """The activity, or what began the nearest task with a span: a job that handed a coroutine to the loop has begun
        it, though its context is that of the job's own spawner."""
        while activity is not None and activity.request is self.request and id(activity) not in self.kept:
            by = activity.waits[0].by if activity.waits else None
            if isinstance(by, Job) and by.request is self.request and by.born_ns < activity.born_ns:
                activity = by
            else:
                activity = activity.spawner
        return activity

    def parent_of(self, activity: Activity) -> int:
        """Below its creator, unless a span of the user is in between."""
        spawner = self.kept_or_spawner(activity.spawner)
        if spawner is None:
            return activity.parent_id
        return self.own_parent(spawner, activity.parent_id)

    def own_parent(self, activity: Activity, parent_id: int) -> int:
        """The parent of the activity's spans."""
        if parent_id and parent_id != activity.parent_id:
            return parent_id
        return activity.run_id if isinstance(activity, Job) else activity.span_id

    def loop_of(self, activity: Activity) -> Loop | None:
        """The loop on which it runs, if one is known."""
        return activity.loop or self.request.loop

    def thread_of(self, activity: Activity) -> int:
        """The native id of its thread, 0 if unknown."""
        if isinstance(activity, Job):
            return activity.thread_id
        loop = self.loop_of(activity)
        return (activity.loop is None and self.request.thread_id) or (loop.native_id if loop is not None else 0)

    def limit_of(self, activity: Activity) -> int:
        """The wall-clock end of the activity's span, if another span sets it; else 0."""
        return self.request.end_unix_ns if activity is self.request.root else 0

    def queued_in(self, activity: Activity, wait: Wait) -> int | None:
        """Return a thread's run-queue time in a wait of its own; None if unknown. Call it for waits in the order of
        their ends."""
        if not wait.thread or wait.queue_ns is None or self.observed is None:
            return None
        before = self._read.get(id(activity))
        self._read[id(activity)] = wait.end_ns, wait.queue_ns
        if wait.queue_before_ns is not None:
            return min(max(wait.queue_ns - wait.queue_before_ns, 0), wait.end_ns - wait.start_ns)
        return self.observed.queued_in_wait(self.thread_of(activity), wait, wait.queue_ns, before)

    def note_queued(self, activity: Activity, start_ns: int, end_ns: int, queued_ns: int | None) -> None:
        """Store a thread's run-queue time in a wait of its own."""
        if queued_ns:
            self._queued.setdefault(id(activity), []).append((start_ns, end_ns, queued_ns))

    def queued_beside(self, activity: Activity, start_ns: int, end_ns: int, queued_ns: int | None) -> int | None:
        """Return a thread's run-queue time in a stretch without that of its waits inside."""
        if queued_ns is None:
            return None
        in_waits = self._queued.get(id(activity), ())
        return max(queued_ns - sum(ns for begin, end, ns in in_waits if start_ns <= begin and end <= end_ns), 0)

    def add(
        self, name: str, activity: Activity, parent_id: int, start_ns: int, end_ns: int, about: About, span_id: int = 0
    ) -> None:
        """Adds the span of what an activity did or waited for, below one of its spans."""
        request = self.request
        self.made.append(
            SpanSpec(
                name, request.trace_id, span_id or new_span_id(), self.own_parent(activity, parent_id), start_ns, end_ns,
                about, not_after_unix_ns=self.limit_of(activity),
            )
        )  # fmt: skip


def _decisive(root: Activity) -> list[Activity]:
    """The root, and those of its request that ended a wait of one of them, or began it: of six hundred tasks that are
    gathered, the last."""
    found = {id(root): root}
    for one in (ahead := [root]):  # grows meanwhile
        for each in (one.spawner, *(wait.by for wait in one.waits)):
            if isinstance(each, Activity) and each.request is root.request and id(each) not in found:
                found[id(each)] = each
                ahead.append(each)
    return ahead
