"""The OpenTelemetry instrumentor entry point: `opentelemetry-instrument` starts whywait with its provider."""

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from whywait.tracer.session import start, stop


class WhywaitInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Starts the tracer when instrumented, stops it when uninstrumented."""

    def instrumentation_dependencies(self) -> Collection[str]:
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        start()

    def _uninstrument(self, **kwargs: Any) -> None:
        stop()
