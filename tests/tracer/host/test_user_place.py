"""The place that a report names is the user's: frames of libraries, frameworks and wrappers are looked through."""

import asyncio.events
import contextlib
import dis
import gc
import json
import multiprocessing.pool
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import ref

import pytest

from whywait.tracer import schema
from whywait.tracer.host import code_location
from whywait.tracer.host.code_location import (
    callers_of,
    function_of,
    is_wrapper,
    library_call,
    places_of_threads,
    user_place,
)
from whywait.tracer.hotpath import jobs, loop_history

SITE = "/usr/lib/python3/site-packages/"
RELAY = "def {}(*then): return then[0](*then[1:])"


def called_through(*files: str) -> Any:
    """What the innermost is told, where a loop's callback calls a function of each file, outermost first."""
    return _through(files, lambda: library_call(sys._getframe(1)))[:2]


def stack(*files: str) -> str | None:
    """The file that is named there."""

    def innermost() -> str | None:
        place = user_place(sys._getframe(1))
        return place and place.file

    found: str | None = _through(files, innermost)
    return found


def _through(files: tuple[str, ...], innermost: Callable[[], Any], functions: tuple[str, ...] = ()) -> Any:
    chain = []
    named = zip(functions or ("relay",) * len(files), files, strict=True)
    for name, file in (("_run", asyncio.events.__file__), *named):
        names: dict[str, Any] = {}
        exec(compile(RELAY.format(name), file, "exec"), names)
        chain.append(names[name])
    return chain[0](*chain[1:], innermost)


@pytest.mark.parametrize("file", ["secret_text.py", "tracer/redaction/paths.py"])
def test_no_file_of_ours_is_the_users_place(file: str) -> None:
    ours = code_location.__file__.removesuffix("tracer/host/code_location.py")
    assert stack("/app/rank.py", ours + file) == "/app/rank.py"
    assert (stack(ours + file) or "").startswith(ours) is False


@pytest.mark.parametrize(
    ("files", "called"),
    [
        (("/app/rank.py", SITE + "tenacity/call.py", SITE + "other/wait.py"), ("relay", "tenacity")),
        (("/app/rank.py", multiprocessing.pool.__file__, threading.__file__), ("relay", "multiprocessing")),
        (("/app/rank.py", contextlib.__file__, SITE + "opentelemetry/trace.py"), ("relay", "opentelemetry")),
        (("/app/rank.py", threading.__file__), ("", "")),  # the user's code waits itself
        ((SITE + "starlette/run.py", SITE + "sqlalchemy/query.py"), ("", "")),  # there is no user's code
    ],
)
def test_the_librarys_function_that_the_user_called(files: tuple[str, ...], called: tuple[str, str]) -> None:
    assert called_through(*files) == called


@pytest.mark.parametrize("kind", ["cached_property", "InstrumentedAttribute"])
def test_of_a_librarys_property_its_function_is_told(kind: str) -> None:
    """Not of a descriptor that is what users know, as of a lazy load."""
    names: dict[str, Any] = {}
    code = f"class {kind}:\n  def __get__(self, one, owner): return count(owner)\ndef count(then): return then()"
    exec(compile(code, SITE + "orm/pages.py", "exec"), names)
    found: list[Any] = []
    names[kind]().__get__(None, lambda: found.append(library_call(sys._getframe(1))[:2]))
    assert found == [(("count" if kind == "cached_property" else f"{kind}.__get__"), "orm")]


@pytest.mark.parametrize(
    ("functions", "step"),
    [
        (
            ("quote", "get", "connect", "on_connect", "read_response"),
            schema.STEP_CONNECT,
        ),  # the greeting of a new connection
        (("quote", "get", "connect", "do_handshake"), schema.STEP_TLS),  # the innermost
        (("quote", "connect", "checkout", "do_ping", "read_response"), ""),  # of a kept one
        (("connect", "get", "send_command", "read_response"), ""),  # the user's function is so called
    ],
)
def test_a_thread_that_waits_below_a_librarys_connect_makes_a_connection(functions: tuple[str, ...], step: str) -> None:
    files = ("/app/rank.py", *(SITE + f"{one}.py" for one in functions[1:]))
    assert _through(files, lambda: library_call(sys._getframe(1)), functions)[2] == step


