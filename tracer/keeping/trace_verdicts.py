"""The open traces, and the decisions on traces that ended recently."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from whywait.tracer.host.tally import Tally

_MOST_SPANS = 2_000  # in memory per trace; further ones are dropped and counted
_MOST_VERDICTS = 4_096  # kept in memory, for spans that end after their request


class Gates:
    """The decisions on traces, shared by all gates of a session."""

    def __init__(self) -> None:
        self.lost = Tally()  # spans over the limit of one trace
        self._held: dict[int, _Held] = {}
        self._dropped: OrderedDict[int, None] = OrderedDict()

    def open(self, trace_id: int) -> None:
        """A request of this trace has begun: spans that end now are kept back."""
        held = self._held.get(trace_id)
        if held is None:
            held = self._held[trace_id] = _Held()
        held.open += 1

    def close(self, trace_id: int, *, keep: bool) -> None:
        """A request of this trace has ended, with a decision. A kept request keeps the whole trace."""
        held = self._held.get(trace_id)
        if held is None:
            return
        held.open -= 1
        held.keep = held.keep or keep
        if held.open > 0 and not keep:
            return
        if held.open <= 0:
            self._held.pop(trace_id, None)
        if held.keep:
            self._dropped.pop(trace_id, None)
            held.let_go()
        else:
            held.spans.clear()
            self._dropped[trace_id] = None
            while len(self._dropped) > _MOST_VERDICTS:
                self._dropped.popitem(last=False)

    def admit(self, span: ReadableSpan, processor: SpanProcessor) -> None:
        """Pass the span on, keep it back or drop it."""
        context = span.get_span_context()
        trace_id = context.trace_id if context is not None else 0
        held = self._held.get(trace_id)
        if held is None:
            if trace_id not in self._dropped:
                processor.on_end(span)
        elif len(held.spans) >= _MOST_SPANS:
            self.lost.add()
        else:
            held.spans.append((span, processor))
            if held.keep:  # another request of the trace was kept, perhaps just now
                held.let_go()

    def let_all_go(self) -> None:
        """Pass on all spans that are kept back. Called by `stop`: there are no more decisions."""
        while self._held:
            self._held.popitem()[1].let_go()


@dataclass(slots=True)
class _Held:
    open: int = 0
    keep: bool = False
    spans: deque[tuple[ReadableSpan, SpanProcessor]] = field(default_factory=deque)

    def let_go(self) -> None:
        while self.spans:
            try:
                span, processor = self.spans.popleft()
            except IndexError:  # another thread removed the last one
                return
            processor.on_end(span)


class Gate(SpanProcessor):
    """The gate before one exporting processor: nothing waits or locks here."""

    def __init__(self, processor: SpanProcessor, gates: Gates) -> None:
        self._processor = processor
        self._gates = gates

    def on_end(self, span: ReadableSpan) -> None:
        self._gates.admit(span, self._processor)

    def shutdown(self) -> None:
        self._gates.let_all_go()
        self._processor.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the spans with a decision; the others stay."""
        return self._processor.force_flush(timeout_millis)
