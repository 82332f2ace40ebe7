"""Opens a request where other servers and workers begin a unit of their work, and ends it where that ends.

A unit is a call of a coroutine function (`whole`), an ASGI application's call until its response is complete (`asgi`),
or what is done with one message of a connection, until the next one is asked for (`messages`): the client's silence is
nobody's fault. Whatever ends first ends it: its function, its task, or the next message.
"""

import functools
import socket
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from time import perf_counter_ns
from typing import Any, Final, Literal
from weakref import WeakKeyDictionary, WeakValueDictionary

from whywait.tracer.host.code_location import Site, place_of_code
from whywait.tracer.hotpath.opening.open_request import Arrival, end_request, leave, open_request
from whywait.tracer.hotpath.recorder import probe_failed, safely
from whywait.tracer.probes.requests.arrival import arrival_of, awake_since, open_http
from whywait.tracer.probes.requests.egress import Unsent, leave_kernel, leave_others_kernel
from whywait.tracer.probes.requests.tcp_info import TICK_NS, data_age_by_addresses, question_about
from whywait.tracer.probes.response_headers import with_headers
from whywait.tracer.records.current import ACTIVITY, here
from whywait.tracer.records.request import Request, Unit
from whywait.tracer.schema import FIRST_BYTE_NS, FOR_EGRESS, INGRESS_KERNEL, INGRESS_READ

name: Final = "units of work"
_MOST_CONNECTIONS: Final = 4_096
_ANY: Final = (socket.inet_ntoa(bytes(4)), "::")  # as a server's own address: not known
_SMALL: Final = 16_384  # bytes of a response, which the kernel of any client takes

Kind = Literal["server", "consumer"]
Egress = Callable[[Request, int, Callable[[int], None]], bool]
"""Takes over a request whose response is written: whether it will call what ends it, with when the kernel has sent that."""


About = Callable[[Any, Any], Unit]
"""Gives the unit by the arguments of its call, and its result (None: it has none)."""


class Work:
    """One open unit of work. It ends once."""

    __slots__ = ("_about", "_args", "_is_connection", "_request", "egress", "skips")

    def __init__(self, request: Request, about: About, args: Any, skips: int) -> None:
        self._request: Request | None = request
        self.egress: Egress | None = None  # of a server whose connections are known
        self._about = about
        self._args = args
        self.skips = skips  # so many calls for a message are part of it: an ASGI server's first one is no message
        self._is_connection = skips > 0
        request.server = self

    def has_pushed(self) -> None:
        """The server has sent a message to a websocket of its own accord: that one's beginning has ended, if this is it."""
        if self._is_connection or self.egress is not None:  # or the request of aiohttp.web that became one
            self.egress = None
            self.finish(perf_counter_ns())

    def abandoned(self, end_ns: int) -> None:
        self.finish(end_ns)

    def so_far(self) -> Unit:
        return self._about(self._args, None)

    def finish(self, end_ns: int = 0, result: Any = None, error: str = "") -> None:
        """It has ended, now or at `end_ns`. Never raises."""
        request, self._request = self._request, None
        args, self._args = self._args, None  # no object of the host lives longer
        if request is None:
            return
        request.server, egress = None, self.egress
        self.egress = None
        unit = Unit("")
        try:
            unit = self._about(args, result)
            request.root.code = unit.code or request.root.code
        except Exception as failed:
            probe_failed(name, failed)
        ended = partial(end_request, request, unit.name, error or unit.error, unit.attributes)
        if egress is None or error or not safely(name, egress, request, end_ns or perf_counter_ns(), ended):
            ended(end_ns)

    def headed(self, start: Any) -> Any:
        """The beginning of its response, as it is to be sent."""
        return start if self._request is None else with_headers(self._request, start)

    def first_byte(self) -> None:
        """A response of several parts has begun."""
        request = self._request
        if request is not None and request.ingress is not None:
            request.ingress.setdefault(FIRST_BYTE_NS, perf_counter_ns() - request.start_ns)


