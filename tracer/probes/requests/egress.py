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
from whywait.tracer.probes.requests.tcp_info import TICK_NS, not_sent_bytes, segment_bytes, sent_ago_ns
from whywait.tracer.records.request import IO, Request
from whywait.tracer.schema import EGRESS_NAGLE, WAIT_AWAIT

_MOST: Final = 256
_LONGEST_NS: Final = 30_000_000_000
_AT_ONCE_NS: Final = 1_000_000  # shorter: it was on its way


class Unsent:
    """One such response. `ended` is called once, with when its request has ended; it may be so in another thread."""

    __slots__ = ("_connection", "_ended", "_has_nagle", "_site", "request")

    def __init__(
        self, request: Request, connection: Any, site: Site, ended: Callable[[int], None], *, has_nagle: bool
    ) -> None:
        self.request, self._connection, self._site = request, connection, site
        self._ended: Callable[[int], None] | None = ended
        self._has_nagle = has_nagle

    def is_sent(self, *, is_last: bool = False) -> bool:
        """Return whether the kernel has sent all of it, or nobody will look again (`is_last`); its request has ended then.
        Never raises."""
        if self._ended is None:  # its connection's number may be another's by now
            return True
        try:
            now, written_ns = perf_counter_ns(), self.request.end_ns
            if not_sent_bytes(self._connection) and not is_last and now - written_ns < _LONGEST_NS:
                return False
            self.end(now if is_last else min(max(now - sent_ago_ns(self._connection), written_ns), now))
        except Exception as error:
            probe_failed("egress", error)
        return True

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
    request: Request, connection: Any, now: int, site: Site, ended: Callable[[int], None], *, nagle: bool = False
) -> Unsent | None:
    """The kernel has got all of a response, or almost: call `ended` with when it has sent it, at once where it has. Else
    the watchdog will; return what it looks at. `nagle`: whether Nagle's algorithm is in force."""
    left = not_sent_bytes(connection)
    if not left and now == request.end_ns:  # as most
        ended(now)
        return None
    recorder = recorders.active
    nagle = nagle and now == request.end_ns and left < segment_bytes(connection)
    found = Unsent(request, connection, site, ended, has_nagle=nagle)
    if left and recorder is not None and recorder.config.watchdog_interval_s > 0 and len(recorder.unsent) < _MOST:
        recorder.unsent.append(found)
        return found
    found.end(now)
    return None
