"""Opens a request at uvicorn's task, so that all that an ASGI framework and what is put around it does is part of it.

data_received         arrival: TCP_INFO, 1 µs
  run_asgi(app)       its task is made: the application is called through `_Cycle.enter`, in the task's first step
app(...)              the request is open
on_response           the response is written: the rest of the task, such as background work, is nobody's
resume_writing        a slow reader has taken most of it
"""

import functools
import sys
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.config import REDACT_NOTHING
from whywait.tracer.host.code_location import Site, place_of_code
from whywait.tracer.host.tcp_info import is_held_by_nagle
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.open_request import Arrival, end_request, leave, open_request
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.thread_state import note_arrival, take_arrival
from whywait.tracer.hotpath.waits import record_wait
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.probes.requests.arrival import HEADERS, arrival_of, behind_proxy
from whywait.tracer.records.request import IO, Request
from whywait.tracer.redaction.paths import path_without_tokens
from whywait.tracer.schema import EGRESS_NAGLE, FIRST_BYTE_NS, FOR_EGRESS, INGRESS_READ, INGRESS_SKEW_NS, WAIT_AWAIT
from whywait.tracer.waking.import_watch import ImportWatch

name: Final = "uvicorn"
needs: Final = ()  # they would import uvicorn, in processes that do not serve
available: Final = always
_PROTOCOLS: Final = {
    "uvicorn.protocols.http.h11_impl": "H11Protocol",
    "uvicorn.protocols.http.httptools_impl": "HttpToolsProtocol",
}
_TRACEPARENT: Final = b"traceparent"
_WANTED: Final = frozenset((_TRACEPARENT, *HEADERS))


def install(_: Session) -> Undo:
    """Wrap uvicorn's protocols, now or when they are imported, and return the undo."""
    patches = Patches()

    def patch(module: str) -> None:
        try:
            _patch(patches, sys.modules[module], _PROTOCOLS[module])
        except Exception as error:
            probe_failed(name, error)

    watch = ImportWatch([one for one in _PROTOCOLS if one not in sys.modules], patch)
    patches.add("uvicorn's import", watch.install())
    for module in _PROTOCOLS:
        if module in sys.modules:
            patch(module)
    return patches.undo


