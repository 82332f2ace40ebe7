"""Creates SERVER spans for Starlette and FastAPI apps without any.

FastAPI from 0.142 on creates them, and so does opentelemetry-instrumentation-fastapi. Without either,
OpenTelemetry's ASGI middleware is put around the app.
"""

import functools
from importlib.util import find_spec
from typing import Any, Final

from opentelemetry.trace import get_current_span

from whywait.tracer.host.identity_map import ByIdentity
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo
from whywait.tracer.probes.requests.asgi_call import route_of
from whywait.tracer.records.current import ACTIVITY

name: Final = "asgi"
needs: Final = ()


def available() -> bool:
    """Whether Starlette is installed."""
    return find_spec("starlette") is not None


def install(session: Session) -> Undo:
    """Wrap `Starlette.__call__`, and return the undo."""
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from starlette.applications import Starlette

    plain_call = Starlette.__call__
    wrapped: ByIdentity[Any] = ByIdentity()

    @functools.wraps(plain_call)
    async def __call__(self: Any, scope: Any, receive: Any, send: Any) -> None:
        found = ACTIVITY.get()
        if (
            scope["type"] != "http"
            or (found is not None and found.request.open and found.request.own_span is None)
            or getattr(self, "_is_instrumented_by_opentelemetry", False)
        ):
            return await plain_call(self, scope, receive, send)
        app = wrapped.get(self)
        if app is None:
            app = OpenTelemetryMiddleware(
                _call_plainly, exclude_spans=["receive", "send"], tracer_provider=session.provider
            )
            wrapped.set(self, app)
        scope["whywait.app"] = self
        scope["whywait.call"] = plain_call
        await app(scope, receive, send)

    patches = Patches()
    patches.replace(Starlette, "__call__", __call__)
    return patches.undo


async def _call_plainly(scope: Any, receive: Any, send: Any) -> None:
    # the scope has the app: a middleware that referred to it would keep it alive for ever
    app = scope.pop("whywait.app")

    def named_send(message: Any) -> Any:
        if message["type"] == "http.response.start" and (route := route_of(scope)):
            span = get_current_span()
            span.update_name(f"{scope['method']} {route}")
            span.set_attribute("http.route", route)
        return send(message)

    await scope.pop("whywait.call")(app, scope, receive, named_send)
