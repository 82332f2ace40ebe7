"""The SDK's batch processor with counted loss and a bounded shutdown: an exporter that fails or is slow keeps no more
than a queue of spans in memory, and does not delay the host's end."""

import itertools
import os
import threading
import time
from collections.abc import Callable, Sequence
from math import inf
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from whywait.tracer.export.sdk_internals import default_room, end_at_fork, ending_at_fork, hurry, name_thread, queue_of
from whywait.tracer.host.own_thread import hide_here, signals_of_host
from whywait.tracer.hotpath.recorder import Recorder, logger

# spans that wait for the exporter: in a burst, and while it accepts nothing (a span is some 5 kB);
# OTEL_BSP_MAX_QUEUE_SIZE overrides them
ROOM: Final = 65_536
ROOM_IDLE: Final = 8_192
_IDLE_S: Final = 2.0  # an exporter that needs longer for one part counts as blocked
_SLOW_S: Final = 0.5  # a part that failed after a longer time is not retried at the end
_BATCH: Final = 2_048
_PAUSE_S: Final = 0.002
_THREAD: Final = "whywait-queue"
_SETTLE_S: Final = 0.001
_GRACE_S: Final = 0.05  # for the part that is being exported when the time is over
_LAST_S: Final = 0.2  # the least for a last span, which tells what was lost
_NO_TIME: Final = "there was no more time for them"
_DROPS: Final = (
    "whywait: drops spans: %s does not accept them (%s). The service continues, and reports count the dropped spans. "
    "Check that %s can be reached or written to."
)
_DROPPED: Final = "whywait: dropped %d spans of process %d: %s did not accept them. Its traces are incomplete."
_PAUSE_ALONE_S: Final = 0.0002  # while no request is open


