"""A process with a host's own tracing and, before or after it or never, whywait: `host_process HOST ORDER LOOP OUTPUT`.

Prints as JSON what the host's own exporter received, and what the host sees of its provider.
"""

import asyncio
import json
import logging
import os
import random
import sys
from collections.abc import Callable
from typing import Any

REQUESTS = 8
SDK_IDS = {"sentry_otel", "sentry_otlp", "azure", "instrument"}  # ids from the global `random`, also without whywait
got: list[Any] = []  # what the host's exporter was given: SDK spans, or names


def keep(spans: Any) -> Any:
    """Takes spans as an exporter."""
    from opentelemetry.sdk.trace.export import SpanExportResult

    got.extend(spans)
    return SpanExportResult.SUCCESS


def _processor() -> Any:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

    class Kept(SpanExporter):
        export = staticmethod(keep)

    return SimpleSpanProcessor(Kept())


def sdk() -> None:
    """An application with a provider, sampler, resource and ids of its own."""
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import RandomIdGenerator, SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

    class Counted(RandomIdGenerator):
        """Ids of the host."""

        def generate_trace_id(self) -> int:
            """As the SDK, from a stream of its own, marked by the highest bits."""
            return 0xAB << 120 | random.SystemRandom().getrandbits(119)

    provider = TracerProvider(
        ParentBased(ALWAYS_ON), Resource.create({"service.name": "shop", "of.host": 1}),
        id_generator=Counted(), span_limits=SpanLimits(max_span_attributes=40),
    )  # fmt: skip
    trace.set_tracer_provider(provider)
    provider.add_span_processor(_processor())


def none() -> None:
    """A service without tracing of its own."""


def logfire() -> None:
    """Pydantic's Logfire, configured twice as some applications do."""
    import logfire as library

    for processors in ([], [_processor()]):
        library.configure(send_to_logfire=False, console=False, additional_span_processors=processors)


def sentry(**options: Any) -> None:
    """Sentry's own tracing."""
    import sentry_sdk

    def transaction(event: Any, _: Any) -> None:
        got.append(event["transaction"])

    sentry_sdk.init("http://key@127.0.0.1:9/1", traces_sample_rate=1.0, before_send_transaction=transaction, **options)


def sentry_otel() -> None:
    """Sentry behind OpenTelemetry's spans."""
    from sentry_sdk.integrations.opentelemetry.integration import OpenTelemetryIntegration

    sentry(instrumenter="otel", integrations=[OpenTelemetryIntegration()])


def sentry_otlp() -> None:
    """Sentry's exporter beside whichever provider is there."""
    import sentry_sdk
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from sentry_sdk.integrations.otlp import OTLPIntegration

    OTLPSpanExporter.export = lambda self, spans: keep(spans)  # type: ignore[method-assign]
    sentry_sdk.init("http://key@127.0.0.1:9/1", integrations=[OTLPIntegration()])


def azure() -> None:
    """Azure Monitor's distribution."""
    from azure.monitor.opentelemetry import configure_azure_monitor

    os.environ["APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL"] = "True"
    configure_azure_monitor(
        connection_string=f"InstrumentationKey={'0' * 8}-0000-0000-0000-{'0' * 12};IngestionEndpoint=http://127.0.0.1:9",
        span_processors=[_processor()], disable_offline_storage=True, enable_live_metrics=False,
        enable_performance_counters=False, disable_logging=True, disable_metrics=True, sampling_ratio=1.0,
    )  # fmt: skip


def ddtrace() -> None:
    """Datadog's tracer, with and without its OpenTelemetry provider (DD_TRACE_OTEL_ENABLED)."""
    import ddtrace.auto  # noqa: F401
    from ddtrace.trace import TraceFilter, tracer

    class Kept(TraceFilter):
        def process_trace(self, trace: Any) -> None:
            got.extend(span.name for span in trace)

    tracer.configure(trace_processors=[Kept()])


def instrument() -> None:
    """Under the command `opentelemetry-instrument`, which has set the provider."""
    from opentelemetry import trace

    provider: Any = trace.get_tracer_provider()
    provider.add_span_processor(_processor())


HOSTS: dict[str, Callable[[], None]] = {
    one.__name__: one for one in (sdk, none, logfire, sentry, sentry_otel, sentry_otlp, azure, ddtrace, instrument)
}


def _app() -> Any:
    from fastapi import FastAPI
    from opentelemetry import trace

    app = FastAPI()

    @app.get("/piece/{number}")
    async def work(number: int) -> int:
        if sys.argv[1] not in SDK_IDS:
            random.seed(7)
        with trace.get_tracer("of.host").start_as_current_span("own"):
            await asyncio.to_thread(sum, range(1_000))
            await asyncio.sleep(0.01)
        return number

    return app


async def _ask(app: Any) -> None:
    import httpx

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        for answer in await asyncio.gather(*(client.get(f"/piece/{number}") for number in range(REQUESTS))):
            answer.raise_for_status()


def _seen() -> dict[str, Any]:
    from opentelemetry import propagate, trace

    provider: Any = trace.get_tracer_provider()
    provider = getattr(provider, "provider", provider)
    resource = getattr(provider, "resource", None)
    volatile = ("process.pid", "service.instance.id", "host.name")
    spans = [one for one in got if not isinstance(one, str)]
    foreign = [one for one in spans if one.instrumentation_scope.name != "whywait"]
    known = {one.context.span_id for one in spans}
    return {
        "provider": f"{type(provider).__module__}.{type(provider).__name__}",
        "settings": [type(getattr(provider, name, None)).__name__ for name in ("sampler", "id_generator")],
        "resource": {k: str(v) for k, v in resource.attributes.items() if k not in volatile} if resource else {},
        "propagator": type(propagate.get_global_textmap()).__name__,
        "names": sorted([one.name for one in foreign] + [one for one in got if isinstance(one, str)]),
        "resources": sorted({str(one.resource.attributes.get("service.name")) for one in foreign}),
        "prefixes": sorted({one.context.trace_id >> 120 for one in foreign}) if "sdk" in sys.argv else [],
        "orphans": sum(one.parent is not None and one.parent.span_id not in known for one in spans),
    }


def main(host: str, order: str, loop: str, output: str) -> None:
    """Configures both in the given order, serves requests, ends both."""
    import whywait

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    if order == "whywait first":
        whywait.start(output=output)
    HOSTS[host]()
    if order == "host first":
        whywait.start(output=output)
    app = _app()
    factory: Any = asyncio.new_event_loop
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_ask(app))
    whywait.stop()
    from opentelemetry import trace

    provider: Any = trace.get_tracer_provider()
    getattr(provider, "force_flush", int)()
    print(json.dumps(_seen()))
    sys.stdout.flush()
    os._exit(0)  # exporters without a server would delay the end


if __name__ == "__main__":
    main(*sys.argv[1:])
