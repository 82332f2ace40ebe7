"""Opens a request at uvicorn's task, so that all that an ASGI framework and what is put around it does is part of it.

data_received         arrival: TCP_INFO, 1 µs
  run_asgi(app)       its task is made: the application is called through `_Cycle.enter`, in the task's first step
app(...)              the request is open
on_response           the response is written: the rest of the task, such as background work, is nobody's
resume_writing        a slow reader has taken most of it; the watchdog sees when the kernel has sent the rest
"""

import functools
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.adapters.late_patches import LatePatches
from whywait.tracer.host.code_location import Site, place_of_code
from whywait.tracer.hotpath.opening.open_request import Arrival, end_request, leave
from whywait.tracer.hotpath.recorder import safely
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.probes.requests.arrival import arrival_of, open_http, read_more, reading
from whywait.tracer.probes.requests.asgi_call import about_scope, endpoint_code
from whywait.tracer.probes.requests.egress import Unsent, leave_kernel
from whywait.tracer.probes.requests.tcp_info import not_sent_bytes, waits_for_acknowledgement
from whywait.tracer.probes.response_headers import with_headers
from whywait.tracer.records.request import Unit
from whywait.tracer.schema import FIRST_BYTE_NS, FOR_EGRESS, INGRESS_READ

name: Final = "uvicorn"
needs: Final = ()  # they would import uvicorn, in processes that do not serve
available: Final = always
_PROTOCOLS: Final = (
    "uvicorn.protocols.http.h11_impl.H11Protocol",
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol",
)


def install(_: Session) -> Undo:
    """Wrap uvicorn's protocols, now or when they are imported, and return the undo."""
    patches = LatePatches(name, dict.fromkeys(_PROTOCOLS), lambda module, protocol, _: _patched(module, protocol))
    patches.install()
    return patches.close


class _Connections:
    """What is known of the connections of one of uvicorn's protocols, by the id of the protocol's object."""

    def __init__(self, send_site: Site) -> None:
        self.send_site = send_site
        self.slow_readers: dict[int, _Cycle] = {}
        self.with_nagle: set[int] = set()
        self.unsent: dict[int, Unsent] = {}  # by the id of the protocol, too

    def reads(self, protocol: Any) -> None:
        """It gets the first data of a request, or more of it."""
        transport, is_new = protocol.transport, protocol.cycle is None
        reading.arrival = arrival_of(transport, is_new)
        if is_new and waits_for_acknowledgement(transport.get_extra_info("socket")):
            self.with_nagle.add(id(protocol))
        elif self.unsent:  # with the next request, the response before it has been read
            left = self.unsent.get(id(protocol))
            if left is not None and left.is_sent():
                self.unsent.pop(id(protocol), None)

    def drained(self, protocol: Any) -> None:
        """Its transport's buffer is below the low-water mark, or has gone."""
        cycle = self.slow_readers.pop(id(protocol), None)
        if cycle is not None:
            cycle.is_written(perf_counter_ns())

    def lost(self, protocol: Any) -> None:
        """The connection has ended."""
        self.with_nagle.discard(id(protocol))
        self.drained(protocol)
        left = self.unsent.pop(id(protocol), None)
        if left is not None:
            left.is_sent()  # looked at now, since its client may have gone with it; else the kernel goes on sending it


def _patched(module: Any, protocol_name: str) -> Undo:
    patches = Patches()
    protocol, cycle = getattr(module, protocol_name), module.RequestResponseCycle
    connections = _Connections(Site(place_of_code(cycle.send.__code__), FOR_EGRESS, module.__name__))
    plain_read, plain_run = protocol.data_received, cycle.run_asgi

    @functools.wraps(plain_read)
    def data_received(self: Any, data: bytes) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            read_more(name, plain_read, self, data)
            return
        safely(name, connections.reads, self)
        try:
            plain_read(self, data)
        finally:
            reading.arrival = None

    @functools.wraps(plain_run)
    def run_asgi(self: Any, app: Any) -> Any:
        arrival, reading.arrival = reading.arrival, None
        return plain_run(self, _Cycle(connections, self, app, arrival).enter)

    patches.replace(protocol, "data_received", data_received)
    patches.replace(cycle, "run_asgi", run_asgi)
    for method, told in (("resume_writing", connections.drained), ("connection_lost", connections.lost)):
        patches.replace(protocol, method, _telling(getattr(protocol, method), told))
    return patches.undo


