"""A response that was written, and that the kernel has not sent yet: its client takes it slowly, or Nagle's algorithm
holds its last bytes until what came before is acknowledged. The watchdog sees when it is sent.

    written |.... not sent ....| all of it has left this host
"""

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.host.code_location import Site
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.waits import record_wait
from whywait.tracer.probes.requests.tcp_info import (
    TICK_NS,
    Sent,
    not_sent_bytes,
    question_by_addresses,
    segment_bytes,
    sent_by_addresses,
    sent_of,
)
from whywait.tracer.records.request import IO, Request
from whywait.tracer.schema import EGRESS_NAGLE, WAIT_AWAIT

_MOST: Final = 256
_LONGEST_NS: Final = 30_000_000_000
_AT_ONCE_NS: Final = 1_000_000  # shorter: it was on its way
_UNKNOWN: Final = 1 << 63  # the position of a response's end, where others write it


class Unsent:
    """One such response. `ended` is called once, with when its request has ended; it may be so in another thread."""

    __slots__ = (
        "_ended",
        "_has_nagle",
        "_looked_ns",
        "_question",
        "_site",
        "_socket",
        "_transport",
        "_until",
        "request",
    )

    def __init__(
        self,
        request: Request,
        transport: Any,
        until: int,
        question: bytes | None,
        site: Site,
        ended: Callable[[int], None],
        *,
        has_nagle: bool,
    ) -> None:
        self.request, self._transport, self._site = request, transport, site
        self._socket, self._until, self._question = transport.get_extra_info("socket"), until, question
        self._ended: Callable[[int], None] | None = ended
        self._has_nagle = has_nagle
        self._looked_ns = request.end_ns

    def is_sent(self, *, is_last: bool = False) -> bool:
        """Return whether the kernel has sent all of it, or nobody will look again (`is_last`); its request has ended then.
        Never raises."""
        if self._ended is None:
            return True
        try:
            now, looked_ns = perf_counter_ns(), self._looked_ns
            told = self._sent()
            age_ns = now - self.request.end_ns
            is_left = told is not None and (told.left if told.bytes < self._until else 0)
            is_early = self._until == _UNKNOWN and age_ns < _AT_ONCE_NS  # it may not be written yet
            if (is_left or is_early) and not is_last and age_ns < _LONGEST_NS:
                self._looked_ns = now
                return False
            if not is_last:  # since the latest look; of a socket that has gone, no more is known
                # the kernel counts in ticks: no later than this, so that no more is told than the client waited
                is_known = told is not None and told.bytes > 0
                now = max(now - told.ago_ns - TICK_NS, looked_ns) if told and is_known else (looked_ns + now) // 2
            self.end(now)
        except Exception as error:
            probe_failed("egress", error)
        return True

    def _sent(self) -> Sent | None:
        if not self._transport.is_closing():
            return sent_of(self._socket)
        # its number may be another's by now
        return sent_by_addresses(self._question) if self._question is not None else None

    def end(self, sent_ns: int) -> None:
        """All of it has been sent, or will never be."""
        ended, self._ended = self._ended, None
        if ended is None:  # another thread was faster
            return
        request = self.request
        written_ns = request.end_ns
        if self._has_nagle and sent_ns - written_ns > TICK_NS and request.ingress is not None:
            request.ingress[EGRESS_NAGLE] = True
        if sent_ns - written_ns >= _AT_ONCE_NS:
            record_wait(request.root, WAIT_AWAIT, written_ns, sent_ns, sent_ns, IO, self._site, 0)
        ended(sent_ns)


def leave_kernel(
    request: Request,
    transport: Any,
    now: int,
    site: Site,
    ended: Callable[[int], None],
    question: bytes | None = None,
    *,
    nagle: bool = False,
) -> Unsent | None:
    """The kernel has got all of a response, or almost: call `ended` with when it has sent it, at once where it has. Else
    the watchdog will; return what it looks at. `question`: by its addresses, of a server that may have closed it by now;
    `nagle`: whether Nagle's algorithm is in force."""
    connection = transport.get_extra_info("socket")
    is_closed = question is not None and transport.is_closing()
    if not is_closed and not not_sent_bytes(connection) and now == request.end_ns:  # as most
        ended(now)
        return None
    told = sent_by_addresses(question) if is_closed and question is not None else sent_of(connection)
    left, until = (
        (told.left, told.bytes + told.left + transport.get_write_buffer_size()) if told is not None else (0, 0)
    )
    nagle = nagle and now == request.end_ns and left < segment_bytes(connection)
    question = question if is_closed else question_by_addresses(connection)  # it may be closed, and the kernel sends on
    found = Unsent(request, transport, until, question, site, ended, has_nagle=nagle)
    if left and _is_watched(found):
        return found
    found.end(now)
    return None


def _is_watched(found: Unsent) -> bool:
    recorder = recorders.active
    if recorder is None or not recorder.config.watchdog_interval_s > 0 or len(recorder.unsent) >= _MOST:
        return False
    recorder.unsent.append(found)
    return True


class _NotAtHand:
    """Stands for a connection that is not Python's."""

    def get_extra_info(self, _: str) -> None: ...

    def is_closing(self) -> bool:
        return True


def leave_others_kernel(request: Request, question: bytes, site: Site, ended: Callable[[int], None]) -> bool:
    """As `leave_kernel`, where threads that are not Python's write the response; return whether `ended` will be called."""
    return _is_watched(Unsent(request, _NotAtHand(), _UNKNOWN, question, site, ended, has_nagle=False))
