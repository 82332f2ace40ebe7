"""Waits for locks that the application creates during a session: `threading.Lock`, and what is behind `RLock`, are
replaced by classes that create the same locks, traced if `Config.locks` names the creating module. Not observed:
locks created before `start`, or through a name bound before it (`from threading import Lock`), and those of C code.
Waits built on `Condition` are observed for all (`condition.py`), and always the lock of every `submit`
(`SubmitLock`)."""

import concurrent.futures.thread
import copyreg
import threading
from collections.abc import Callable
from pkgutil import resolve_name
from types import FrameType
from typing import Any, Final

from whywait.tracer.host.code_location import Place, is_library, is_ours, place_of_frame
from whywait.tracer.host.interpreter import is_free_threaded
from whywait.tracer.probes.locks import condition
from whywait.tracer.probes.locks.traced_lock import Maker, PassesFor, SubmitLock, TracedLock, TracedRLock
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo

name: Final = "locks"
needs: Final = (
    "_thread.LockType._at_fork_reinit", "_thread.RLock._acquire_restore", "_thread.RLock._at_fork_reinit",
    "_thread.RLock._is_owned", "_thread.RLock._release_save", "asyncio._get_running_loop",
    "concurrent.futures.thread._global_shutdown_lock", "threading.Condition._lock",
    "threading.Condition._waiters", "threading._active",
)  # fmt: skip
_THREADING = threading.__file__
_THREAD_INIT = threading.Thread.__init__.__code__
_DEEPEST = 8
_MOST_FILES = 10_000


def available() -> bool:
    """Whether threads run one at a time: a traced lock keeps its own account, which only the GIL protects."""
    return not is_free_threaded()


def install(session: Session) -> Undo | None:
    """Trace the locks of the modules that `Config.locks` names, and return the undo."""
    which = session.recorder.config.locks
    if which == "none":
        return None
    patches = Patches()
    condition.install(patches)
    names: Any = threading
    # `RLock` is a function that calls this: it stays unchanged, for code that has it already or pickles it by name
    rlock = "_CRLock" if getattr(names, "_CRLock", None) is not None else "RLock"
    plain_lock, plain_rlock = names.Lock, getattr(names, rlock)
    Maker.unwatched.clear()
    Maker.place_of = _chooser(which)
    # where `threading.Lock` is the locks' type, so is its replacement; a function's replacement is no type
    is_type = isinstance(plain_lock, type)
    stand_in: Any = TracedLock if is_type else _stand_in(TracedLock, plain_lock)
    # not undone: the host may have kept a replacement, as the managers of `multiprocessing` do
    copyreg.pickle(Maker, _plain_of)
    copyreg.pickle(PassesFor, _plain_of)
    patches.add("the choice of locks", _watch_none)
    patches.replace(names, "Lock", stand_in)
    patches.replace(names, rlock, _stand_in(TracedRLock, plain_rlock))
    patches.add("the lock of a fork", _in_forks.clear)
    _in_forks.update({"plain": plain_rlock, "ours": getattr(names, rlock)}, name=rlock)
    pools: Any = concurrent.futures.thread
    # around the same lock: `os.register_at_fork` keeps references to its methods
    around = SubmitLock.around(pools._global_shutdown_lock, None)
    patches.replace(pools, "_global_shutdown_lock", around)
    return patches.undo


_in_forks: dict[str, Any] = {}  # the replacement of RLock, while it is installed


def before_fork() -> None:
    """Have a forked child make a plain RLock: `threading` makes one there before it calls any hook of ours. For the
    replacement the kernel would copy some 65 pages more, a fifth of what a small child costs."""
    _put("ours", "plain")


def after_fork() -> None:
    """In the parent: the replacement stands again. A child makes one of its own when it starts to trace."""
    _put("plain", "ours")


def _put(was: str, now: str) -> None:
    found = _in_forks.copy()  # it may be uninstalled meanwhile
    if found and vars(threading).get(found["name"]) is found[was]:
        setattr(threading, found["name"], found[now])


def _watch_none() -> None:
    Maker.place_of = None
    Maker.unwatched.clear()


def _plain_of(stand_in: Any) -> tuple[Any, ...]:
    """How a replacement is pickled: by the original's name, for a process that may be without whywait."""
    plain = stand_in.plain_type if isinstance(stand_in, PassesFor) else stand_in.make_plain
    return resolve_name, (f"{plain.__module__}:{plain.__qualname__}",)


def _stand_in(kind: PassesFor, plain: Any) -> Any:
    names = {"kind": kind, "make_plain": staticmethod(plain), "__doc__": plain.__doc__}
    names |= {"__module__": plain.__module__, "__qualname__": plain.__qualname__}
    if not isinstance(plain, type):
        names["__init_subclass__"] = classmethod(_is_no_type)
    return Maker(plain.__name__, (), names)


def _is_no_type(_: Any) -> None:
    raise TypeError("cannot create 'builtin_function_or_method' instances")  # a function cannot be a base class


def _chooser(which: str) -> Callable[[FrameType], Place | None]:
    wanted = tuple(name.strip() for name in which.split(","))
    below = tuple(f"{name}." for name in wanted)

    def place_of(frame: FrameType | None) -> Place | None:
        frame = _maker(frame)
        if frame is None:
            return None
        file = frame.f_code.co_filename
        if which == "app":
            chosen = not is_library(file)
        elif which == "all":
            chosen = not is_ours(file)
        else:
            module = str(frame.f_globals.get("__name__", ""))
            chosen = module in wanted or module.startswith(below)
        if chosen:
            return place_of_frame(frame)
        if len(Maker.unwatched) < _MOST_FILES:
            Maker.unwatched.add(file)
        return None

    return place_of


def _maker(frame: FrameType | None) -> FrameType | None:
    """The frame that creates a lock: for a condition, semaphore, event or barrier, and for generated code such as a
    dataclass's, its caller; None for the locks that a thread needs to start."""
    for _ in range(_DEEPEST):
        if frame is None or frame.f_code is _THREAD_INIT:
            return None
        file = frame.f_code.co_filename
        if file != _THREADING and not file.startswith("<"):
            return frame
        frame = frame.f_back
    return None
