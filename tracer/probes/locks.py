"""`threading.Lock` and `threading.RLock`, for the modules whose locks are looked at.

By default these are the application's own: files outside the standard library and installed packages.
Locks made before `start`, and by modules that took the names before it (`from threading import Lock`),
stay plain: the sampler still sees a thread wait in them, and says "a lock". One lock of the standard
library is always looked at: every `submit` of every `ThreadPoolExecutor` takes it, and holds it while it
starts a thread.
"""

import concurrent.futures.thread
import sys
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from tracer.config import Config
from tracer.places import is_library, place_of_frame
from tracer.records import LockRecord, Place
from tracer.traced_lock import TracedLock, TracedRLock

_SUBMIT_LOCK = "concurrent.futures' global lock (taken by every submit, held while a thread starts)"


class _Maker(type):
    """For `isinstance(x, threading.Lock)`, where Python allows it."""

    plain: Callable[..., Any]
    kinds: tuple[type, ...]

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.kinds)

    def __repr__(cls) -> str:
        return repr(cls.plain)


def install(config: Config) -> Callable[[], None]:
    """Replaces both makers, and the lock of `submit`; returns the undo."""
    if config.locks == "none":
        return lambda: None
    plain_lock, plain_rlock = threading.Lock, threading.RLock
    undo_submit = _wrap_submit_lock()
    module: Any = threading
    live = True

    def wanted(file: str) -> bool:
        return live and (config.locks == "all" or not is_library(file))

    class Lock(metaclass=_Maker):
        plain: ClassVar[Any] = plain_lock
        kinds: ClassVar[Any] = (type(plain_lock()), TracedLock)

        def __new__(cls) -> Any:
            frame = sys._getframe(1)
            if not wanted(frame.f_code.co_filename):
                return plain_lock()
            return TracedLock(plain_lock(), _record(place_of_frame(frame)))

    class RLock(metaclass=_Maker):
        plain: ClassVar[Any] = plain_rlock
        kinds: ClassVar[Any] = (type(plain_rlock()), TracedRLock)

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe(1)
            if not wanted(frame.f_code.co_filename):
                return plain_rlock(*args, **kwargs)
            return TracedRLock(plain_rlock(*args, **kwargs), _record(place_of_frame(frame)))

    for made, plain in ((Lock, plain_lock), (RLock, plain_rlock)):
        made.__module__ = getattr(plain, "__module__", "threading")
        made.__qualname__ = getattr(plain, "__qualname__", made.__name__)
        made.__doc__ = plain.__doc__
    module.Lock, module.RLock = Lock, RLock

    def undo() -> None:
        nonlocal live
        live = False  # a module may have taken the names meanwhile
        module.Lock, module.RLock = plain_lock, plain_rlock
        undo_submit()

    return undo


def _wrap_submit_lock() -> Callable[[], None]:
    pools: Any = concurrent.futures.thread
    plain = pools._global_shutdown_lock
    # the same lock inside: `os.register_at_fork` holds on to its methods
    pools._global_shutdown_lock = TracedLock(plain, LockRecord(_SUBMIT_LOCK, None))

    def undo() -> None:
        pools._global_shutdown_lock = plain

    return undo


def _record(place: Place) -> LockRecord:
    return LockRecord(f"the lock made in {place.function}", place)
