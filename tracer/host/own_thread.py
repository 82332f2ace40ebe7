"""Threads of whywait, which the service does not see: a script that joins every thread, or waits until there is no
other, would wait for ever. They run no handler of signals, and are no reason for Python's warning about forks."""

import signal
import sys
import threading
import time
import warnings
from _thread import get_ident
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

# the kernel sends these to the thread that causes them
_OWN_FAULTS: Final = {getattr(signal, name, None) for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS")}  # fmt: skip
_TRIES: Final = 1_000
_hidden: dict[int, threading.Thread] = {}


class OwnThread(threading.Thread):
    """A daemon thread that is hidden before `start` returns."""

    def __init__(self, name: str, target: Callable[..., object], *args: Any) -> None:
        super().__init__(name=name, target=target, args=args, daemon=True)

    def start(self) -> None:
        with signals_of_host():
            super().start()
        hide(self)


@contextmanager
def signals_of_host() -> Iterator[None]:
    """Threads that are started meanwhile take no signal: who waits for one by `sigwait` is the one to get it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _OWN_FAULTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hide(thread: threading.Thread) -> None:
    """Hide a running thread from `threading.enumerate`, `active_count` and who reads them."""
    active: dict[int, Any] | None = getattr(threading, "_active", None)
    ident = thread.ident or 0
    if active is None:
        return
    _hidden[ident] = thread

    def delete() -> None:  # called by the thread at its end
        _hidden.pop(ident, None)
        active.pop(ident, None)

    thread._delete = delete  # type: ignore[attr-defined]
    for _ in range(_TRIES):  # it may have yet to enter itself
        if not thread.is_alive() or active.pop(ident, None) is thread:
            break
        time.sleep(0.0001)
    if not thread.is_alive():
        _hidden.pop(ident, None)  # `ident` may be another thread's by now


def hide_here() -> None:
    """Hide this thread of whywait again: whoever asks for the current thread, as logging does, enters a dummy."""
    if get_ident() in _hidden:
        threading._active.pop(get_ident(), None)  # type: ignore[attr-defined]


def all_threads() -> list[threading.Thread]:
    """Return the running threads, whywait's included."""
    return [*threading.enumerate(), *_hidden.copy().values()]


class _OnlyOurs:
    """Matches Python's warning of a fork beside threads (3.12 on) where all of these are whywait's."""

    def match(self, text: str) -> bool:
        return "is multi-threaded" in text and bool(_hidden) and threading.active_count() == 1


_FILTER: Final[Any] = ("ignore", _OnlyOurs(), DeprecationWarning, None, 0)


def before_fork() -> None:
    """A service of one thread is not warned when it forks. Python 3.14 warns after the last hook of a fork, so the
    filter stays; it is the first, whichever the service has set since."""
    if sys.version_info >= (3, 12) and _hidden and warnings.filters[:1] != [_FILTER]:
        warnings.filters[:] = [_FILTER, *(one for one in warnings.filters if one is not _FILTER)]  # type: ignore[index]


def forget_threads() -> None:
    """In a forked child: it has none of them."""
    _hidden.clear()
