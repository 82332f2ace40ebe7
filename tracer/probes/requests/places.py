"""Where other servers and workers begin a unit of work: one table, applied when their modules are imported."""

import functools
import sys
from contextlib import suppress
from time import perf_counter_ns
from typing import Any, Final
from weakref import ref

from whywait.tracer.host.code_location import is_library
from whywait.tracer.host.introspection import code_of, own
from whywait.tracer.hotpath.opening.open_request import Arrival
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.probes.patches import wrap_when_imported
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.probes.requests import work
from whywait.tracer.probes.requests.asgi_call import (
    about_handshake,
    begin_message,
    call_asgi,
    http_unit,
    is_asgi_message,
)
from whywait.tracer.probes.requests.names import Wrap, named_by, routed
from whywait.tracer.probes.requests.own_servers import sanic_connection, tornado_reads, tornado_request
from whywait.tracer.probes.requests.tcp_info import question_by_addresses
from whywait.tracer.probes.requests.work import (
    About,
    Arrivals,
    ArrivalsOfOthers,
    Work,
    begin,
    call_messages,
    call_whole,
    ends_handshake,
)
from whywait.tracer.records.current import here
from whywait.tracer.records.request import Unit
from whywait.tracer.schema import INGRESS_READ

name: Final = work.name
needs: Final = ()  # they would import servers, in processes that do not serve
available: Final = always


def install(session: Session) -> Undo:
    """Replace the functions of the table, now or when their modules are imported, and return the undo."""
    arrivals = Arrivals()
    wrappers = {id(call_whole(_never, _never).__code__): _behind}  # one code for all of them
    session.recorder.wrappers.update(wrappers)
    return wrap_when_imported(name, PLACES, lambda plain, wrap: wrap(plain, arrivals))


def _never(args: Any) -> tuple[None, Any]:
    return None, args


def _behind(coroutine: Any) -> Any:
    """The function for which one of ours stands."""
    return coroutine.cr_frame.f_locals["plain"]


def _now() -> Arrival:
    return Arrival(perf_counter_ns(), INGRESS_READ)


def _reads(plain: Any, arrivals: Arrivals) -> Any:
    """A protocol's method that gets data."""

    @functools.wraps(plain)
    def data_received(self: Any, data: bytes) -> None:
        arrivals.note(id(self), self.transport)
        plain(self, data)

    return data_received


def _job(plain: Any, _: Arrivals, about: About = lambda *_: Unit("job")) -> Any:
    """A worker's coroutine function that runs one job."""
    return call_whole(plain, lambda args: (begin(_now(), "consumer", about, args), args))


def _about_subscriber(args: Any, _: Any) -> Unit:
    codes = [code_of(getattr(one.handler, "_original_call", None)) for one in args[0].calls]
    names = "/".join(one.co_name for one in codes if one is not None)  # with a filter each, one of them takes it
    return Unit(names or "message", code=codes[0] if len(codes) == 1 else None)


# --- websockets under uvicorn -------------------------------------------------------------------
def _connection(plain: Any, arrivals: Arrivals) -> Any:
    def opened(args: Any) -> tuple[Work | None, Any]:
        (self,) = args
        scope = self.scope
        return begin(arrivals.of(id(self)), "consumer", about_handshake, (scope,), 1), args

    return call_whole(plain, opened)


def _asgi_messages(plain: Any, arrivals: Arrivals) -> Any:
    return call_messages(
        plain, is_asgi_message, lambda args, asked_ns: begin_message(arrivals.of(id(args[0]), asked_ns), args[0].scope)
    )


def _asgi_sends(plain: Any, _: Arrivals) -> Any:
    return ends_handshake(plain, lambda args: args[1]["type"] == "websocket.send")


def _uvicorn(protocol: str, receive: str, send: str = "send") -> dict[str, Wrap]:
    protocol = f"uvicorn.protocols.websockets.{protocol}"
    return {
        f"{protocol}.data_received": _reads,
        f"{protocol}.run_asgi": _connection,
        f"{protocol}.{receive}": _asgi_messages,
        f"{protocol}.{send}": _asgi_sends,
    }


