"""Finds the code location that a report names: in the user's code, not in a library."""

import asyncio.base_events
import asyncio.events
import asyncio.runners
import contextlib
import gc
import re
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dis import opmap
from functools import lru_cache
from operator import itemgetter
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any, Final, NamedTuple

from whywait.tracer.host.interpreter import frames_of_threads
from whywait.tracer.host.introspection import code_of
from whywait.tracer.host.names.app_name import app_packages
from whywait.tracer.host.names.asked_address import CLIENTS, asked_address, asks, sent_command
from whywait.tracer.host.written_code import called_name, pause_of
from whywait.tracer.schema import INSTALLED_APP, MIDDLEWARE, STEP_BODY, STEP_CONNECT, STEP_LOOK_UP, STEP_TLS


class Place(NamedTuple):
    """A code location."""

    function: str
    file: str
    line: int


FUNCTION_OF: Final = itemgetter(0, 1)  # a place without its line


NOWHERE: Final = Place("", "", 0)


class Site(NamedTuple):
    """Where a task was suspended: in the user's code, and in the innermost awaited function."""

    user: Place
    leaf_function: str
    leaf_module: str
    # the outermost function of an installed library inside that: what the user's code called, e.g. "AsyncClient.get"
    call: str = ""
    package: str = ""  # its import package
    step: str = ""  # schema.STEP_*, while a connection is made
    address: str = ""  # whom an HTTP client asks: "GET rates:8080"
    callers: tuple[str, ...] = ()  # the user's functions that called that in which it waits, as "function (file)"


_PACKAGES = ("/site-packages/", "/dist-packages/")
_MAX_DEPTH = 100
# what waits for an event or a condition of its own: what is awaited is this
_BUILT_ON_EVENTS = frozenset(("CapacityLimiter.acquire_on_behalf_of", "Barrier.wait"))
_COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
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
# what hides a coroutine or an asynchronous generator: in C, without an attribute for it
_HIDING = frozenset({"coroutine_wrapper", "async_generator_asend", "async_generator_athrow", "anext_awaitable"})
# what users know of a library in place of the function that they reach
_SAID = {
    "greenlet_spawn": "awaitable_attrs, a lazy load", "FlowControlMixin._drain_helper": "StreamWriter.drain",
    "_UnaryResponseMixin.__await__": "UnaryUnaryMultiCallable.__call__", "_wait": "asyncio.wait",
    # the tasks in which asyncio.subprocess does it
    "Process._read_stream": "Process.communicate", "Process._feed_stdin": "Process.communicate",
}  # fmt: skip
# modules whose functions are what a thread waits in
_PRIMITIVE = frozenset(
    ("concurrent", "queue", "select", "selectors", "socket", "ssl", "subprocess", "threading", "time")
)
_SERVERS = ("uvicorn.", "hypercorn.", "daphne.", "granian.")
_MOST_SITES = 10_000
_MOST_CALLERS: Final = 4
# by the ids of the codes, whose hashes are slow, and the place in the first; the codes are kept with the site
_sites: dict[tuple[object, ...], tuple[Site, CodeType, CodeType, CodeType | None, CodeType | None]] = {}
# the same of whole chains of plain coroutines that end in a future: by the id of each code, and where it stands
_chains: dict[tuple[int, ...], tuple[Site | None, list[CodeType]]] = {}
_FUTURE: Final = "FutureIter"  # what a future's awaiter awaits; the module does not export its type
# functions of libraries that make a connection, or get a body, by their names; the innermost in a chain of awaits counts
_STEPS: Final = (
    (re.compile(r"getaddrinfo$|_resolve_|_ensure_resolved$|gethostby"), STEP_LOOK_UP),
    (re.compile(r"start_tls|do_handshake$|_create_connection_transport$|_create_ssl_connection$|_wrap_create_connection$"), STEP_TLS),
    (re.compile(r"(?:^|_)(?:re)?connect(?:_tcp|_unix|_addr|_sock)?$|(?:create|open|start)(?:_\w+)?_connection$"), STEP_CONNECT),
    (re.compile(r"^_receive_response_body$|^aread$|^aiter_(?:raw|bytes)$|^readany$"), STEP_BODY),
)  # fmt: skip
# what a source file in a chain of awaits is; more than one may be true
_LIBRARY, _SERVER, _ASYNCIO, _INSTALLED, _CLIENT = 1, 2, 4, 8, 16
_OURS = __file__.rsplit("/", 3)[0] + "/"  # whywait
_OWN_WORK = (
    *(f"{_OURS}tracer/{room}/" for room in ("host", "records", "keeping", "hotpath", "spans", "export", "redaction")),
    f"{_OURS}secret_text.py",
)
_PASS_ON = tuple(f"{_OURS}tracer/hotpath/{one}.py" for one in ("jobs", "thread_state"))  # they run the host's functions
# functions in which an event loop runs callbacks: their callers are outside of any callback
_LOOP_FILES = {
    asyncio.base_events.__file__: ("run_forever", "_run_once"),
    asyncio.events.__file__: ("_run",),
    asyncio.runners.__file__: ("run",),  # around a loop that has no frames of Python
}