def _telling(plain: Callable[..., Any], told: Callable[[Any], None]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def call(self: Any, *args: Any) -> Any:
        safely(name, told, self)
        return plain(self, *args)

    return call


class _Cycle:
    """One request and its response."""

    __slots__ = (
        "_app", "_arrival", "_connections", "_cycle", "_on_response", "_request", "_scope", "_send", "_status",
        "_streams",
    )  # fmt: skip

    def __init__(self, connections: _Connections, cycle: Any, app: Any, arrival: Arrival | None) -> None:
        self._connections, self._cycle, self._app, self._arrival = connections, cycle, app, arrival
        self._status = 0
        self._streams = False

    def enter(self, scope: Any, receive: Any, send: Any) -> Any:
        """What uvicorn calls as the application: a plain function, so that no coroutine is added."""
        app, arrival = self._app, self._arrival or Arrival(perf_counter_ns(), INGRESS_READ)
        request = safely(name, open_http, arrival, scope["headers"])
        if request is None:
            return app(scope, receive, send)
        self._request, self._scope, self._send = request, scope, send
        request.server = self
        self._on_response, self._cycle.on_response = self._cycle.on_response, self._responded
        return app(scope, receive, self._noting)

    def _noting(self, message: Any) -> Any:
        if not self._status:
            self._status = message.get("status", 0)
            message = with_headers(self._request, message)
        elif not self._streams and message.get("more_body"):
            self._streams = True
            if self._request.ingress is not None:
                self._request.ingress[FIRST_BYTE_NS] = perf_counter_ns() - self._request.start_ns
        return self._send(message)

    def _responded(self) -> None:
        """uvicorn has written the end of the response."""
        self._cycle.on_response = self._on_response  # the two refer to each other no longer
        safely(name, self._end)
        self._on_response()

    def _end(self) -> None:
        request, connections = self._request, self._connections
        if not request.open:
            return
        now = perf_counter_ns()
        leave(request, now)
        transport = self._cycle.transport
        if self._cycle.flow.write_paused and transport.get_write_buffer_size():
            connections.slow_readers[self._protocol()] = self
        else:
            self.is_written(now)

    def _protocol(self) -> int:
        return id(getattr(self._on_response, "__self__", None))

    def is_written(self, now: int) -> None:
        """The kernel has all of the response, or almost."""
        request, connections, transport = self._request, self._connections, self._cycle.transport
        if now == request.end_ns and not not_sent_bytes(transport.get_extra_info("socket")):  # as most
            self._finish(now)
            return
        protocol = self._protocol()
        nagle = protocol in connections.with_nagle

        def ended(sent_ns: int) -> None:
            connections.unsent.pop(protocol, None)
            self._finish(sent_ns)

        left = leave_kernel(request, transport, now, connections.send_site, ended, nagle=nagle)
        if left is not None:
            connections.unsent[protocol] = left

    def abandoned(self, end_ns: int) -> None:
        """Its client is gone, or its application did not answer."""
        safely(name, self._finish, end_ns)

    def so_far(self) -> Unit:
        return about_scope(self._scope, self._status)._replace(code=endpoint_code(self._scope))

    def _finish(self, end_ns: int = 0) -> None:
        request, scope = self._request, self._scope
        root, own = request.root, request.own_span
        root.code = endpoint_code(scope) or root.code  # else of no use: uvicorn's own
        if own is None:
            end_request(request, end_ns=end_ns)
            return
        status = self._status or (500 if self._cycle.response_complete else 0)  # uvicorn's own answer to an exception
        unit = about_scope(scope, status, own.stamped.name if own.stamped is not None else "")
        end_request(request, unit.name, unit.error, unit.attributes, end_ns)