def _patch(patches: Patches, module: Any, protocol_name: str) -> None:
    protocol, cycle = getattr(module, protocol_name), module.RequestResponseCycle
    send_site = Site(place_of_code(cycle.send.__code__), FOR_EGRESS, module.__name__)
    plain_read, plain_run = protocol.data_received, cycle.run_asgi
    slow_readers: dict[int, _Cycle] = {}  # by id of their protocol

    @functools.wraps(plain_read)
    def data_received(self: Any, data: bytes) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            plain_read(self, data)  # more of a request that is being answered
            return
        try:
            note_arrival(arrival_of(self.transport, is_new=cycle is None))
        except Exception as error:
            probe_failed(name, error)
        try:
            plain_read(self, data)
        finally:
            note_arrival(None)

    @functools.wraps(plain_run)
    def run_asgi(self: Any, app: Any) -> Any:
        return plain_run(self, _Cycle(self, app, take_arrival(), send_site, slow_readers).enter)

    def drained(plain: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(plain)
        def call(self: Any, *args: Any) -> Any:
            reader = slow_readers.pop(id(self), None)
            if reader is not None:
                reader.drained()
            return plain(self, *args)

        return call

    patches.replace(protocol, "data_received", data_received)
    patches.replace(cycle, "run_asgi", run_asgi)
    for method in ("resume_writing", "connection_lost"):
        patches.replace(protocol, method, drained(getattr(protocol, method)))


class _Cycle:
    """One request and its response."""

    __slots__ = (
        "_app",
        "_arrival",
        "_cycle",
        "_on_response",
        "_request",
        "_scope",
        "_send",
        "_send_site",
        "_slow",
        "_status",
        "_streams",
    )

    def __init__(
        self, cycle: Any, app: Any, arrival: Arrival | None, send_site: Site, slow: "dict[int, _Cycle]"
    ) -> None:
        self._cycle, self._app, self._arrival = cycle, app, arrival
        self._send_site, self._slow = send_site, slow
        self._status = 0
        self._streams = False

    def enter(self, scope: Any, receive: Any, send: Any) -> Any:
        """What uvicorn calls as the application: a plain function, so that no coroutine is added."""
        app = self._app
        try:
            request = self._open(scope)
        except Exception as error:
            probe_failed(name, error)
            request = None
        if request is None:
            return app(scope, receive, send)
        self._request, self._scope, self._send = request, scope, send
        request.abandoned = self._abandoned
        self._on_response, self._cycle.on_response = self._cycle.on_response, self._responded
        return app(scope, receive, self._noting)

    def _open(self, scope: Any) -> Request | None:
        arrival = self._arrival or Arrival(perf_counter_ns(), INGRESS_READ)
        found = {key: value for key, value in scope["headers"] if key in _WANTED}
        ahead_ns, traceparent = 0, ""
        if found:
            arrival, ahead_ns = behind_proxy(arrival, found)
            traceparent = found.get(_TRACEPARENT, b"").decode("latin-1")
        request = open_request(arrival, "server", traceparent)
        if ahead_ns and request is not None and request.ingress is not None:
            request.ingress[INGRESS_SKEW_NS] = ahead_ns
        return request

    def _noting(self, message: Any) -> Any:
        if not self._status:
            self._status = message.get("status", 0)
        elif not self._streams and message.get("more_body"):
            self._streams = True
            if self._request.ingress is not None:
                self._request.ingress[FIRST_BYTE_NS] = perf_counter_ns() - self._request.start_ns
        return self._send(message)

    def _responded(self) -> None:
        """uvicorn has written the end of the response."""
        try:
            self._end()
        except Exception as error:
            probe_failed(name, error)
        self._on_response()

    def _end(self) -> None:
        request, transport = self._request, self._cycle.transport
        if not request.open:
            return
        leave(request, perf_counter_ns())
        if request.ingress is not None and is_held_by_nagle(transport.get_extra_info("socket")):
            request.ingress[EGRESS_NAGLE] = True
        protocol = getattr(self._on_response, "__self__", None)
        if self._cycle.flow.write_paused and protocol is not None and transport.get_write_buffer_size():
            self._slow[id(protocol)] = self
        else:
            self._finish()

    def drained(self) -> None:
        """The reader has taken so much that the transport's buffer is below its low-water mark, or has gone."""
        try:
            request, now = self._request, perf_counter_ns()
            written_ns = request.end_ns
            record_wait(request.root, WAIT_AWAIT, written_ns, now, now, IO, self._send_site, 0)
            self._finish(now)
        except Exception as error:
            probe_failed(name, error)

    def _abandoned(self, end_ns: int) -> None:
        """Its client is gone, or its application did not answer."""
        try:
            self._finish(end_ns)
        except Exception as error:
            probe_failed(name, error)

    def _finish(self, end_ns: int = 0) -> None:
        if self._request.own_span is None:
            end_request(self._request, end_ns=end_ns)
            return
        scope, status = self._scope, self._status
        recorder = recorders.active
        route = getattr(scope.get("route"), "path", None) or scope.get("path_template")
        path = scope["path"]
        if recorder is not None and recorder.config.redact != REDACT_NOTHING:
            path = path_without_tokens(path, route)
        attributes = {
            "http.request.method": scope["method"],
            "url.path": path,
            "url.scheme": scope.get("scheme") or "http",
        }
        if route:
            attributes["http.route"] = route
        if status:
            attributes["http.response.status_code"] = status
        error = str(status) if status >= 500 else ""
        end_request(self._request, f"{scope['method']} {route or path}", error, attributes, end_ns)
