"""Process ends that skip `atexit`, which would lose the last spans.

A server that has shut down on a signal raises that signal again, with its default action: uvicorn under
gunicorn does. A child that `multiprocessing` forked ends by `os._exit`.
"""

import functools
import signal
import sys
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
    _end_with_child(session, patches)
    return patches.undo


def _end_with_child(session: Session, patches: Patches) -> None:
    """Stop the session at the end of a child of `multiprocessing`."""
    process: Any = sys.modules.get("multiprocessing.process")
    util: Any = sys.modules.get("multiprocessing.util")
    if process is None or util is None or process.parent_process() is None:
        return
    at_end = util.Finalize(None, session.stop, exitpriority=_LAST)
    patches.add("the stop at a child's end", at_end.cancel)


def _kills(number: Any) -> bool:
    if number not in _DEADLY or signal.getsignal(number) is not signal.SIG_DFL:
        return False
    return not hasattr(signal, "pthread_sigmask") or number not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