# what calls an application: by its parameters, or of these packages
_ASGI: Final = frozenset({"scope", "receive", "send"})
_DJANGO: Final = ("django", "asgiref")


def _library_roots() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    roots = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return tuple(sorted(root.rstrip("/") + "/" for root in roots))


_LIBRARY_ROOTS = _library_roots()
# installed packages that call or wrap the user's functions: never the user's, even where the service is installed too
_FRAMEWORKS = frozenset((
    "_pytest", "a2wsgi", "aiohttp", "anyio", "arq", "asgiref", "backoff", "billiard", "brotli_asgi", "celery", "click", "ddtrace", "decorator",
    "django", "dramatiq", "elasticapm", "eventlet", "falcon", "fastapi", "flask", "gevent", "granian", "greenlet", "gunicorn", "hypercorn",
    "kombu", "litestar", "logfire", "newrelic", "ninja", "opentelemetry", "pluggy", "prometheus_fastapi_instrumentator", "pydantic", "quart",
    "rest_framework", "sanic", "sentry_sdk", "slowapi", "sniffio", "starlette", "strawberry", "taskiq", "tenacity", "tornado", "trio",
    "typer", "uvicorn", "uvicorn_worker", "uvloop", "werkzeug", "whywait", "wrapt",
))  # fmt: skip

_SDK: Final = "/opentelemetry/sdk/"  # it calls exporters, and nothing of the user's

_OWN: Final = app_packages() - _FRAMEWORKS  # the service's, where it is installed


@lru_cache(maxsize=4_096)
def is_library(filename: str) -> bool:
    """Whether a file belongs to the standard library, an installed package that is not the service itself, or whywait."""
    if not filename.endswith(".py"):  # frozen importlib, generated code, console scripts
        return True
    if package := package_of(filename):
        return package not in _OWN
    return filename.startswith((*_LIBRARY_ROOTS, _OURS))


@lru_cache(maxsize=4_096)
def is_wrapper(filename: str) -> bool:
    """Whether a file only calls the code that matters: of the standard library, a known framework, or whywait.

    Of what is installed, the rest may be the user's service.
    """
    if package := package_of(filename):
        return (package in _FRAMEWORKS and _SDK not in filename) or not filename.endswith(".py")
    return is_library(filename)


@lru_cache(maxsize=4_096)
def is_middleware(filename: str) -> bool:
    """Whether a library's file works on requests around their endpoints."""
    return re.search(MIDDLEWARE, filename) is not None


def package_of(filename: str) -> str:
    """The installed package that a file belongs to; "" if it is of none."""
    for marker in _PACKAGES:
        if marker in filename:
            return filename.rsplit(marker, 1)[1].removeprefix(INSTALLED_APP).partition("/")[0].removesuffix(".py")
    return ""


@lru_cache(maxsize=4_096)
def _told(filename: str) -> str:
    """The same file, by a path that tells a reader whether the service's own code is installed there."""
    if package_of(filename) not in _OWN:
        return filename
    marker = next(one for one in _PACKAGES if one in filename)
    return f"{marker}{INSTALLED_APP}".join(filename.rsplit(marker, 1))


def root_package(filename: str) -> str:
    """The import package of a library's file, of the standard library too: "pydantic", "json"."""
    return module_of(filename).partition(".")[0]


def is_ours(filename: str) -> bool:
    return filename.startswith(_OURS)


