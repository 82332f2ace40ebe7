"""Finds the place in the code that a person should look at: the user's own, not a library's."""

import gc
import sys
import sysconfig
from functools import lru_cache
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any

from tracer.records import Place, Site

_MAX_DEPTH = 100
_COLLECTS_WHILE_ALLOCATING = sys.version_info < (3, 12)
# how each kind of coroutine says where it stands and what it awaits; read of these exact types only
_SUSPENDED: dict[type[Any], tuple[str, str]] = {
    CoroutineType: ("cr_frame", "cr_await"),
    GeneratorType: ("gi_frame", "gi_yieldfrom"),
    AsyncGeneratorType: ("ag_frame", "ag_await"),
}
_SERVERS = ("uvicorn.", "hypercorn.", "daphne.", "granian.")
_MOST_SITES = 10_000
_sites: dict[tuple[CodeType, int, CodeType], Site] = {}
_OURS = __file__.rsplit("/", 1)[0] + "/"


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
    """The innermost place outside libraries on a stack; the innermost of all if there is none."""
    innermost: Place | None = None
    depth = 0
    while frame is not None and depth < _MAX_DEPTH:
        code = frame.f_code
        if not is_library(code.co_filename):
            return place_of_frame(frame)
        if innermost is None and not code.co_filename.startswith(_OURS):
            innermost = place_of_frame(frame)
        frame = frame.f_back
        depth += 1
    return innermost


def place_of_thread(thread_id: int) -> Place | None:
    """Where another thread stands now, by its `ident`; None when it has ended."""
    if not _COLLECTS_WHILE_ALLOCATING or not gc.isenabled():
        return user_place(sys._current_frames().get(thread_id))
    # Python 3.11 makes a frame object for each frame looked at, and may collect garbage while it does. A
    # finalizer or a gc callback then lets go of the GIL, with the lock of all thread states still held: the
    # next thread that starts or ends waits for that lock with the GIL in hand, and the process stands still
    # (tests/tracer/test_stacks.py shows it without this guard). Later versions collect elsewhere.
    gc.disable()
    try:
        return user_place(sys._current_frames().get(thread_id))
    finally:
        gc.enable()


def caller_place() -> Place | None:
    """The user's place that led to the call of the probe that asks."""
    return user_place(sys._getframe(2))


def await_site(coroutine: Any) -> Site | None:
    """Where a suspended coroutine stands: the innermost user frame, and the innermost frame of all.

    Where a server waits for its client in a primitive of asyncio, the innermost is the server's.
    """
    user: FrameType | None = None
    leaf: FrameType | None = None
    server: FrameType | None = None
    depth = 0
    while coroutine is not None and depth < _MAX_DEPTH:
        names = _SUSPENDED.get(type(coroutine))
        if names is None:  # a future at the end of the chain, or what poses as one
            break
        frame = getattr(coroutine, names[0])
        if frame is not None:
            leaf = frame
            module = module_of(frame.f_code.co_filename)
            if module.startswith(_SERVERS):
                server = frame
            elif not module.startswith("asyncio."):
                server = None
            if not is_library(frame.f_code.co_filename):
                user = frame
        coroutine = getattr(coroutine, names[1])
        depth += 1
    if leaf is None:
        return None
    leaf = server or leaf
    at = user or leaf
    key = (at.f_code, at.f_lasti, leaf.f_code)
    site = _sites.get(key)
    if site is None:
        if len(_sites) >= _MOST_SITES:
            _sites.clear()
        where = leaf.f_code
        site = _sites[key] = Site(place_of_frame(at), where.co_qualname, module_of(where.co_filename))
    return site
