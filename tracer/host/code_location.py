"""Finds the place in the code that a report names: the user's own, not a library's."""

import asyncio.base_events
import asyncio.events
import asyncio.runners
import gc
import sys
import sysconfig
from dis import opmap
from functools import lru_cache
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any, NamedTuple

from whywait.tracer.host.introspection import code_of


class Place(NamedTuple):
    """Where in the code."""

    function: str
    file: str
    line: int


class Site(NamedTuple):
    """Where a task was suspended: in the user's code, and in the innermost awaited function."""

    user: Place
    leaf_function: str
    leaf_module: str


_MAX_DEPTH = 100
_RESUME = opmap["RESUME"]
# of its argument: the bits that distinguish a begin, 0, from going on after a yield or an await
_RESUMED_FROM = 3
_COLLECTS_WHILE_ALLOCATING = sys.version_info < (3, 12)
# how each kind of coroutine says where it stands and what it awaits; read of these exact types only
_SUSPENDED: dict[type[Any], tuple[str, str]] = {
    CoroutineType: ("cr_frame", "cr_await"),
    GeneratorType: ("gi_frame", "gi_yieldfrom"),
    AsyncGeneratorType: ("ag_frame", "ag_await"),
}
_SERVERS = ("uvicorn.", "hypercorn.", "daphne.", "granian.")
_MOST_SITES = 10_000
# by the ids of both codes, whose hashes are slow, and the place in the first; the codes are kept with the site
_sites: dict[tuple[int, int, int], tuple[Site, CodeType, CodeType]] = {}
# what a source file is, when it stands in a chain of awaits; more than one may be true of it
_LIBRARY, _SERVER, _ASYNCIO = 1, 2, 4
_OURS = __file__.rsplit("/", 2)[0] + "/"  # the tracer
# where an event loop begins to run things: who called it stands outside of whatever it runs
_LOOP_FILES = {
    asyncio.base_events.__file__: ("run_forever", "_run_once"),
    asyncio.events.__file__: ("_run",),
    asyncio.runners.__file__: ("run",),  # around a loop that has no frames of Python
}


def _library_roots() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    roots = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return tuple(sorted(root.rstrip("/") + "/" for root in roots))


_LIBRARY_ROOTS = _library_roots()


@lru_cache(maxsize=4_096)
def is_library(filename: str) -> bool:
    """Whether a file belongs to the standard library, an installed package, or us."""
    if not filename.endswith(".py"):  # frozen importlib, generated code, console scripts
        return True
    if "/site-packages/" in filename or "/dist-packages/" in filename:
        return True
    return filename.startswith((*_LIBRARY_ROOTS, _OURS))


def is_ours(filename: str) -> bool:
    """Whether this is the tracer's own code."""
    return filename.startswith(_OURS)


@lru_cache(maxsize=4_096)
def module_of(filename: str) -> str:
    """A short dotted name for a source file, e.g. "asyncio.locks" or "uvicorn.protocols.http.h11_impl"."""
    path = filename.removesuffix(".py")
    for marker in ("/site-packages/", "/dist-packages/"):
        if marker in path:
            return path.rsplit(marker, 1)[1].replace("/", ".")
    for root in _LIBRARY_ROOTS:
        if path.startswith(root):
            return path.removeprefix(root).replace("/", ".")
    return path.rsplit("/", 1)[-1]


def place_of_code(code: CodeType) -> Place:
    """Where a function is defined."""
    return Place(code.co_qualname, code.co_filename, code.co_firstlineno)


def place_of_frame(frame: FrameType) -> Place:
    """Where a frame stands now."""
    return Place(frame.f_code.co_qualname, frame.f_code.co_filename, frame.f_lineno)


def user_place(frame: FrameType | None) -> Place | None:
    """The innermost place outside libraries on a stack; the innermost of all if there is none.

    What an event loop runs begins at the loop: the code that called the loop is not where a callback is.
    None where the loop itself is all there is.
    """
    innermost: Place | None = None
    depth = 0
    while frame is not None and depth < _MAX_DEPTH:
        code = frame.f_code
        if not is_library(code.co_filename):
            return place_of_frame(frame)
        if code.co_name in _LOOP_FILES.get(code.co_filename, ()):
            return innermost
        if innermost is None and not code.co_filename.startswith(_OURS):
            innermost = place_of_frame(frame)
        frame = frame.f_back
        depth += 1
    return innermost