# --- the server of the library websockets --------------------------------------------------------
def _about_connection(args: Any, _: Any) -> Unit:
    asked = getattr(args[0], "request", None)
    return Unit(f"WS {asked.path.partition('?')[0]}" if asked is not None else "websocket message")


def _messages(plain: Any, arrivals: Arrivals) -> Any:
    return call_messages(
        plain, lambda _: True,
        lambda args, asked_ns: begin(arrivals.of(id(args[0]), asked_ns), "consumer", _about_connection, args),
    )  # fmt: skip


# --- aiohttp.web ----------------------------------------------------------------------------------
def _aiohttp_request(plain: Any, arrivals: Arrivals) -> Any:
    def opened(args: Any) -> tuple[Work | None, Any]:
        protocol, request = args[:2]
        headers = ((key.lower(), value) for key, value in request.raw_headers)
        work = begin(arrivals.of(id(protocol)), "server", _about_aiohttp, args, headers=headers)
        if work is not None and protocol.transport is not None:
            work.egress = arrivals.egress(id(protocol), protocol.transport, plain)
        return work, args

    return call_whole(plain, opened)


def _about_aiohttp(args: Any, result: Any) -> Unit:
    request = args[1]
    status = result[0].status if result is not None else 0
    unit = http_unit(request.method, request.path, _aiohttp_route(request), status, request.scheme)
    handler = getattr(getattr(request, "match_info", None), "handler", None)
    return unit._replace(code=getattr(handler, "__code__", None))


def _aiohttp_route(request: Any) -> str:
    resource = getattr(getattr(getattr(request, "match_info", None), "route", None), "resource", None)
    return str(getattr(resource, "canonical", ""))


def _aiohttp_messages(plain: Any, arrivals: Arrivals) -> Any:
    def opened(args: Any, asked_ns: int) -> Work | None:
        request = getattr(args[0], "_req", None)
        if request is None:
            return None
        arrival = arrivals.of(id(request.protocol), asked_ns)
        return begin(arrival, "consumer", lambda args, _: Unit(f"WS {args}"), _aiohttp_route(request) or request.path)

    return call_messages(plain, lambda message: message.type.name in ("TEXT", "BINARY"), opened)


# --- grpc.aio: the method runs in the task in which the interceptors are asked, and ends with it ------
def _grpc_server(plain: Any, _: Arrivals) -> Any:
    interface = sys.modules["grpc.aio"].ServerInterceptor

    class Observer(interface):  # type: ignore[misc, valid-type]
        async def intercept_service(self, continuation: Any, details: Any) -> Any:
            said = [(str(key).encode(), str(value).encode()) for key, value in details.invocation_metadata or ()]
            begin(_now(), "server", _about_grpc, details.method, headers=said)
            return await continuation(details)

    @functools.wraps(plain)
    def __init__(self: Any, pool: Any, handlers: Any, interceptors: Any, *args: Any, **kwargs: Any) -> None:
        plain(self, pool, handlers, (Observer(), *(interceptors or ())), *args, **kwargs)

    return __init__


def _about_grpc(method: Any, _: Any) -> Unit:
    service, _slash, called = str(method).lstrip("/").rpartition("/")
    return Unit(f"{service}/{called}", "", {"rpc.system.name": "grpc", "rpc.method": f"{service}/{called}"})


# --- hypercorn, granian -----------------------------------------------------------------------------
def _hypercorn_reads(plain: Any, arrivals: Arrivals) -> Any:
    @functools.wraps(plain)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        try:
            feed, reader, transport = type(self.reader).feed_data, ref(self.reader), self.writer.transport
            client = tuple(transport.get_extra_info("peername")[:2])
            with suppress(TypeError):  # uvloop's under TLS has no weak references
                arrivals.transports[client] = transport
                arrivals.questions[transport] = question_by_addresses(transport.get_extra_info("socket"))

            def feed_data(data: bytes) -> None:
                arrivals.note(client, transport)
                feed(reader(), data)

            if here.loop is not None and not here.loop.selects:  # libuv has read by now
                arrivals.note(client, transport)
            self.reader.feed_data = feed_data  # without a cycle: it ends with its connection
        except Exception as error:
            probe_failed(name, error)

    return __init__