@lru_cache(maxsize=4_096)
def module_of(filename: str) -> str:
    """A short dotted name for a source file, e.g. "asyncio.locks" or "uvicorn.protocols.http.h11_impl"."""
    path = filename.removesuffix(".py")
    for marker in _PACKAGES:
        if marker in path:
            return path.rsplit(marker, 1)[1].removeprefix(INSTALLED_APP).replace("/", ".")
    for root in _LIBRARY_ROOTS:
        if path.startswith(root):
            return path.removeprefix(root).replace("/", ".")
    return path.rsplit("/", 1)[-1]


@lru_cache(maxsize=_MOST_SITES)
def function_of(qualname: str) -> str:
    """The function that was written: a comprehension in it, a function of its own before 3.12, is a part of it."""
    while qualname.endswith(_COMPREHENSIONS) and (written := qualname.rpartition(".")[0]):
        qualname = written.removesuffix(".<locals>")
    return qualname


@lru_cache(maxsize=256)
def _works_for_us(filename: str) -> bool:
    """Whether a file of ours calls libraries for its own work only, and no function of the host."""
    return filename.startswith(_OWN_WORK) and filename not in _PASS_ON


def place_of_code(code: CodeType) -> Place:
    """Where a function is defined."""
    return Place(function_of(code.co_qualname), _told(code.co_filename), code.co_firstlineno)


def place_of_frame(frame: FrameType) -> Place:
    """The current location of a frame."""
    return Place(function_of(frame.f_code.co_qualname), _told(frame.f_code.co_filename), frame.f_lineno)


def is_middleware_of_django(code: CodeType) -> bool:
    """Whether a function calls what Django gives to its middlewares, the rest of the application."""
    return "get_response" in code.co_freevars or "get_response" in code.co_names


def _is_next(code: CodeType | None, user: CodeType) -> bool:
    """Whether a function that one of the user's calls is the next application: the user's is a middleware, and what the
    libraries within it do is not its work."""
    if code is None or not is_library(code.co_filename):
        return False
    is_asgi = _ASGI.issubset(code.co_varnames[: code.co_argcount])
    return is_asgi or (package_of(code.co_filename) in _DJANGO and is_middleware_of_django(user))


def user_place(frame: FrameType | None) -> Place | None:
    """The innermost location outside libraries on a stack, but for a middleware around them; the rule for every name that
    is shown.

    Without one, the outermost in a library that is no known wrapper: a service may be installed. Without that, the
    innermost in what is installed, else the innermost of all. A callback's stack begins at the event loop: the code that
    started the loop is no part of it.
    None if there is only the loop itself.
    """
    innermost: Place | None = None
    entry: FrameType | None = None
    installed: FrameType | None = None
    called: CodeType | None = None
    depth = 0
    while frame is not None and depth < _MAX_DEPTH:
        code = frame.f_code
        if not is_library(code.co_filename):
            if not _is_next(called, code):
                return place_of_frame(frame)
            called, frame = code, frame.f_back
            depth += 1
            continue
        if code.co_name in _LOOP_FILES.get(code.co_filename, ()):
            break
        if _works_for_us(code.co_filename):  # what it calls is no place of the user's
            innermost = entry = installed = None
        elif innermost is None and not code.co_filename.startswith(_OURS):
            innermost = place_of_frame(frame)
        if not is_wrapper(code.co_filename):
            entry = frame
        elif installed is None and package_of(code.co_filename) not in ("", "whywait"):
            installed = frame
        called, frame = code, frame.f_back
        depth += 1
    found = entry or installed
    return innermost if found is None else place_of_frame(found)


def library_call(frame: FrameType | None) -> tuple[str, str, str, FrameType | None]:
    """The library's function that the user's code called, of a stack that waits, and its package; "" where it is what waits
    (`queue.Queue.get`), and where there is no code of the user's. And schema.STEP_*, where it makes a connection; and the
    frame of an HTTP client that has whom it asks."""
    called: CodeType | None = None
    asking: FrameType | None = None
    step, pings = "", False  # a pool asks whether a connection that it has still answers
    for _ in range(_MAX_DEPTH):
        if frame is None or not (is_library((code := frame.f_code).co_filename) or _is_next(called, code)):
            break
        if code.co_name in _LOOP_FILES.get(code.co_filename, ()):
            return "", "", "", None
        if not code.co_filename.startswith((_OURS, "<")):  # nor what a library wrote and compiled, as a proxy's methods
            if called is None or not _passes_on(code):
                called = code
            pings = pings or "ping" in code.co_name
            step = step or ("" if pings else _step(code.co_name))
            if asking is None and _about(code.co_filename) & _CLIENT and asks(code):
                asking = frame
        frame = frame.f_back
    if frame is None or called is None or (package := root_package(called.co_filename)) in _PRIMITIVE:
        return "", "", step, None
    return called.co_qualname.partition(".<locals>")[0], package, step, asking


