"""Process ends that skip `atexit`, which would lose the last spans: a server's signal raised again with its default
action, `os._exit`, by which a forked child of `multiprocessing` ends, and another program in its place. And ends of loops, at which the tasks of
requests that never end are cancelled."""

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from inspect import iscoroutinefunction
from typing import Any, Final, NoReturn

from whywait.tracer.host.own_thread import OwnThread
from whywait.tracer.hotpath.opening.unfinished import record_open
from whywait.tracer.hotpath.recorder import Recorder, safely
from whywait.tracer.probes.patches import Patches, wrap_when_imported
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.waking import termination

name: Final = "endings"
needs: Final = ()
available: Final = always
_DEADLY: Final = frozenset(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)
Ends = Callable[..., Any]  # with whether a call is over, and its arguments: whether requests of its loop end now


def _afterwards(is_over: bool, *_: Any) -> bool:
    return is_over


def _cancelled_handler(is_over: bool, protocol: Any, *_: Any) -> bool:
    """aiohttp has waited for a connection's request, and just now cancelled its task."""
    handler = getattr(protocol, "_task_handler", None)
    return is_over and handler is not None and not handler.done() and bool(handler.cancelling())


def _is_cancelled(is_over: bool, _: Any, kind: Any, *__: Any) -> bool:
    """hypercorn has cancelled a connection's task, which will cancel those of its requests."""
    return not is_over and kind is asyncio.CancelledError


# functions that cancel a loop's tasks, which is their argument; and coroutine functions of servers that do so
_LOOP_ENDS: Final[dict[str, Ends]] = {
    "asyncio.runners._cancel_all_tasks": _afterwards,
    "uvloop._cancel_all_tasks": _afterwards,
    "uvicorn.server.Server._wait_tasks_to_complete": _afterwards,
    "aiohttp.web_protocol.RequestHandler.shutdown": _cancelled_handler,
    "hypercorn.asyncio.task_group.TaskGroup.__aexit__": _is_cancelled,
}
_LAST: Final = -1_000  # after everything else at the child's end
_SOON_S: Final = 0.1  # beside the time that the session takes for its traces


def install(session: Session) -> Undo:
    """Stop the session before a signal that this process sends to itself, or `os._exit`, ends it; return the undo."""
    plain, plain_exit = signal.raise_signal, os._exit
    process_id = os.getpid()

    @functools.wraps(plain)
    def raise_signal(number: Any, /) -> None:
        with suppress(Exception):
            if _kills(number):
                session.stop()
        plain(number)

    @functools.wraps(plain_exit)
    def _exit(status: int) -> NoReturn:
        with suppress(Exception):  # RuntimeError: the interpreter is ending, and starts no thread any more
            if os.getpid() == process_id:  # not a forked child, which is not traced
                _stop_soon(session)
        plain_exit(status)

    patches = Patches()
    patches.replace(os, "_exit", _exit)
    for one in ("execv", "execve"):  # which those of the other names call
        patches.replace(os, one, _becoming(getattr(os, one), session, process_id))
    patches.replace(signal, "raise_signal", raise_signal)
    _hide_stand_in(patches)
    _end_with_child(session, patches)
    undo = wrap_when_imported(name, _LOOP_ENDS, lambda plain, ends: _recording(session.recorder, plain, ends))
    patches.add("the ends of loops", undo)
    return patches.undo


def _becoming(plain: Any, session: Session, process_id: int) -> Any:
    """Return what stands for a function by which the process becomes another program, if there is such a program."""

    @functools.wraps(plain)
    def become(*args: Any, **named: Any) -> None:
        with suppress(Exception):
            path = args[0] if args else named["path"]
            if os.getpid() == process_id and (isinstance(path, int) or os.access(path, os.X_OK)):
                _stop_soon(session)
        plain(*args, **named)

    return become


def _hide_stand_in(patches: Patches) -> None:
    """Show the service the default action of SIGTERM where whywait's handler stands in for it: who keeps a handler and
    calls it after its own would end there."""
    plain_get, plain_set = signal.getsignal, signal.signal

    @functools.wraps(plain_get)
    def getsignal(signalnum: Any) -> Any:
        found = plain_get(signalnum)
        return signal.SIG_DFL if termination.stands_for(found) else found

    @functools.wraps(plain_set)
    def set_handler(signalnum: Any, handler: Any) -> Any:
        before = plain_set(signalnum, handler)
        if handler == signal.SIG_DFL and signalnum == signal.SIGTERM:
            termination.stand_in()
        return signal.SIG_DFL if termination.stands_for(before) else before

    patches.replace(signal, "getsignal", getsignal)
    patches.replace(signal, "signal", set_handler)


def _recording(recorder: Recorder, plain: Any, ends: Ends) -> Any:
    """Return what stands for a function of `_LOOP_ENDS`: it records the requests that are open there."""

    def record(*of_call: Any) -> None:
        if safely(name, ends, *of_call):
            record_open(recorder, asyncio.get_running_loop())

    @functools.wraps(plain)
    def cancel(loop: Any) -> None:
        record_open(recorder, loop)
        plain(loop)

    @functools.wraps(plain)
    async def wait(*args: Any, **kwargs: Any) -> Any:
        record(False, *args)
        try:
            return await plain(*args, **kwargs)
        finally:
            record(True, *args)

    return wait if iscoroutinefunction(plain) else cancel


def _stop_soon(session: Session) -> None:
    """Stop the session, for a bounded time. In a thread: the caller may hold any lock."""
    stopping = OwnThread("whywait-stop", session.stop)
    stopping.start()
    stopping.join(session.recorder.config.exit_s + _SOON_S)


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