@pytest.mark.parametrize(
    ("files", "named"),
    [
        # the user's, behind a framework and below a library
        ((SITE + "fastapi/run.py", "/app/rank.py", SITE + "numpy/linalg.py"), "/app/rank.py"),
        # the service is installed: its outermost function, not what it calls
        ((SITE + "starlette/run.py", SITE + "shop/order.py", SITE + "sqlalchemy/query.py"), SITE + "shop/order.py"),
        # two of the user's: the nearest
        (("/app/score.py", SITE + "tenacity/call.py", "/app/rank.py", "/app/deep.py"), "/app/deep.py"),
        # a framework starts a thread: who started it, not what waits for it
        ((SITE + "starlette/run.py", SITE + "asgiref/sync.py", threading.__file__), SITE + "asgiref/sync.py"),
        # what our own code calls for itself, interrupted by the garbage collector: nobody's
        ((loop_history.__file__, "<string>"), None),
        ((code_location.__file__, dis.__file__), None),
        ((SITE + "shop/order.py", loop_history.__file__, "<string>"), SITE + "shop/order.py"),
        # a library's function that a job of ours runs for the host
        ((jobs.__file__, json.__file__), json.__file__),
    ],
)
def test_the_nearest_frame_of_the_user_is_named(files: tuple[str, ...], named: str | None) -> None:
    assert stack(*files) == named


@pytest.mark.parametrize(
    ("inner", "within", "named"),
    [
        ("def app(scope, receive, send): return scope()", SITE + "fastapi/encoders.py", __file__),  # what is around it
        ("def app(scope, receive, send): return scope()", "/app/rank.py", "/app/rank.py"),  # the endpoint
        ("def encode(scope, receive, more): return scope()", SITE + "other/encoders.py", "/app/timing.py"),  # its own
    ],
)
def test_a_middleware_is_not_where_the_libraries_within_it_work(inner: str, within: str, named: str) -> None:
    called: dict[str, Any] = {}
    exec(compile(inner, SITE + "starlette/applications.py", "exec"), called)
    app = next(one for name, one in called.items() if name in ("app", "encode"))
    exec(compile("def middleware(app, then): return app(then, 0, 0)", "/app/timing.py", "exec"), called)
    exec(compile(RELAY.format("work"), within, "exec"), called)
    work = partial(called["work"], lambda: user_place(sys._getframe(1)))
    place = called["middleware"](app, work)
    assert place.file == named


@pytest.mark.parametrize(("name", "named"), [("get_response", __file__), ("call", "/app/timing.py")])
def test_nor_is_one_of_django(name: str, named: str) -> None:
    """Its sync middlewares may call the rest of the application through asgiref."""
    called: dict[str, Any] = {}
    exec(compile(RELAY.format("work"), SITE + "django/template/base.py", "exec"), called)
    exec(compile(f"def {name}(then): return then()", SITE + "asgiref/sync.py", "exec"), called)
    exec(compile(f"def middleware(then): return {name}(then)", "/app/timing.py", "exec"), called)
    place = called["middleware"](partial(called["work"], lambda: user_place(sys._getframe(1))))
    assert place.file == named


def test_the_users_functions_around_the_innermost_are_its_callers() -> None:
    files = (
        "/srv/shop/far.py",
        *(f"/srv/shop/{one}.py" for one in "abcd"),
        SITE + "tenacity/call.py",
        "/srv/shop/db.py",
    )
    found = _through((*files, SITE + "driver/wait.py"), lambda: callers_of(sys._getframe(1)))
    assert found == tuple(f"relay (shop/{one}.py)" for one in "dcba")


def test_wrappers_are_the_standard_library_and_known_frameworks() -> None:
    assert is_wrapper(contextlib.__file__)
    assert is_wrapper("<frozen importlib._bootstrap>")
    assert is_wrapper(SITE + "asgiref/sync.py")
    assert is_wrapper(SITE + "typer.py")
    assert is_wrapper(SITE + "opentelemetry/instrumentation/asgi.py")
    assert not is_wrapper(SITE + "opentelemetry/sdk/trace/export.py")  # it calls nothing of the user's
    assert not is_wrapper(SITE + "shop/order.py")
    assert not is_wrapper("/app/rank.py")


@pytest.mark.parametrize(
    ("qualname", "named"),
    [
        ("Rank.all.<locals>.<listcomp>", "Rank.all"),
        ("rank.<locals>.<genexpr>.<setcomp>", "rank"),
        ("rank.<locals>.<lambda>", "rank.<locals>.<lambda>"),  # it was written as a function
        ("<dictcomp>", "<dictcomp>"),  # of a module
    ],
)
def test_a_comprehension_is_a_part_of_its_function(qualname: str, named: str) -> None:
    assert function_of(qualname) == named


class Held:
    """What a thread of the host has in a variable."""


def test_no_variable_of_a_thread_is_kept() -> None:
    """Who waits for the end of its objects, as a pool of processes for its semaphores, cannot wait for a collection."""
    known: list[ref[Held]] = []
    begun, ends = threading.Event(), threading.Event()

    def work() -> None:
        held = Held()
        known.append(ref(held))
        begun.set()
        ends.wait()

    thread = threading.Thread(target=work)
    gc.collect()
    gc.disable()
    try:
        thread.start()
        begun.wait()
        assert thread.ident is not None
        place = places_of_threads((thread.ident,))[thread.ident]
        ends.set()
        thread.join()
        assert place is not None
        assert place.function.endswith("work")
        assert known[0]() is None
    finally:
        ends.set()
        gc.enable()
