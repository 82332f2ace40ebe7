"""Opens requests of Starlette and FastAPI under servers without a probe of their own, as in a test client; and makes the
request's later span the current one, where nobody makes a SERVER span."""

import functools
from typing import Any, Final

from whywait.tracer.host.introspection import take_this_frame_out
from whywait.tracer.host.otel_context import enter, leave
from whywait.tracer.probes.patches import wrap_when_imported
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.probes.requests.asgi_call import call_asgi
from whywait.tracer.probes.requests.framework_stamps import stamp
from whywait.tracer.probes.requests.work import Arrivals
from whywait.tracer.records.current import ACTIVITY
from whywait.tracer.records.request import Request

name: Final = "asgi"
needs: Final = ()
later: Final = ("starlette.applications.Starlette.__call__",)
available: Final = always


def install(_: Session) -> Undo:
    """Wrap `Starlette.__call__`, once it is imported, and return the undo."""
    return wrap_when_imported(name, dict.fromkeys(later), lambda plain, _: _wrapped(plain))


def _wrapped(plain_call: Any) -> Any:
    async def below_its_span(self: Any, scope: Any, receive: Any, send: Any) -> None:
        stamped = stamp()
        if stamped is None:
            await plain_call(self, scope, receive, send)
            return
        token = enter(stamped[1])
        try:
            await plain_call(self, scope, receive, send)
        except BaseException as error:
            take_this_frame_out(error)
            raise
        finally:
            leave(token)

    as_unit = call_asgi(below_its_span, 1, Arrivals())

    @functools.wraps(plain_call)
    async def __call__(self: Any, scope: Any, receive: Any, send: Any) -> None:
        call = plain_call
        if scope["type"] == "http" and not getattr(self, "_is_instrumented_by_opentelemetry", False):
            found = ACTIVITY.get()
            if found is None or not found.request.open:
                call = as_unit
            elif _lacks_a_span(found.request):
                call = below_its_span
        try:
            await call(self, scope, receive, send)
        except BaseException as error:
            take_this_frame_out(error)
            raise

    return __call__


def _lacks_a_span(request: Request) -> bool:
    return request.own_span is not None and request.own_span.stamped is None
