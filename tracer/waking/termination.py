"""SIGTERM's default action ends a process without `atexit`, and uvicorn raises it after its own shutdown: the last
spans would be lost. Under `whywait run` a handler stands in for the default action. The service sees, sets and gets
the default action (`probes/process_exit.py`); a handler that it sets replaces this one."""

import _signal  # type: ignore[import-not-found]  # `signal.signal` may be replaced by a probe
import signal
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


_WITHIN_NS = 900_000_000  # the main thread may be in a call into C, during which no handler runs


class _Termination:
    def __init__(self) -> None:
        self._ends: tuple[Callable[[], None], ...] = ()

    def expect(self, *ends: "Callable[[], None]") -> None:
        """Call `ends` before SIGTERM ends the process, where it does."""
        self._ends = ends
        self.stand_in()

    def stand_in(self) -> None:
        """Put the handler where the default action stands. Only the main thread can."""
        if not self._ends or threading.current_thread() is not threading.main_thread():
            return
        if _signal.getsignal(signal.SIGTERM) == _signal.SIG_DFL:
            _signal.signal(signal.SIGTERM, self.handle)
            if (native := _native()) is not None:
                native.expect_end(_WITHIN_NS)

    def stand_back(self) -> None:
        """In a forked child: it may have to end in the midst of a call into C, and has nothing to lose."""
        if self.stands_for(_signal.getsignal(signal.SIGTERM)):
            _signal.signal(signal.SIGTERM, _signal.SIG_DFL)

    def handle(self, number: int, frame: object) -> None:
        if (native := _native()) is not None:
            native.take_over_end()
        _signal.signal(signal.SIGTERM, _signal.SIG_DFL)
        for end in self._ends:
            end()
        _signal.raise_signal(signal.SIGTERM)

    def stands_for(self, handler: "Any") -> bool:
        """Return whether a handler is the stand-in for the default action."""
        return bool(handler == self.handle)


def _native() -> "Any":
    """The native core; None where there is none, or none yet."""
    return getattr(sys.modules.get("whywait.tracer.host.native.native_core"), "module", None)


_termination = _Termination()
expect = _termination.expect
stand_in = _termination.stand_in
stand_back = _termination.stand_back
stands_for = _termination.stands_for