def place_of_thread(thread_id: int) -> Place | None:
    """Where another thread stands now, by its `ident`; None when it has ended.

    While the collector calls somebody back, that is where it was interrupted; as a function begins, where it was called.
    """
    # Python 3.11 makes a frame object for each frame read, and may collect garbage while it does. A
    # finalizer or a gc callback then lets go of the GIL, with the lock of all thread states still held: the
    # next thread that starts or ends waits for that lock with the GIL in hand, and the process stands still
    # (tests/tracer/test_stacks.py shows it without this guard). Later versions collect elsewhere.
    guarded = _COLLECTS_WHILE_ALLOCATING and gc.isenabled()
    if guarded:
        gc.disable()
    try:
        return user_place(_interrupted(sys._current_frames().get(thread_id)))
    finally:
        if guarded:
            gc.enable()


def _interrupted(frame: FrameType | None) -> FrameType | None:
    """Where a thread is, or was when a collection came.

    C code that makes many objects, such as a large `json.loads`, keeps the GIL but for when a collection calls back
    what is written in Python: a sample taken then, and it can be taken at no other time, would blame that.
    """
    codes = {id(code_of(one)) for one in gc.callbacks} - {id(None)}
    found, depth = frame, 0
    while frame is not None and depth < _MAX_DEPTH:
        if id(frame.f_code) in codes:
            found = frame.f_back
        frame = frame.f_back
        depth += 1
    return found.f_back if found is not None and _begins(found) else found


def _begins(frame: FrameType) -> bool:
    """Whether it has done nothing yet. A thread lets go of the GIL as a function begins, or as a loop goes round: after
    long C code the first function that is called then is the one that is seen, however short it is."""
    code, at = frame.f_code.co_code, frame.f_lasti
    return 0 <= at < len(code) - 1 and code[at] == _RESUME and not code[at + 1] & _RESUMED_FROM


def caller_place() -> Place | None:
    """The user's place that led to the call of the probe that asks."""
    return user_place(sys._getframe(2))


def await_site(coroutine: Any) -> Site | None:
    """Return where a suspended coroutine stands: the innermost user frame, and the innermost frame of all.

    Where a server waits for its client in a primitive of asyncio, the innermost is the server's.
    """
    at, leaf = _suspended(coroutine)
    if leaf is None:
        return None
    at = at or leaf
    code, where = at.f_code, leaf.f_code
    key = (id(code), at.f_lasti, id(where))
    known = _sites.get(key)
    if known is None:
        if len(_sites) >= _MOST_SITES:
            _sites.clear()
        site = Site(place_of_frame(at), where.co_qualname, module_of(where.co_filename))
        known = _sites[key] = (site, code, where)
    return known[0]


def _suspended(coroutine: Any) -> tuple[FrameType | None, FrameType | None]:
    user: FrameType | None = None
    leaf: FrameType | None = None
    server: FrameType | None = None
    for _ in range(_MAX_DEPTH):
        if type(coroutine) is CoroutineType:
            frame, coroutine = coroutine.cr_frame, coroutine.cr_await
        else:
            names = _SUSPENDED.get(type(coroutine))
            if names is None:  # a future at the end of the chain, or what poses as one
                break
            frame, coroutine = getattr(coroutine, names[0]), getattr(coroutine, names[1])
        if frame is None:
            continue
        leaf = frame
        about = _about(frame.f_code.co_filename)
        if about & _SERVER:
            server = frame
        elif not about & _ASYNCIO:
            server = None
        if not about & _LIBRARY:
            user = frame
    return user, server or leaf


@lru_cache(maxsize=4_096)
def _about(filename: str) -> int:
    module = module_of(filename)
    library = _LIBRARY if is_library(filename) else 0
    return library | _SERVER * module.startswith(_SERVERS) | _ASYNCIO * module.startswith("asyncio.")