def _quart_route(attribute: str) -> Wrap:
    def said(args: Any, _: Any) -> tuple[str, str, Any]:
        request = getattr(args[0], attribute)
        return request.method, getattr(request.url_rule, "rule", ""), None

    return routed(said)


def _granian(plain: Any, _: Arrivals) -> Any:
    arrivals = ArrivalsOfOthers()

    @functools.wraps(plain)
    def _callback_wrapper(callback: Any, *args: Any, **kwargs: Any) -> Any:
        return plain(call_asgi(callback, 0, arrivals), *args, **kwargs)

    return _callback_wrapper


# the functions at which a unit begins, or that tell something of it
def _view(function: Any, method: str) -> Any:
    """What Django calls; of a class of views, what of the user's answers such a request, or the first that it defines."""
    known = own(function, "__dict__")
    kind = known.get("view_class") or known.get("cls") if type(known) is dict else None  # or Django REST framework's
    if kind is None:
        return function
    written = (one for one in (getattr(kind, method.lower(), None), *vars(kind).values()) if one is not None)
    codes = ((one, code_of(one)) for one in written)
    return next((one for one, code in codes if code is not None and not is_library(code.co_filename)), function)


PLACES: Final[dict[str, Wrap]] = {
    **_uvicorn("websockets_impl.WebSocketProtocol", "asgi_receive", "asgi_send"),
    **_uvicorn("websockets_sansio_impl.WebSocketsSansIOProtocol", "receive"),
    **_uvicorn("wsproto_impl.WSProtocol", "receive"),
    "websockets.asyncio.server.ServerConnection.data_received": _reads,
    "websockets.asyncio.server.ServerConnection.recv": _messages,
    "aiohttp.web_protocol.RequestHandler.data_received": _reads,
    "aiohttp.web_protocol.RequestHandler._handle_request": _aiohttp_request,
    "aiohttp.web_ws.WebSocketResponse.receive": _aiohttp_messages,
    "aiohttp.web_ws.WebSocketResponse.send_str": lambda plain, _: ends_handshake(plain),
    "aiohttp.web_ws.WebSocketResponse.send_bytes": lambda plain, _: ends_handshake(plain),
    "sanic.server.protocols.http_protocol.HttpProtocol.data_received": _reads,
    "sanic.server.protocols.http_protocol.HttpProtocol.__init__": sanic_connection,
    "tornado.iostream.IOStream.read_from_fd": tornado_reads,
    "tornado.web.RequestHandler._execute": tornado_request,
    "hypercorn.asyncio.tcp_server.TCPServer.__init__": _hypercorn_reads,
    "hypercorn.asyncio.task_group._handle": lambda plain, arrivals: call_asgi(plain, 2, arrivals),
    # by the names of those who call it: a worker that is no fork of a traced process has them before it is traced
    **{f"granian.server.{one}._asgi_call_wrap": _granian for one in ("mp", "mt", "embed")},
    "grpc.aio._server.Server.__init__": _grpc_server,
    "django.core.handlers.base.BaseHandler.resolve_request": routed(
        lambda args, match: (args[1].method, match.route, _view(match.func, args[1].method))
    ),
    "sanic.router.Router.get": routed(lambda args, found: (args[2], found[0].path, found[1])),  # under an ASGI server
    "quart.ctx._BaseRequestWebsocketContext.match_request": _quart_route("request_websocket"),  # before Quart 0.23
    "quart.ctx.AppContext.match_request": _quart_route("_request_websocket"),
    "arq.worker.Worker.run_job": _job,
    "arq.worker.deserialize_job_raw": named_by(lambda _, result: (result[0], None)),
    "faststream._internal.endpoint.subscriber.usecase.SubscriberUsecase.process_message": lambda plain, arrivals: _job(
        plain, arrivals, _about_subscriber
    ),
    "taskiq.receiver.receiver.Receiver.callback": _job,
    "taskiq.receiver.receiver.Receiver.run_task": named_by(lambda args, _: (args[2].task_name, args[1])),
}
