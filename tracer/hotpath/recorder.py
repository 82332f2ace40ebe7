"""Keeps the records of one session until the exporter takes them. Bounded; it counts what it drops."""

import logging
from collections import Counter, deque
from collections.abc import Callable
from threading import RLock
from time import perf_counter_ns
from typing import Any, Protocol, TypeVar

from opentelemetry.sdk.trace import SpanProcessor

from whywait.secret_text import without_secrets
from whywait.tracer.config import KEEP_ALL, Config
from whywait.tracer.host.identity_map import ByIdentity
from whywait.tracer.keeping.request_totals import Totals
from whywait.tracer.keeping.tail_sampling import Keeper
from whywait.tracer.keeping.trace_verdicts import Gates
from whywait.tracer.records.gil_holder import HolderSeen
from whywait.tracer.records.loop import Block, Loop
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.request import Pool, Request
from whywait.tracer.records.thread_names import ThreadLives
from whywait.tracer.sampler.process import SamplerProcess

_QUIET_NS = 200_000_000
_MOST_INTERNAL = 256  # open at a time: a span that is started and forgotten never ends

T = TypeVar("T")
logger = logging.getLogger("whywait")
logger.addFilter(without_secrets)


class Unsent(Protocol):
    """A response that the kernel has not sent yet."""

    request: Request

    def is_sent(self, *, is_last: bool = False) -> bool:
        """Return whether it is sent, or nobody will look again (`is_last`)."""


class AppliedTables(Protocol):
    """The adapters' tables that are applied in one session."""

    def added(self, library: str) -> None:
        """A table was registered."""

    def removed(self, library: str) -> None:
        """A table was removed."""

    def adopt_steps(self, container: Any, rule: Any, method: str, probe: str) -> None:
        """Mark the new steps of a container that is called."""


