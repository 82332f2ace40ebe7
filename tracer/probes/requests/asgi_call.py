"""An ASGI application's call as a unit of work, under servers without a hook of their own, and a websocket's messages."""

from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter_ns
from types import CodeType
from typing import Any

from whywait.tracer.config import REDACT_NOTHING
from whywait.tracer.host.introspection import code_of
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.opening.open_request import Arrival
from whywait.tracer.probes.requests.work import Arrivals, Work, begin, call_messages, call_whole, end_handshake
from whywait.tracer.records.request import Unit, made
from whywait.tracer.redaction.paths import path_without_tokens


class _Response:
    """Stands for an application's `send`, and ends the request with its response."""

    def __init__(self, send: Any) -> None:
        self._send = send
        self.status = self.length = 0
        self.work: Work | None = None

    async def __call__(self, message: Any) -> None:
        kind = message["type"] if message is not None else ""
        if message is None and not (self.status or getattr(getattr(self._send, "__self__", None), "closed", False)):
            self.status = 500  # hypercorn's own end: its answer to an application that gave none
        is_last = kind == "http.response.body" and not message.get("more_body")
        if kind == "http.response.start":
            self.status = message["status"]
            if self.work is not None:
                message = self.work.headed(message)
        elif kind == "http.response.body":
            self.length += len(message.get("body") or b"")
            if not is_last and self.work is not None:
                self.work.first_byte()
        await self._send(message)
        if is_last and self.work is not None:
            self.work.finish(perf_counter_ns())
        elif kind == "websocket.send":
            end_handshake()


def call_asgi(plain: Callable[..., Any], scope_at: int, arrivals: Arrivals) -> Callable[..., Any]:
    """Return the coroutine function whose argument number `scope_at` is the scope, before `receive` and `send`.
    `arrivals` are known by the addresses of the connection."""

    def opened(args: Any) -> tuple[Work | None, Any]:
        scope, receive, send = args[scope_at : scope_at + 3]
        if scope["type"] not in ("http", "websocket"):
            return None, args
        is_http, response = scope["type"] == "http", _Response(send)
        key = arrivals.key(scope)
        if is_http:
            work = begin(arrivals.of(key), "server", about_http, (scope, response), headers=scope.get("headers") or ())
        else:
            work = begin(arrivals.of(key), "consumer", about_handshake, (scope,), 1)
        response.work = work
        if work is None:
            return None, args
        if is_http:
            work.egress = arrivals.egress_of(key, scope, response, plain)
        if not is_http:
            receive = call_messages(
                receive, is_asgi_message, lambda _, asked_ns: begin_message(arrivals.of(key, asked_ns), scope)
            )
        return work, (*args[:scope_at], scope, receive, response, *args[scope_at + 3 :])

    return call_whole(plain, opened)


def begin_message(arrival: Arrival, scope: Any) -> Work | None:
    """A message of a websocket has come."""
    return begin(arrival, "consumer", about_message, (scope,))


def is_asgi_message(event: Any) -> bool:
    """Whether an event is a client's message, and not the beginning or end of the connection."""
    return bool(event["type"] == "websocket.receive")


def about_http(args: Any, _: Any) -> Unit:
    """A request and its response."""
    scope, response = args
    return about_scope(scope, response.status)._replace(code=endpoint_code(scope))


def about_scope(scope: Any, status: int, name: str = "") -> Unit:
    """The unit of an HTTP scope; `status` is 0 where nothing was answered; `name`: what its framework calls it."""
    error = str(status) if status >= 500 else ""
    name = name or " ".join(filter(None, (scope.get("method"), route_of(scope) or scope.get("path")))) or "HTTP"
    return made(Unit, (name, error, partial(_attributes, scope, status), None))


def _attributes(scope: Any, status: int) -> Mapping[str, Any]:
    """After the semantic conventions; asked for of a request that is kept."""
    known = http_attributes(
        scope.get("method", ""), scope.get("path", ""), route_of(scope), status, scope.get("scheme") or "http"
    )
    query = scope.get("query_string", b"").decode("latin-1")
    found = {"network.protocol.version": scope.get("http_version"), "url.query": query, **_asked_for(scope)}
    return known | {key: value for key, value in found.items() if value}


def _asked_for(scope: Any) -> dict[str, Any]:
    """The address and port that the client asked for, else those of the server."""
    asked = next((value.decode("latin-1") for key, value in scope.get("headers") or () if key == b"host"), "")
    host, _, port = ("", "", "") if asked.endswith("]") else asked.rpartition(":")
    if not port.isdigit():
        host, port = asked, {"http": "80", "https": "443"}.get(scope.get("scheme", "http"), "")
    if not asked:
        host, port = scope.get("server") or ("", "")
    return {"server.address": host.strip("[]"), "server.port": int(port) if port else 0}


def about_handshake(args: Any, _: Any) -> Unit:
    """A websocket's beginning, until its first message is awaited."""
    return Unit(f"WS {route_of(args[0]) or args[0].get('path', '')} connect", code=endpoint_code(args[0]))


def about_message(args: Any, _: Any) -> Unit:
    """What was done with one message of a websocket."""
    return Unit(f"WS {route_of(args[0]) or args[0].get('path', '')}", code=endpoint_code(args[0]))


def route_of(scope: Any) -> str:
    """The route's template, where the framework says it."""
    route = str(getattr(scope.get("route"), "path", None) or scope.get("path_template") or "")
    return _mounted(scope) + route if route else ""


def _mounted(scope: Any) -> str:
    """What Starlette's mounts around the route took of the path, with the names of its parameters."""
    if "app_root_path" not in scope:
        return ""
    names = {str(value): f"{{{name}}}" for name, value in scope.get("path_params", {}).items()}
    return "/".join(
        names.get(part, part) for part in scope["root_path"].removeprefix(scope["app_root_path"]).split("/")
    )


def endpoint_code(scope: Any) -> CodeType | None:
    """Return the code of the user's function that answers; None where the framework does not say which."""
    endpoint = scope.get("endpoint") or getattr(scope.get("route_handler"), "fn", None)  # Litestar's
    if endpoint is None:
        return None
    if issubclass(type(endpoint), type):  # a class of views
        view = getattr(endpoint, str(scope.get("method", "")).lower(), None)
        return None if view is None else code_of(view)
    # else an object that answers
    return code_of(endpoint) or (code_of(type(endpoint).__call__) if callable(endpoint) else None)


def http_unit(method: str, path: str, route: str, status: int, scheme: str) -> Unit:
    """A unit with the attributes of the semantic conventions."""
    known = http_attributes(method, path, route, status, scheme)
    return Unit(f"{method} {route or known['url.path']}", str(status) if status >= 500 else "", known)


def http_attributes(method: str, path: str, route: str, status: int, scheme: str) -> dict[str, Any]:
    """The attributes that every server knows; the path without tokens."""
    recorder = recorders.active
    if recorder is not None and recorder.config.redact != REDACT_NOTHING:
        path = path_without_tokens(path, route or None)
    found = {
        "http.request.method": method, "url.path": path, "url.scheme": scheme, "http.route": route,
        "http.response.status_code": status,
    }  # fmt: skip
    return {key: value for key, value in found.items() if value}
