"""A job is named after the user's function, behind the wrappers that libraries put around it."""

import asyncio
import contextvars
import functools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from tests.tracer.conftest import Traced
from whywait import phase
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


def test_asgirefs_wrapper_is_looked_through(traced_to: Callable[..., Traced]) -> None:
    async def main() -> None:
        with phase("root"), ThreadPoolExecutor(1) as pool:
            await sync_to_async(report, thread_sensitive=False, executor=pool)()

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    assert spans.one("job report")