class Recorder:
    """The shared state of probes (which write) and exporter (which reads). One per session."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.finished: deque[Request] = deque()
        self.open: dict[int, Request] = {}  # by id: those that are open now
        self._give_way: dict[int, Request] = {}  # of them, those of INTERNAL spans, the oldest first
        self._ended_ns = 0  # end of the latest request
        self.background: deque[tuple[str, Block]] = deque(maxlen=1_000)  # long callbacks outside requests
        self.loops: list[Loop] = []
        self.holds: deque[Occupancy] = deque(maxlen=8_192)  # jobs of all pools, as they began
        self.working: dict[int, Occupancy] = {}  # by thread, the latest job: the watchdog drops those that have ended
        self.looks: deque[HolderSeen] = deque(maxlen=20_000)  # samples of threads that held the GIL, or may have
        # ends of responses in the kernel's hands: the watchdog asks each at its pace, until it says that it is sent
        self.unsent: deque[Unsent] = deque()
        self.threads = ThreadLives()
        self.sampler: SamplerProcess | None = None
        self.ring: Callable[[], None] | None = None  # wakes the watchdog, while it rests
        # for any thread of ours that gets the GIL: if the watchdog has no turn now, a loop's function stays unknown
        self.look_at_loops: Callable[[], None] | None = None
        self.lost: Counter[str] = Counter()  # `lose` adds to it
        self._losing = RLock()
        self.signals: tuple[str, ...] = ()
        self.undo: dict[str, Callable[[], None]] = {}
        # coroutines in which a library wraps the user's, and how to find the user's coroutine (or function) in one
        # that has not begun; the library's probe fills it. By the id of their code, whose hash is slow
        self.wrappers: dict[int, Callable[[Any], Any]] = {}
        self.adapters: AppliedTables | None = None
        self.roots: SpanProcessor | None = None  # opens the requests of this session
        self.claimed = False  # a SERVER span has claimed a request: its framework makes them
        # whether a request without a SERVER span gets one of ours
        self.admits: Callable[[Request], bool] = lambda _: True
        # whether all spans are made for us alone, so that a framework's may be made later, of kept requests only
        self.makes_later: Callable[[], bool] = lambda: False
        self.keeper = Keeper(config)
        self.gates = Gates() if config.keep != KEEP_ALL else None
        self.totals = Totals()
        self.pools: ByIdentity[Pool] = ByIdentity()  # by executor or limiter

    def begin(self, request: Request, *, gives_way: bool = False) -> None:
        """Record that this request is open now; `gives_way`: until another one begins inside it."""
        if gives_way:
            if len(self._give_way) >= _MOST_INTERNAL:
                self.gave_way(next(iter(self._give_way.values())))
            self._give_way[id(request)] = request
        self.open[id(request)] = request
        if self.sampler is not None and len(self.open) == 1:
            self.sampler.tell_open(0)
        self.work_goes_on()
        if self.gates is not None and request.own_span is None:
            self.gates.open(request.trace_id)

    def work_goes_on(self) -> None:
        """Have the watchdog and the sampler, which rest while there is nothing to sample, work."""
        ring = self.ring
        if ring is not None:
            ring()
        if self.sampler is not None:
            self.sampler.work_goes_on()

    def _tell_idle(self) -> None:
        sampler = self.sampler
        if sampler is not None:
            sampler.tell_open(perf_counter_ns())
            if self.open:  # another thread opened one just now, and may have told that before
                sampler.tell_open(0)

    def finish(self, request: Request, *, error: bool) -> None:
        """Decide on a request that has ended, and pass it to the exporter if it is kept.

        Never blocks; drops and counts when the exporter lags. A request that began in the parent of a forked
        process is reported by the parent.
        """
        if self._give_way:
            self._give_way.pop(id(request), None)
        if self.open.pop(id(request), None) is None:
            return
        if not self.open:
            self._tell_idle()
        self._ended_ns = request.end_ns
        own = request.own_span is not None
        if not request.sampled_flags & 1 or (own and not self.admits(request)):
            if self.gates is not None:
                self.gates.close(request.trace_id, keep=True)
            request.release()
            return
        wall_ns = request.end_ns - request.start_ns
        decision = request.decision
        if decision is None:
            decision = request.decision = self.keeper.decide(
                request.name, wall_ns, error=error, unfinished=request.unfinished
            )
        self.totals.add(request.name, wall_ns, decision.why)
        if self.gates is not None:
            self.gates.close(request.trace_id, keep=decision.kept)
        if not decision.kept:
            request.release()
            return
        dropped = int(request.lost)
        if dropped:
            self.lose("record", dropped)
        if len(self.finished) >= self.config.max_pending_requests:
            self.lose("request")
            request.release()
            return
        if request.own_span is not None:
            request.own_span.settle()
        self.finished.append(request)

    def tell_open(self, request: Request, so_far: Request) -> None:
        """Pass what is known of a request that goes on to the exporter. If that is kept, so is the request."""
        if not request.sampled_flags & 1 or (so_far.own_span is not None and not self.admits(so_far)):
            return
        decision = self.keeper.decide(so_far.name, so_far.end_ns - so_far.start_ns, error=False, unfinished=True)
        if decision.kept and len(self.finished) < self.config.max_pending_requests:
            request.decision = so_far.decision = decision
            if so_far.own_span is not None:
                so_far.own_span.settle()
            self.finished.append(so_far)

    def gave_way(self, request: Request) -> bool:
        """Whether an open request was that of an INTERNAL span, and none: the work of others begins inside it. Its
        spans of others are kept."""
        if self._give_way.pop(id(request), None) is None:
            return False
        request.open = False
        self.open.pop(id(request), None)
        if not self.open:
            self._tell_idle()
        if self.gates is not None:
            self.gates.close(request.trace_id, keep=True)
        request.release()
        return True

    def close(self) -> None:
        """Drop all open requests: their session stops."""
        self._give_way.clear()
        while self.open:
            request = self.open.popitem()[1]
            request.open = False
            request.release()

    def forget_ended_loops(self, kept: int) -> None:
        """Forget the loops of threads that have ended, but for so many of the latest ones. Called by the exporter."""
        known = self.loops[:]  # other threads append meanwhile
        ended = [one for one in known if one.thread_ended()]
        gone = set(map(id, ended[: max(len(ended) - kept, 0)]))
        if gone:
            self.loops[: len(known)] = [one for one in known if id(one) not in gone]

    def lose(self, kind: str, count: int = 1) -> None:
        """Count what is dropped. Any thread, and any signal handler, may call it."""
        with self._losing:
            self.lost[kind] += count

    def is_busy(self) -> bool:
        """Return whether a request is open, or ended so recently that another one may arrive."""
        return bool(self.open) or perf_counter_ns() - self._ended_ns < _QUIET_NS

    def remove_probe(self, name: str, error: BaseException) -> None:
        """Remove a failing probe and log it once. The host continues as if the probe had never been installed."""
        undo = self.undo.pop(name, None)
        if undo is None:
            return
        self.lose(f"probe {name}")
        try:
            undo()
        finally:
            logger.warning("whywait removed its %s probe after an error: %r", name, error)


active: Recorder | None = None  # set by session.py only


def probe_failed(name: str, error: BaseException) -> None:
    """Called by a probe that caught an internal error."""
    recorder = active
    if recorder is not None:
        recorder.remove_probe(name, error)


def safely(probe: str, record: Callable[..., T], *args: Any, **kwargs: Any) -> T | None:
    """Return what `record` returns; None where it fails, which ends the probe."""
    try:
        return record(*args, **kwargs)
    except Exception as error:
        probe_failed(probe, error)
        return None