def _passes_on(code: CodeType) -> bool:
    """Of a kind of property (`cached_property.__get__`), or of contextlib: what users know is the function that it calls."""
    return code.co_filename == contextlib.__file__ or (code.co_name == "__get__" and "propert" in code.co_qualname)


def place_here(frame: FrameType) -> Place | None:
    """The same of a frame of this thread; inside a greenlet, the place that waits for the greenlet."""
    place = user_place(frame)
    greenlet = sys.modules.get("greenlet")
    if greenlet is None or (place is not None and not is_library(place.file)):
        return place
    outer = greenlet.getcurrent().parent
    return user_place(outer.gr_frame) if outer is not None and outer.gr_frame is not None else place


def place_of_thread(thread_id: int) -> Place | None:
    """The current location of one other thread, as `places_of_threads` tells it."""
    return places_of_threads((thread_id,))[thread_id]


def places_of_threads(
    thread_ids: Iterable[int], begin: "Callable[[FrameType | None], FrameType | None] | None" = None
) -> dict[int, Place | None]:
    """The current location of other threads, by their `ident`; None for one that has ended. `begin` chooses the frame of
    a stack from which on it is looked for.

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
    frames: dict[int, FrameType] = {}
    try:
        frames = frames_of_threads()
        return {one: user_place((begin or interrupted)(frames.get(one))) for one in thread_ids}
    finally:
        frames.clear()  # this frame is one of them: a circle, which would keep what all threads have in their variables
        if guarded:
            gc.enable()


def interrupted(frame: FrameType | None) -> FrameType | None:
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
    """Return the location of a suspended coroutine: the innermost user frame, the library's function that it called,
    and the innermost frame of all.

    Where a server waits for its client in a primitive of asyncio, the innermost is the server's.
    """
    links: list[int] = []
    codes: list[CodeType] = []
    one = coroutine
    while type(one) is CoroutineType and (frame := one.cr_frame) is not None:
        code = frame.f_code
        links += id(code), frame.f_lasti
        codes.append(code)
        one = one.cr_await
    if type(one).__name__ != _FUTURE:
        return _site_of(coroutine)
    key = tuple(links)
    known = _chains.get(key)
    if known is None:
        if len(_chains) >= _MOST_SITES:
            _chains.clear()
        site = _site_of(coroutine)
        if site is not None and site.address:  # the next such chain may ask another one
            return site
        known = _chains[key] = site, codes  # which keep the ids theirs
    return known[0]


def _site_of(coroutine: Any) -> Site | None:
    users, called, leaf, making, sleeper, asking = _suspended(coroutine)
    if leaf is None:
        return None
    at = users[-1] if users else leaf
    callers = tuple(
        _caller(one.f_code.co_qualname, one.f_code.co_filename) for one in users[-2 : -2 - _MOST_CALLERS : -1]
    )
    code, where = at.f_code, leaf.f_code
    address = "" if asking is None else asked_address(asking)
    key = (id(code), at.f_lasti, id(called), id(where), id(making), address, *callers)
    known = _sites.get(key)
    if known is None:
        if len(_sites) >= _MOST_SITES:
            _sites.clear()
        call, package = "", ""
        if called is not None:
            module = module_of(called.co_filename)
            kind = getattr(sys.modules.get(module), called.co_qualname.partition(".")[0], None)
            call, package = called_name(at, called.co_qualname, kind), module.partition(".")[0]
            call = _SAID.get(call, call).partition(".<locals>")[0]
            owner, _, name = call.rpartition(".")
            call = owner if name.startswith("__") else call  # "__anext__" says nothing
            if name == "execute_command":  # no frame is left of the method that the user called
                call = f"{owner}.{sent_command(coroutine, called) or name}"
        step = "" if sleeper is None else pause_at(sleeper)
        if making is not None:
            step = _step(making.co_name)
        site = Site(
            place_of_frame(at),
            _SAID.get(where.co_qualname, where.co_qualname),
            module_of(where.co_filename),
            call,
            package,
            step,
            address,
            callers,
        )
        known = _sites[key] = (site, code, where, called, making)
    return known[0]


def callers_of(frame: FrameType | None) -> tuple[str, ...]:
    """The user's functions on a stack around the innermost one, as of a Site."""
    users: list[CodeType] = []
    for _ in range(_MAX_DEPTH):
        if frame is None or len(users) > _MOST_CALLERS:
            break
        code = frame.f_code
        if not is_library(code.co_filename):
            users.append(code)
        elif code.co_name in _LOOP_FILES.get(code.co_filename, ()):
            break
        frame = frame.f_back
    return tuple(_caller(one.co_qualname, one.co_filename) for one in users[1:])


