"""Which interpreter this is: whether whywait is tested with it, whether it has a global interpreter lock, and on how
many CPUs it may run."""

import os
import platform
import sys
import sysconfig
from collections.abc import Callable
from importlib import import_module
from itertools import chain, takewhile
from operator import call, eq
from types import FrameType
from typing import Any, Final

TESTED: Final = ((3, 11), (3, 14))  # the first and the last, of CPython with its GIL


def usable_cpus() -> int:
    """Return on how many CPUs this process may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_gil() -> bool:
    """Return whether threads wait for a GIL; False on a free-threaded build with the GIL off."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())  # Python 3.13 on


def is_free_threaded() -> bool:
    """Return whether this build can run without a GIL. A module may have turned it on: threads started before may
    still run beside each other, so the probes that need it are left out in either case."""
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def _list_interpreters() -> Callable[[], Any] | None:
    """The function that lists the interpreters of this process; None where all of them share one GIL."""
    for module in () if sys.version_info < (3, 12) else ("_interpreters", "_xxsubinterpreters"):
        try:
            return import_module(module).list_all  # type: ignore[no-any-return]
        except (ImportError, AttributeError):
            continue
    return None


_LIST_INTERPRETERS: Final = _list_interpreters()


def frames_of_threads() -> dict[int, FrameType]:
    """Return the frame of each thread by its `ident`; nothing in a free-threaded build or beside another interpreter,
    where reading them may crash the process."""
    if is_free_threaded():
        return {}
    if _LIST_INTERPRETERS is None:
        return sys._current_frames()
    # one call from C into C: this thread keeps the GIL from the count until the frames are read, and
    # without the GIL no other thread can make an interpreter in between
    alone = map(eq, map(len, map(call, (_LIST_INTERPRETERS,))), (1,))
    found = list(takewhile(bool, chain(alone, map(call, (sys._current_frames,)))))
    return found[-1] if len(found) > 1 else {}


def tested_versions() -> str:
    """Return the tested versions in words."""
    return "CPython {} to {}".format(*(".".join(map(str, one)) for one in TESTED))


def untested() -> str:
    """Return this interpreter in words if whywait is not tested with it, else an empty string."""
    implementation, version = platform.python_implementation(), platform.python_version()
    if is_free_threaded():
        return f"a free-threaded {implementation} {version}"
    if implementation != "CPython" or not TESTED[0] <= sys.version_info[:2] <= TESTED[1]:
        return f"{implementation} {version}"
    return ""
