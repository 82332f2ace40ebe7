"""Sanic and Tornado, which are their own servers: what opens a request of theirs, and what it is called."""

import functools
from types import SimpleNamespace
from typing import Any

from whywait.tracer.host.introspection import code_of
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.probes.requests.arrival import WANTED
from whywait.tracer.probes.requests.asgi_call import http_unit
from whywait.tracer.probes.requests.names import Wrap
from whywait.tracer.probes.requests.work import About, Arrivals, Work, begin, call_whole, name
from whywait.tracer.records.request import Unit


def _request(about: About, request_of: Any, connection_of: Any) -> Wrap:
    """Wrap the coroutine function that answers a request; that of a websocket lasts as long as its connection."""

    def wrap(plain: Any, arrivals: Arrivals) -> Any:
        def opened(args: Any) -> tuple[Work | None, Any]:
            request = request_of(args)
            if request.headers.get("upgrade", "").lower() == "websocket":
                return None, args
            found = ((key, request.headers.get(key.decode())) for key in WANTED)
            headers = ((key, value.encode("latin-1")) for key, value in found if value)
            return begin(arrivals.of(id(connection_of(request))), "server", about, args, headers=headers), args

        return call_whole(plain, opened)

    return wrap


def sanic_connection(plain: Any, arrivals: Arrivals) -> Any:
    """A connection's protocol is made. Sanic compiles `handle_request` of its class anew as it starts."""

    @functools.wraps(plain)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        try:
            self.request_handler = _sanic_request(self.request_handler, arrivals)
        except Exception as error:
            probe_failed(name, error)

    return __init__


def _about_sanic(args: Any, _: Any) -> Unit:
    request = args[0]
    route, status = request.route, getattr(request.stream.response, "status", 0)
    unit = http_unit(request.method, request.path, f"/{route.path}" if route else "", status, request.scheme)
    return unit._replace(code=code_of(route.handler) if route else None)


def _about_tornado(args: Any, _: Any) -> Unit:
    """Tornado keeps no template of the path: its handler's class gives the name, as in OpenTelemetry's instrumentation."""
    handler = args[0]
    request, kind = handler.request, type(handler)
    unit = http_unit(request.method, request.path, "", handler.get_status(), request.protocol)
    method = getattr(kind, (request.method or "").lower(), None)
    return unit._replace(name=f"{request.method} {kind.__qualname__}", code=code_of(method) if method else None)


def tornado_reads(plain: Any, arrivals: Arrivals) -> Any:
    """A stream's method that reads once."""

    @functools.wraps(plain)
    def read_from_fd(self: Any, buffer: Any) -> Any:
        length = plain(self, buffer)
        if length:
            arrivals.note(id(self), SimpleNamespace(get_extra_info=lambda _: self.socket))
        return length

    return read_from_fd


_sanic_request = _request(_about_sanic, lambda args: args[0], lambda request: request.stream.protocol)
tornado_request = _request(_about_tornado, lambda args: args[0].request, lambda request: request.connection.stream)
