"""When a request arrived: by the kernel, by what the loop is known to have done, and by the header of a proxy."""

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.hotpath.opening.open_request import Arrival, open_request
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.thread_state import swap_standing
from whywait.tracer.probes.requests.tcp_info import TICK_NS, data_age_ns
from whywait.tracer.records.current import here
from whywait.tracer.records.loop import Loop
from whywait.tracer.records.request import IO_DATED, Request, made
from whywait.tracer.schema import INGRESS_KERNEL, INGRESS_PROXY, INGRESS_READ, INGRESS_SKEW_NS

HEADERS: Final = (b"x-request-start", b"x-queue-start", b"x-amzn-trace-id")
_TRACEPARENT: Final = b"traceparent"
_TRACESTATE: Final = b"tracestate"
WANTED: Final = frozenset((_TRACEPARENT, _TRACESTATE, *HEADERS))
_NUMBER: Final = re.compile(rb"\s*(?:t=)?\s*(\d{10}(?:\.\d{1,9})?|\d{13}|\d{16}|\d{19})\s*$")
# a load balancer of AWS appends its own stamp to one that is there; whole seconds
_AMAZON: Final = re.compile(rb"(Self|Root)=1-([0-9a-f]{8})-")
_SECOND_NS: Final = 1_000_000_000
_ABSURD_NS: Final = 600 * _SECOND_NS  # longer than servers and proxies keep a request
_SKEW_NS: Final = 10_000_000  # clocks that agree: a header may be this far ahead
_IDLE_NS: Final = 200_000  # of a loop whose sleep is not observed: longer between two callbacks, it slept


class _Reading(threading.local):
    """What a server reads on this thread: when it arrived. Apart from `here`, whose writer would be called thrice."""

    arrival: Arrival | None = None


reading: Final = _Reading()


def arrival_of(transport: Any, is_new: bool) -> Arrival:
    """Return when the data came that the server reads now; `is_new`: the first of its connection."""
    age_ns, loop = data_age_ns(transport.get_extra_info("socket")), here.loop
    known_from, tick_ns = (INGRESS_KERNEL, TICK_NS) if age_ns is not None else (INGRESS_READ, 0)
    if loop is None:
        at_ns = perf_counter_ns() - (age_ns or 0)
    elif loop.selects and not age_ns and loop.woke_ns == loop.select_end_ns:
        at_ns = loop.woke_ns  # the usual case, as `came_at` has it
    else:
        at_ns = came_at(loop, perf_counter_ns(), age_ns or 0, is_new, tick_ns)
    return made(Arrival, (at_ns, known_from, 0))


def came_at(loop: Loop, now: int, age_ns: int, is_new: bool, tick_ns: int) -> int:
    """Return when data of this age came, which the loop reads now: the middle of when it can have come.

        ~~~~~~~~~~E callbacks P callbacks Q callbacks now       a sleep until E; polls that did not sleep: P, and Q, the latest

    The kernel counts its age in ticks: it is known within one, and most often within two thirds. It came before the
    latest poll, which found it, and after the poll before, which did not; that of a new connection may have come when
    the connection did. While the loop slept, no data was there: what seems to have come less than a tick before its
    end, ended it; older data met a loop that woke up late, or had not slept.
    """
    if loop.selects:
        found_ns = loop.select_end_ns
    else:  # libuv polls after each round of scheduled callbacks, and sleeps there
        ended_ns, found_ns = loop.ended_ns, now
        if ended_ns > loop.poll_ns:
            loop.polled_from_ns, loop.poll_ns = loop.poll_ns, ended_ns
        if now - ended_ns >= _IDLE_NS:
            loop.woke_ns = now
    at_ns, within_ns = now - age_ns, tick_ns * 2 // 3
    since_ns = at_ns - within_ns
    if since_ns < loop.woke_ns <= at_ns + tick_ns:
        since_ns = loop.woke_ns
    if since_ns < loop.polled_from_ns <= found_ns and not is_new:
        since_ns = loop.polled_from_ns
    until_ns = at_ns + within_ns
    if until_ns > found_ns:  # comparisons: `min` and `max` cost a request some 0.3 µs
        until_ns = found_ns
    if since_ns >= until_ns:
        return since_ns if since_ns < found_ns else found_ns
    return (since_ns + until_ns) // 2


