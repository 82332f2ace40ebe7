"""Keeps the spans of open requests until tail sampling has decided: a gate before an exporting processor. Nothing
here waits or locks."""

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from whywait.tracer.keeping.trace_verdicts import Gates


class Gate(SpanProcessor):
    """The gate before one exporting processor."""

    def __init__(self, processor: SpanProcessor, gates: Gates) -> None:
        self._processor = processor
        self._gates = gates

    def on_end(self, span: ReadableSpan) -> None:
        """Called by the SDK, in whichever thread ended the span."""
        self._gates.admit(span, self._processor)

    def shutdown(self) -> None:
        self._gates.let_all_go()
        self._processor.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the spans with a decision; the others stay."""
        return self._processor.force_flush(timeout_millis)
