"""What a report names is the user's, behind the wrappers of FastAPI, Starlette, asgiref and contextlib."""

import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi._compat import v2

from testbed.service import get, traced_service
from tests.truth import names_app
from whywait import analysis
from whywait.analysis.model import Analysis
from whywait.analysis.situations.situation import Pattern, Situation
from whywait.analysis.verdicts.judgement import judge
from whywait.tracer import schema

MS = 1_000_000
TIMES = 4
COMPUTES = (Situation.COMPUTES_ON_LOOP, Situation.COMPUTES_IN_WORKER)
PATHS = ("loop", "worker", "decorated", "dependency", "asgiref", "threadpool")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    output = tmp_path_factory.mktemp("names")
    with traced_service(output, app="tests.truth.names_app:app") as url, ThreadPoolExecutor(TIMES) as clients:
        for path in PATHS:
            list(clients.map(get, [f"{url}/{path}"] * TIMES))
    return analysis.analyze(output)


def lines(function: Callable[..., Any]) -> range:
    source, first = inspect.getsourcelines(function)
    return range(first, first + len(source))


@pytest.mark.parametrize(
    ("path", "kind"), [("loop", Situation.COMPUTES_ON_LOOP), ("worker", Situation.COMPUTES_IN_WORKER)]
)
def test_computing_is_named_with_its_amount_and_whom_it_stopped(found: Analysis, path: str, kind: Situation) -> None:
    (judged,) = [one for one in judge(found) if one.endpoint == f"GET /{path}"]
    first: Pattern = next(one for one in judged.situations if one.kind in COMPUTES)
    computes = SimpleNamespace(kind=first.kind, **first.numbers)
    assert (computes.function, computes.file, computes.kind) == ("compute", names_app.__file__, kind)
    assert computes.line in lines(names_app.compute)
    assert computes.mean_ns == pytest.approx(names_app.MS * MS, rel=0.15)
    assert computes.per_request == pytest.approx(1, abs=0.5)
    # four at once: most of them waited for the loop, or for the GIL, that another of them had
    assert computes.stopped >= TIMES // 2
    assert computes.stopped_ns >= names_app.MS * MS


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("worker", "on_worker"), ("decorated", "decorated"), ("dependency", "session"), ("asgiref", "legacy"),
        ("threadpool", "legacy"),
    ],
)  # fmt: skip
def test_a_job_has_the_name_of_the_user_s_function(found: Analysis, path: str, name: str) -> None:
    own = found.requests[found.requests["endpoint"] == f"GET /{path}"]
    assert len(own) == TIMES
    spans = found.spans[found.spans["trace_id"].isin(own["trace_id"])]
    jobs = [one for one in spans["attributes"] if one.get(schema.KIND) == schema.KIND_JOB]
    places = {(one[schema.CODE_FUNCTION], one[schema.CODE_FILE]) for one in jobs}
    assert (name, names_app.__file__) in places
    others = {file for _, file in places - {(name, names_app.__file__)}}
    assert others <= {v2.__file__}  # FastAPI checks the answer in a thread of its own


@pytest.mark.parametrize(
    ("path", "name"), [("decorated", "decorated"), ("dependency", "session"), ("asgiref", "legacy")]
)
def test_who_slept_is_the_user_s_function(found: Analysis, path: str, name: str) -> None:
    (judged,) = [one for one in judge(found) if one.endpoint == f"GET /{path}"]
    slept = next(one for one in judged.reasons if one.cause is analysis.Cause.BLOCKING_IO)
    assert (slept.culprit, slept.culprit_file) == (name, names_app.__file__)
    assert slept.culprit_line in lines(getattr(names_app, name))
