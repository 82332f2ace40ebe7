"""Process ends that skip `atexit`, which would lose the last spans.

A server that has shut down on a signal raises that signal again, with its default action: uvicorn under
gunicorn does. A child that `multiprocessing` forked ends by `os._exit`.
"""

import functools
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo, always

name: Final = "endings"
needs: Final = ()
available: Final = always
_DEADLY: Final = frozenset(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)
_LAST: Final = -1_000  # after everything else at the child's end


def install(session: Session) -> Undo:
    """Stop the session before a signal that this process sends to itself kills it; return the undo."""
    plain = signal.raise_signal

    @functools.wraps(plain)
    def raise_signal(number: Any, /) -> None:
        with suppress(Exception):
            if _kills(number):
                session.stop()
        plain(number)

    patches = Patches()
    patches.replace(signal, "raise_signal", raise_signal)
    return patches.undo


def _kills(number: Any) -> bool:
    if number not in _DEADLY or signal.getsignal(number) is not signal.SIG_DFL:
        return False
    return not hasattr(signal, "pthread_sigmask") or number not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def stop_with_child(stop: Callable[[], None]) -> None:
    """In a forked child: call `stop` at the child's end if `multiprocessing` forked it.

    Whether it did is not known yet. If so, `multiprocessing` forgets what the parent has to do at its end, and then
    does what is registered here.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        _register(util, stop)


@functools.cache  # children of this child inherit the registration
def _register(util: Any, stop: Callable[[], None]) -> None:
    util.register_after_fork(stop, _finalize)


def _finalize(stop: Callable[[], None]) -> None:
    util: Any = sys.modules["multiprocessing.util"]
    util.Finalize(None, stop, exitpriority=_LAST)
