"""Finds the code location that a report names: in the user's code, not in a library."""

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

from whywait.tracer.host.interpreter import frames_of_threads
from whywait.tracer.host.introspection import code_of


class Place(NamedTuple):
    """A code location."""

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
# attributes of each kind of coroutine: its frame and what it awaits; read for these exact types only
_SUSPENDED: dict[type[Any], tuple[str, str]] = {
    CoroutineType: ("cr_frame", "cr_await"),
    GeneratorType: ("gi_frame", "gi_yieldfrom"),
    AsyncGeneratorType: ("ag_frame", "ag_await"),
}
_SERVERS = ("uvicorn.", "hypercorn.", "daphne.", "granian.")
_MOST_SITES = 10_000
# by the ids of both codes, whose hashes are slow, and the place in the first; the codes are kept with the site
_sites: dict[tuple[int, int, int], tuple[Site, CodeType, CodeType]] = {}
# what a source file in a chain of awaits is; more than one may be true
_LIBRARY, _SERVER, _ASYNCIO = 1, 2, 4
_OURS = __file__.rsplit("/", 2)[0] + "/"  # the tracer
# functions in which an event loop runs callbacks: their callers are outside of any callback
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
    """Whether a file belongs to the standard library, an installed package, or whywait."""
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
    """The current location of a frame."""
    return Place(frame.f_code.co_qualname, frame.f_code.co_filename, frame.f_lineno)


def user_place(frame: FrameType | None) -> Place | None:
    """The innermost location outside libraries on a stack; the innermost of all if there is none.

    A callback's stack begins at the event loop: the code that started the loop is no part of it.
    None if there is only the loop itself.
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
    """The current location of another thread, by its `ident`; None when it has ended.

    During a callback of the garbage collector it is the interrupted location; at a function's begin, the caller's.
    None as well where the frames cannot be read safely (`frames_of_threads`).
    """
    # Python 3.11 makes a frame object for each frame read, and may collect garbage while it does. A
    # finalizer or a gc callback then releases the GIL, while the lock of all thread states is still held: the
    # next thread that starts or ends waits for that lock and holds the GIL, and the process deadlocks
    # (tests/tracer/test_stacks.py shows it without this guard). Later versions collect elsewhere.
    guarded = _COLLECTS_WHILE_ALLOCATING and gc.isenabled()
    if guarded:
        gc.disable()
    try:
        return user_place(_interrupted(frames_of_threads().get(thread_id)))
    finally:
        if guarded:
            gc.enable()


def _interrupted(frame: FrameType | None) -> FrameType | None:
    """The location of a thread, or its location before a garbage collection interrupted it.

    C code that creates many objects, such as a large `json.loads`, holds the GIL except during Python callbacks of a
    collection. A sample is possible only then, and would blame the callback.
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
    """Whether the frame has run nothing yet. A thread releases the GIL at the begin of a function or at a loop's jump:
    after long C code a sample shows the next function that is called, however short it is."""
    code, at = frame.f_code.co_code, frame.f_lasti
    return 0 <= at < len(code) - 1 and code[at] == _RESUME and not code[at + 1] & _RESUMED_FROM


def caller_place() -> Place | None:
    """The location in the user's code that led to the call of the current probe."""
    return user_place(sys._getframe(2))


def await_site(coroutine: Any) -> Site | None:
    """Return the location of a suspended coroutine: the innermost user frame, and the innermost frame of all.

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
            if names is None:  # a future at the end of the chain, or an object like one
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