@functools.cache
def _egress_of(server: Callable[..., Any]) -> Site:
    return Site(place_of_code(server.__code__), FOR_EGRESS, server.__module__)


class Arrivals:
    """When each of the latest connections last got data, and which have responses that the kernel has not sent."""

    def __init__(self) -> None:
        self._latest: OrderedDict[Hashable, tuple[int, Arrival]] = OrderedDict()  # when it was read, and when it came
        self._unsent: dict[Hashable, Unsent] = {}
        # where the work does not know its own; and what asks the kernel of one that its server has closed
        self.transports: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()
        self.questions: WeakKeyDictionary[Any, bytes | None] = WeakKeyDictionary()

    def note(self, key: Hashable, transport: Any) -> None:
        """A connection reads data now. Never raises."""
        safely(name, self._note, key, transport)

    def _note(self, key: Hashable, transport: Any) -> None:
        known = self._latest.pop(key, None)
        if self._unsent and (left := self._unsent.get(key)) is not None and left.is_sent():
            self._unsent.pop(key, None)  # with the next request, the response before it has been read
        arrival = arrival_of(transport, known is None)
        self._latest[key] = perf_counter_ns(), arrival
        if len(self._latest) > _MOST_CONNECTIONS:
            self._latest.popitem(last=False)

    def key(self, scope: Any) -> Hashable:
        """Return what the connection of an ASGI scope is known by."""
        client = scope.get("client")
        return tuple(client) if client else None

    def egress_of(self, key: Hashable, scope: Any, response: Any, server: Callable[..., Any]) -> Egress | None:
        """As `egress`, of an ASGI application's call."""
        transport = self.transports.get(key)
        return self.egress(key, transport, server, self.questions.get(transport)) if transport is not None else None

    def egress(
        self, key: Hashable, transport: Any, server: Callable[..., Any], question: bytes | None = None
    ) -> Egress:
        """Return what ends a request of this connection when the kernel has sent its response, which `server` answers."""

        def leave_when_sent(request: Request, now: int, ended: Callable[[int], None]) -> bool:
            leave(request, now)

            def sent(sent_ns: int) -> None:
                self._unsent.pop(key, None)
                ended(sent_ns)

            left = leave_kernel(request, transport, now, _egress_of(server), sent, question)
            if left is not None:
                self._unsent[key] = left
            return True

        return leave_when_sent

    def of(self, key: Hashable, after_ns: int = 0) -> Arrival:
        """Return the arrival of what the connection read after a moment; now, where it read nothing."""
        read_ns, arrival = self._latest.get(key, (-1, None))
        return arrival if arrival is not None and read_ns >= after_ns else Arrival(perf_counter_ns(), INGRESS_READ)


class ArrivalsOfOthers(Arrivals):
    """Of connections that threads read which are not Python's: the kernel is asked about them by their addresses, which
    are their key."""

    def key(self, scope: Any) -> Hashable:
        client, server = scope.get("client"), scope.get("server")
        if not client or not server:
            return None
        try:
            host = _host_towards(client[0]) if server[0] in _ANY else server[0]
            return question_about((host, server[1]), client)
        except (OSError, ValueError):
            return None

    def of(self, key: Hashable, after_ns: int = 0) -> Arrival:
        now, loop = perf_counter_ns(), here.loop
        age_ns = safely(name, data_age_by_addresses, key) if key is not None else None
        if age_ns is None:
            return Arrival(now, INGRESS_READ)
        at_ns = now - age_ns
        if loop is not None:  # threads read it at once: what came to a loop that slept has woken it
            earliest_ns = at_ns - TICK_NS
            woke_ns = awake_since(loop, now, earliest_ns)
            at_ns = (
                woke_ns if earliest_ns < woke_ns <= at_ns + TICK_NS else at_ns
            )  # later: the loop only seems to have slept
        return Arrival(at_ns, INGRESS_KERNEL) if at_ns >= after_ns else Arrival(now, INGRESS_READ)

    def egress_of(self, key: Any, scope: Any, response: Any, server: Callable[..., Any]) -> Egress | None:
        if key is None or not scope["http_version"].startswith("1"):  # several responses at once: whose are the bytes?
            return None

        def leave_when_sent(request: Request, now: int, ended: Callable[[int], None]) -> bool:
            leave(request, now)
            return response.length > _SMALL and leave_others_kernel(request, key, _egress_of(server), ended)

        return leave_when_sent