class SpanQueue(BatchSpanProcessor):
    """Passes ended spans to `exporter` in the background. `target` is its name in messages, `part` how many spans are
    encoded between two pauses, `stop_s` how long `shutdown` waits at most, `let_go` is called in a forked child."""

    def __init__(
        self, exporter: SpanExporter, target: str, recorder: Recorder, *, part: int, stop_s: float,
        let_go: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._stop_s = stop_s
        self._let_go = let_go
        self._parts = _InParts(exporter, target, recorder, part)
        self._recorder = recorder
        self._target = target
        self._numbers = itertools.count(1)
        self._accepted = 0
        self._until_s = inf
        with ending_at_fork(self._parts), signals_of_host():
            if any(name.startswith("OTEL_BSP_") for name in os.environ):
                super().__init__(self._parts)
                self.room = default_room(self)
            else:
                super().__init__(
                    self._parts, max_queue_size=ROOM, schedule_delay_millis=1_000, max_export_batch_size=_BATCH
                )
                self.room = ROOM
        self._queue = queue_of(self)
        name_thread(self._queue, _THREAD)  # identifies the thread as whywait's

    @property
    def waiting(self) -> int:
        """The number of this queue's spans in memory: at most `room` and the current batch, or `ROOM_IDLE` and
        that batch while the exporter is blocked."""
        return self._accepted - self._parts.settled

    def on_end(self, span: ReadableSpan) -> None:
        """Called by the SDK. Queue the span, or drop and count it if the queue is full."""
        if span.context is None or not span.context.trace_flags.sampled or self._parts.over:
            return
        queued = self._accepted - self._parts.taken
        if queued >= self.room or (queued >= ROOM_IDLE and self._parts.is_idle()):
            self._parts.lose(1, "its queue is full")
            return
        self._accepted = next(self._numbers)
        self._queue.emit(span)

    def hurry(self, until_s: float) -> None:
        """Export at once what waits and what comes, until this time of the monotonic clock, or for `stop_s` if that is
        shorter; then give it up."""
        self._until_s = self._parts.until_s = min(until_s, time.monotonic() + self._stop_s)
        self._parts.ending = True
        hurry(self._queue)

    def settle(self) -> None:
        """After `hurry`: wait until everything is exported or given up. Then one more span is taken."""
        while self.waiting and time.monotonic() < self._until_s + _GRACE_S:
            if self._parts.is_hopeless():
                self._parts.shutdown()  # it may be pausing between two tries
            time.sleep(_SETTLE_S)
        if self.waiting > 0:
            self._give_up_rest()
        else:
            self._parts.until_s = inf

    def _give_up_rest(self) -> None:
        """Also what an exporter that does not answer has in its hands."""
        if not self._parts.over:
            self._parts.over = True
            left = next(self._numbers) - 1 - self._parts.settled
            if left > 0:
                self._parts.lose(left, _NO_TIME)

    def shutdown(self) -> None:
        self._parts.ending = True
        if self._parts.is_hopeless():
            self._parts.shutdown()
        timeout_s = 0.0 if self._parts.over else min(max(self._until_s - time.monotonic(), _LAST_S), self._stop_s)
        self._queue.shutdown(timeout_millis=timeout_s * 1_000)
        self._give_up_rest()
        if self._parts.lost:
            logger.warning(_DROPPED, self._parts.lost, os.getpid(), self._target)

    def let_go(self) -> None:
        """In a forked child, at once: accept nothing more."""
        end_at_fork(self._queue)

    def abandon(self) -> None:
        """In a forked child, without a thread to join: release the parent's resources."""
        self._parts.over = True
        self._let_go()


class _InParts(SpanExporter):
    """Encodes a batch in small parts with pauses between, so that no thread waits long for the GIL."""

    def __init__(self, exporter: SpanExporter, target: str, recorder: Recorder, part: int) -> None:
        self.exporter = exporter
        self._target = target
        self._recorder = recorder
        self._part = part
        self.taken = 0  # spans that have left the queue
        self.settled = 0  # of them, those exported or given up
        self.lost = 0
        self._counting = threading.Lock()
        self.ending = False  # a failing part will not be retried
        self.over = False
        self.failed = False  # the latest part
        self._fails_slowly = False
        self._is_shut = False
        self._began_s = 0.0  # of the part that is being exported
        self.until_s = inf  # then what is left is given up

    def is_idle(self) -> bool:
        """Whether the exporter appears to be blocked."""
        began_s = self._began_s
        return self.failed or (began_s > 0 and time.monotonic() - began_s > _IDLE_S)

    def is_hopeless(self) -> bool:
        """Whether a retry would only delay the end of the process."""
        return self.ending and self._fails_slowly

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Called by the batch processor's thread."""
        self.taken += len(spans)
        if self.is_hopeless():
            self._give_up(len(spans))
            return SpanExportResult.FAILURE
        for start in range(0, len(spans), self._part):
            part = spans[start : start + self._part]
            if time.monotonic() > self.until_s:
                self._give_up(len(spans) - start, _NO_TIME)
                return SpanExportResult.FAILURE
            self._export_part(part)
            if self.failed or self.over:  # the next parts would fail in the same way, and take as long
                self._give_up(len(spans) - start)
                return SpanExportResult.FAILURE
            self.settled += len(part)
            if not self.ending:
                time.sleep(_PAUSE_S if self._recorder.is_busy() else _PAUSE_ALONE_S)
        return SpanExportResult.SUCCESS

    def _export_part(self, part: Sequence[ReadableSpan]) -> None:
        self._began_s = time.monotonic()
        result = self.exporter.export(part)
        hide_here()  # it may have logged
        took_s, self._began_s = time.monotonic() - self._began_s, 0.0
        self.failed = result is not SpanExportResult.SUCCESS
        self._fails_slowly = self.failed and took_s > _SLOW_S

    def _give_up(self, count: int, why: str = "the export failed") -> None:
        if not self.over:
            self.lose(count, why)
            self.settled += count

    def lose(self, count: int, why: str) -> None:
        """Count dropped spans; log the first."""
        with self._counting:  # several threads end spans
            first, self.lost = not self.lost, self.lost + count
            self._recorder.lose(f"span for {self._target}", count)
        if first:
            logger.warning(_DROPS, self._target, why, self._target)

    def shutdown(self) -> None:
        """Shut down the exporter, once."""
        if not self._is_shut:
            self._is_shut = True
            self.exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self.exporter.force_flush(timeout_millis)
