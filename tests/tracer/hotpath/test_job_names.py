"""A job is named after the user's function, behind the wrappers that libraries put around it."""

import asyncio
import contextlib
import contextvars
import functools
import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import _process_chunk
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from fastapi.encoders import jsonable_encoder

from tests.tracer.conftest import Traced
from whywait import phase
from whywait.tracer import schema
from whywait.tracer.hotpath.job_names import describe

telemetry = pytest.importorskip("fastapi.telemetry._api", reason="FastAPI before 0.142 has no wrapper around endpoints")


def report() -> None:
    """The user's."""


class Report:
    def __call__(self) -> None:
        """The user's, too."""

    def make(self) -> None:
        """And this."""


def hook(found: Any) -> Any:
    return found


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (report, "report"),
        (functools.partial(report), "report"),
        (Report().make, "Report.make"),
        (Report(), "Report"),
        (functools.partial(functools.partial(report)), "report"),
    ],
)
def test_what_fastapi_hands_to_a_thread_is_named_after_the_endpoint(function: Callable[..., Any], name: str) -> None:
    handed = functools.partial(telemetry._run_sync_endpoint, function=function, arguments={})
    found, code = describe(handed)
    assert found == name
    assert code is not None
    assert code.co_filename == __file__
    # starlette's and asyncio's way to a thread
    assert describe(contextvars.copy_context().run, (handed,)) == (found, code)


def test_a_wrapper_without_a_function_of_the_user_keeps_its_name() -> None:
    assert describe(functools.partial(telemetry._run_sync_endpoint, function=json.dumps, arguments={}))[0] == (
        "_run_sync_endpoint"
    )
    # a function that the call uses on its way is not what it runs
    assert describe(functools.partial(json.loads, "{}", object_hook=hook))[0] == "loads"
    endless = functools.partial(telemetry._run_sync_endpoint, arguments={})
    endless.keywords["function"] = endless
    assert describe(endless)[0] == "_run_sync_endpoint"


def test_a_chunk_of_map_is_named_after_what_it_runs() -> None:
    for function, name in ((report, "report"), (math.factorial, "factorial"), (int, "int")):
        assert describe(functools.partial(_process_chunk, function), ([(1,)],))[0] == name


def test_asgirefs_wrapper_is_looked_through(traced_to: Callable[..., Traced]) -> None:
    async def main() -> None:
        with phase("root"), ThreadPoolExecutor(1) as pool:
            await sync_to_async(report, thread_sensitive=False, executor=pool)()
            await sync_to_async(jsonable_encoder, thread_sensitive=False, executor=pool)({})

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    assert spans.one("job report")
    assert spans.one("job jsonable_encoder")  # another library's, as Django's own queries


@contextlib.contextmanager
def session() -> Iterator[int]:
    yield 1


def test_a_dependency_with_yield_is_named_after_its_generator() -> None:
    handed = session()
    assert describe(handed.__enter__) == describe(functools.partial(handed.__enter__))
    found, code = describe(handed.__enter__)
    assert (found, code and code.co_filename) == ("session", __file__)


# as sentry_sdk.integrations.threading and opentelemetry.instrumentation.threading hand functions to a pool
_IN_A_LIBRARY = """
def sentry_submit(fn):
    def wrapped_fn(*args, **kwargs):
        return fn(*args, **kwargs)
    return wrapped_fn
def wrap_submit(original_func):
    def wrapped_func(*func_args, **func_kwargs):
        return original_func(*func_args, **func_kwargs)
    return wrapped_func
def add_background_task(func, *args):
    async def _wrapper():
        await func(*args)
    return _wrapper()
def unset():
    def run():
        return fn()
    if False:
        fn = None
    return run
"""


def library(package: str, source: str) -> dict[str, Any]:
    """The names of a module of an installed package."""
    names: dict[str, Any] = {}
    exec(compile(source, f"/usr/lib/python3/site-packages/{package}/module.py", "exec"), names)
    return names


def test_a_library_s_closure_around_the_user_s_function_is_looked_through() -> None:
    made = library("sentry_sdk", _IN_A_LIBRARY)
    for name in ("sentry_submit", "wrap_submit"):
        assert describe(made[name](functools.partial(report)))[0] == "report"
        assert describe(made[name](made[name](Report().make)))[0] == "Report.make"
    assert describe(made["unset"]())[0] == "unset.<locals>.run"


async def index() -> None:
    await asyncio.sleep(0.002)


def test_a_task_of_a_library_s_closure_is_named_after_the_user_s_function(traced_to: Callable[..., Traced]) -> None:
    """As Quart's of a background task. One that has none of the user's inside keeps its name."""
    made = library("quart", _IN_A_LIBRARY)["add_background_task"]

    async def main() -> None:
        with phase("root"):
            await asyncio.gather(made(functools.partial(index)), made(asyncio.sleep, 0.002))

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    assert spans.one("task index").attributes[schema.CODE_FILE] == __file__
    assert spans.one("task add_background_task.<locals>._wrapper")


def test_an_installed_service_is_the_user_s_where_a_framework_runs_it() -> None:
    service = library("shop", "def order(): pass")["order"]
    handed = functools.partial(telemetry._run_sync_endpoint, function=service, arguments={})
    assert describe(handed)[0] == "order"
    wrap = library("someones_pool", _IN_A_LIBRARY)["wrap_submit"]
    assert describe(wrap(service))[0] == "wrap_submit.<locals>.wrapped_func"  # which of the two is the user's?


def test_a_batch_of_joblib_is_named_after_what_it_calls() -> None:
    parallel = pytest.importorskip("joblib.parallel")
    backends = pytest.importorskip("joblib._parallel_backends")
    batch = parallel.BatchedCalls([(report, (), {})], (None, 1))
    assert describe(batch)[0] == describe(backends._TracebackCapturingWrapper(batch))[0] == "report"
