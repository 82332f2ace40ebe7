"""Which traces are still open, and which of those that ended recently were kept."""

from collections import OrderedDict, deque

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

_MOST_SPANS = 2_000  # held per trace; further ones are dropped and counted


_MOST_VERDICTS = 4_096  # remembered, for spans that end after their request


class Gates:
    """The verdicts on traces, shared by all gates of a session."""

    def __init__(self) -> None:
        self.lost = 0  # spans over the limit of one trace
        self._held: dict[int, _Held] = {}
        self._dropped: OrderedDict[int, None] = OrderedDict()

    def open(self, trace_id: int) -> None:
        """A request of this trace has begun: what ends now is held."""
        held = self._held.get(trace_id)
        if held is None:
            held = self._held[trace_id] = _Held()
        held.open += 1

    def close(self, trace_id: int, *, keep: bool) -> None:
        """A request of this trace has ended and was judged. One that is kept keeps the whole trace."""
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
        """Passes the span on, holds it or drops it."""
        context = span.get_span_context()
        trace_id = context.trace_id if context is not None else 0
        held = self._held.get(trace_id)
        if held is None:
            if trace_id not in self._dropped:
                processor.on_end(span)
        elif len(held.spans) >= _MOST_SPANS:
            self.lost += 1
        else:
            held.spans.append((span, processor))
            if held.keep:  # another request of the trace was kept, perhaps just now
                held.let_go()

    def let_all_go(self) -> None:
        """Passes on what is held. Called by `stop`: nothing will be judged any more."""
        while self._held:
            self._held.popitem()[1].let_go()


class _Held:
    """The spans of one trace, and how many of its requests are open."""

    __slots__ = ("keep", "open", "spans")

    def __init__(self) -> None:
        self.open = 0
        self.keep = False
        self.spans: deque[tuple[ReadableSpan, SpanProcessor]] = deque()

    def let_go(self) -> None:
        while self.spans:
            try:
                span, processor = self.spans.popleft()
            except IndexError:  # another thread took the last
                return
            processor.on_end(span)