@lru_cache(maxsize=_MOST_SITES)
def _caller(qualname: str, filename: str) -> str:
    return f"{function_of(qualname)} ({'/'.join(_told(filename).split('/')[-2:])})"


def pause_at(sleeper: FrameType) -> str:
    """Return what the pause is that this frame makes, schema.STEP_PACE or STEP_PAUSE; "" for none of a loop."""
    return pause_of(sleeper.f_code, sleeper.f_lasti, users=not is_library(sleeper.f_code.co_filename))


@lru_cache(maxsize=4_096)
def _step(function: str) -> str:
    return next((step for pattern, step in _STEPS if pattern.search(function)), "")


def _suspended(
    coroutine: Any,
) -> tuple[list[FrameType], CodeType | None, FrameType | None, CodeType | None, FrameType | None, FrameType | None]:
    users: list[FrameType] = []  # outermost first
    called: CodeType | None = None
    making: CodeType | None = None  # a connection
    leaf: FrameType | None = None
    server: FrameType | None = None
    sleeper: FrameType | None = None  # the innermost that calls a `sleep`
    asking: FrameType | None = None  # the innermost of a client that has whom it asks
    for _ in range(_MAX_DEPTH):
        if type(coroutine) is CoroutineType:
            frame, coroutine = coroutine.cr_frame, coroutine.cr_await
        else:
            names = _SUSPENDED.get(type(coroutine))
            if names is None:
                if _is_compiled(coroutine):
                    coroutine = coroutine.cr_await
                    continue
                if not _hides(coroutine):  # a future at the end of the chain, or an object like one
                    break
                behind = gc.get_referents(coroutine)
                hidden = (one for one in behind if type(one) in _SUSPENDED or _hides(one) or _is_compiled(one))
                coroutine = next(hidden, None)
                continue
            frame, coroutine = getattr(coroutine, names[0]), getattr(coroutine, names[1])
        if frame is None:
            continue
        if frame.f_code.co_name == "sleep" and sleeper is None:
            sleeper = leaf
        leaf = frame
        about = _about(frame.f_code.co_filename)
        if about & _LIBRARY and frame.f_code.co_qualname in _BUILT_ON_EVENTS:
            break
        if about & _SERVER:
            server = frame
        elif not about & _ASYNCIO:
            server = None
        if not about & _LIBRARY:
            called, making, asking = None, None, None
            users.append(frame)
        elif users and called is None and _is_next(frame.f_code, users[-1].f_code):
            users.clear()
            continue
        elif _step(frame.f_code.co_name):
            making = frame.f_code
        says_less = called is None or called.co_name.startswith("__")  # "__aenter__" says less than what it calls
        if about & _INSTALLED and about & _LIBRARY and not about & _SERVER and says_less:
            called = frame.f_code
        if about & _CLIENT and asks(frame.f_code):
            asking = frame
    return users, called, server or leaf, making, sleeper, asking


def _is_compiled(value: Any) -> bool:
    """Whether it is a coroutine that Cython compiled, as those of grpc.aio: what it awaits may be the user's."""
    kind = type(value)
    return kind.__name__ == "coroutine" and kind is not CoroutineType and str(kind.__module__).startswith("_cython")


def _hides(value: Any) -> bool:
    return type(value).__name__ in _HIDING


@lru_cache(maxsize=4_096)
def _about(filename: str) -> int:
    module = module_of(filename)
    library = _LIBRARY if is_library(filename) else 0
    # what starts a child process and waits for it is a library to who calls it, as an installed one is
    installed = _INSTALLED * (module == "asyncio.subprocess" or any(marker in filename for marker in _PACKAGES))
    kinds = _SERVER * module.startswith(_SERVERS) | _ASYNCIO * module.startswith("asyncio.")
    return library | installed | kinds | _CLIENT * module.startswith(CLIENTS)