def awake_since(loop: Loop, now: int, sent_ns: int) -> int:
    """Return since when the loop has run one callback after another, at most back to `sent_ns`: where the kernel does
    not tell, what the proxy sent came then, for a loop that sleeps reads at once."""
    if loop.selects:
        return max(loop.woke_ns, sent_ns)
    at_ns = now
    for one in reversed(loop.callbacks):
        if at_ns <= sent_ns or one.end_ns < at_ns - _IDLE_NS:
            break
        if one.calls == 1:  # a run of short ones may have sleeps inside
            at_ns = one.start_ns
    return max(at_ns, sent_ns)


def read_more(probe: str, plain: Callable[..., Any], protocol: Any, data: bytes) -> None:
    """Give a protocol more of a request that is being answered: whoever is woken waited until it came, then for the loop."""
    try:
        came_ns = arrival_of(protocol.transport, False).at_ns
    except Exception as error:
        probe_failed(probe, error)
        came_ns = perf_counter_ns()
    before = swap_standing((read_more, (IO_DATED, came_ns)))
    try:
        plain(protocol, data)
    finally:
        swap_standing(before)


def sent_unix_ns(headers: Mapping[bytes, bytes]) -> int | None:
    """Return when a proxy got the request, by its header in s, ms, µs or ns; None without a header that says it."""
    for name in HEADERS[:2]:
        found = _NUMBER.match(headers.get(name, b""))
        if found is not None:
            whole, _, fraction = found[1].decode().partition(".")
            return int((whole + fraction).ljust(19, "0"))
    stamps = dict(_AMAZON.findall(headers.get(HEADERS[2], b"")))
    seconds = stamps.get(b"Self") or stamps.get(b"Root")
    return (int(seconds, 16) + 1) * _SECOND_NS if seconds else None  # it was within that second


def behind_proxy(arrival: Arrival, headers: Mapping[bytes, bytes]) -> tuple[Arrival, int]:
    """Return the arrival with the time at the proxy before; and how far a header that cannot be right is ahead."""
    unix_ns = sent_unix_ns(headers)
    if unix_ns is None:
        return arrival, 0
    sent_ns = unix_ns - time.time_ns() + perf_counter_ns()
    ahead_ns = sent_ns - arrival.at_ns
    if -_ABSURD_NS < ahead_ns < 0:
        loop = here.loop if arrival.known_from == INGRESS_READ else None
        at_ns = awake_since(loop, arrival.at_ns, sent_ns) if loop is not None else arrival.at_ns
        return Arrival(at_ns, INGRESS_PROXY, sent_ns), 0
    is_known = ahead_ns < _SKEW_NS or (HEADERS[0] not in headers and HEADERS[1] not in headers)
    return arrival, 0 if is_known and ahead_ns >= 0 else ahead_ns


def open_http(arrival: Arrival, headers: Iterable[tuple[bytes, bytes]]) -> Request | None:
    """Open a server's request in this task, with what its headers, in lower case, say of its caller and a proxy before;
    None inside an open request, and without a session."""
    found: dict[bytes, bytes] = {}
    for key, value in headers:  # a comprehension is a call more before Python 3.12
        if key in WANTED:
            found[key] = value
    if not found:
        return open_request(arrival)
    arrival, ahead_ns = behind_proxy(arrival, found)
    parent, state = (found.get(one, b"").decode("latin-1") for one in (_TRACEPARENT, _TRACESTATE))
    request = open_request(arrival, "server", parent, state)
    if ahead_ns and request is not None and request.ingress is not None:
        request.ingress[INGRESS_SKEW_NS] = ahead_ns
    return request