@functools.lru_cache(1_024)
def _host_towards(client: str) -> str:
    """The address of this host that a client most likely has asked."""
    with socket.socket(socket.AF_INET6 if ":" in client else socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect((client, 9))  # sends nothing
        return str(one.getsockname()[0])


def begin(
    arrival: Arrival, kind: Kind, about: About, args: Any, skips: int = 0, headers: Iterable[tuple[bytes, bytes]] = ()
) -> Work | None:
    """Open a unit of work in this task; None inside an open request. `headers` are a server's. Never raises."""
    try:
        request = open_http(arrival, headers) if kind == "server" else open_request(arrival, kind)
        return Work(request, about, args, skips) if request is not None else None
    except Exception as failed:
        probe_failed(name, failed)
        return None


def end_before_message() -> None:
    """This task asks for the next message: what it did with the one before has ended."""
    work = _open_work()
    if work is not None:
        if work.skips:
            work.skips -= 1
        else:
            work.finish(perf_counter_ns())


def ends_handshake(plain: Callable[..., Any], is_push: Callable[[Any], bool] = lambda _: True) -> Callable[..., Any]:
    """Return the coroutine function that sends a message to a websocket's client: what the server sends of its own accord
    ends the connection's beginning, and what follows is nobody's, until a message comes."""

    @functools.wraps(plain)
    async def call(*args: Any, **kwargs: Any) -> Any:
        await plain(*args, **kwargs)
        if is_push(args):
            safely(name, end_handshake)

    return call


def end_handshake() -> None:
    """This task has sent a message to a websocket's client: the connection's beginning ends, if it still worked for that."""
    work = _open_work()
    if work is not None:
        work.has_pushed()


def _open_work() -> Work | None:
    found = ACTIVITY.get()
    work = found.request.server if found is not None and found.request.open else None
    return work if isinstance(work, Work) else None


def call_whole(plain: Callable[..., Any], opened: Callable[[Any], tuple[Work | None, Any]]) -> Callable[..., Any]:
    """Return the coroutine function, each call of which is a unit of work. `opened` opens it, and gives the arguments."""

    @functools.wraps(plain)
    async def call(*args: Any, **kwargs: Any) -> Any:
        work, args = safely(name, opened, args) or (None, args)  # it may be another version of the library
        if work is None:
            return await plain(*args, **kwargs)
        result, error = None, ""
        try:
            result = await plain(*args, **kwargs)
            return result
        except BaseException as raised:
            error = type(raised).__qualname__
            raise
        finally:
            work.finish(0, result, error)
            end_before_message()  # the last message, where the unit has been its connection's beginning

    return call


def call_messages(
    plain: Callable[..., Any], is_message: Callable[[Any], bool], opened: Callable[[Any, int], Work | None]
) -> Callable[..., Any]:
    """Return the coroutine function that gives a connection's next message; each message is a unit of work."""

    @functools.wraps(plain)
    async def call(*args: Any, **kwargs: Any) -> Any:
        end_before_message()
        asked_ns = perf_counter_ns()
        message = await plain(*args, **kwargs)
        try:
            if is_message(message):
                opened(args, asked_ns)
        except Exception as failed:
            probe_failed(name, failed)
        return message

    return call
