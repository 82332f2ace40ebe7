"""Stretches of a few ms are met by few samples: these tell what the others of the same endpoint ran."""

import pandas as pd
import pytest

from tests.analysis.drawing import UNIT_NS, drawn, trace_id
from whywait.analysis import analyze
from whywait.analysis.causes import Cause
from whywait.tracer import schema

AUDIT = {schema.CODE_FUNCTION: "audit", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 6}
RENDER = {schema.CODE_FUNCTION: "render", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 9}
REQUEST = """
    server GET{n}        |---------|           trace={n}
    task   root{n} GET{n}  |---------|           trace={n} cpu={cpu}
    block  b{n} root{n}    |{bar}|              trace={n} cpu={cpu}
"""
VICTIM = """
    server GETv           |--------|           trace=v
    task   rootv GETv     |--------|           trace=v cpu=3
    wait   w rootv        |----|               trace=v type=loop_busy
"""
BEHIND = {schema.BLOCKER_FUNCTION: "GET", schema.BLOCKER_TRACE_ID: trace_id("z"), schema.BLOCKER_NS: 5 * UNIT_NS}


def named(cause: Cause, functions: str, length: int = 4) -> dict[str, int]:
    """How much of a cause the culprits have, ms: of requests whose sampled stretches ran these (a: audit, r: render, a dot:
    none was sampled), and of one that waited behind another of them."""
    names, picture, more = "abcdefghijklmnop", VICTIM, {"w": BEHIND}
    for name, one in zip(names, functions, strict=False):
        picture += REQUEST.format(n=name, cpu=length, bar="-" * (length - 1))
        more[f"b{name}"] = {"a": AUDIT, "r": RENDER, ".": {}}[one]
    spans = drawn(picture, more)
    spans["name"] = spans["name"].str.replace(r"GET\w", "GET", regex=True)
    spans.loc[spans["name"].str.fullmatch(r"b\w"), "name"] = "on loop"
    found = analyze(spans).culprits
    own = found[(found["cause"] == cause) & ((found["culprit_file"] != "") | (cause is Cause.LOOP_BUSY))]
    sums: pd.Series[int] = own.groupby("culprit")["ns"].sum() // UNIT_NS
    return {str(name): int(ns) for name, ns in sums.items()}


def test_what_no_sample_met_is_divided_as_what_samples_met() -> None:
    assert named(Cause.COMPUTE, "aaaar.....") == {"audit": 32, "render": 8}
    assert named(Cause.LOOP_BUSY, "aaaar.....") == {"audit": 4, "render": 1}


@pytest.mark.parametrize(
    ("functions", "length", "computed"),
    [("aaaa......", 4, {"audit": 16}), ("aaaaa.....", 1, {"audit": 5})],
    ids=["four samples are few", "what is too short to be sampled ran something else, perhaps"],
)
def test_what_samples_do_not_tell_stays_without_a_name(functions: str, length: int, computed: dict[str, int]) -> None:
    assert named(Cause.COMPUTE, functions, length) == computed


@pytest.mark.parametrize(
    ("file", "where", "name"),
    [
        ("/lib/site-packages/quart/asgi.py", "/srv/app.py", "report"),
        ("/lib/site-packages/quart/asgi.py", "/lib/site-packages/quart/app.py", "handle"),
        ("/srv/app.py", "/srv/app.py", "handle"),
    ],
)
def test_a_librarys_task_whose_steps_are_short_is_named_by_the_users_function_in_which_it_waits(
    file: str, where: str, name: str
) -> None:
    """Of the same endpoint: one of them waits too shortly to be told."""
    picture, more = "", {}
    for one in "ab":
        picture += f"""
    server GET{one}        |---------|           trace={one}
    task   root{one} GET{one}  |---------|           trace={one} cpu=0
    wait   until{one} root{one} |--------|           trace={one} waker=own{one}
    task   own{one} root{one} |--------|           trace={one} cpu=5
        """
        more[f"own{one}"] = {schema.CODE_FUNCTION: "handle", schema.CODE_FILE: file}
    picture += "    wait   w owna           |---|               trace=a waker=io\n"
    more["w"] = {schema.CODE_FUNCTION: "report", schema.CODE_FILE: where, schema.CODE_LINE: 22}
    spans = drawn(picture, more)
    spans["name"] = spans["name"].str.replace(r"^(.*(?:GET|own))[ab]$", r"\1", regex=True)
    found = analyze(spans).culprits
    computing = found[found["cause"] == Cause.COMPUTE]
    assert set(computing["culprit"]) == {name}


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("BaseHTTPMiddleware.__call__.<locals>.call_next.<locals>.coro", "upload"),  # the rest of the application
        ("GZipMiddleware.compress", "GZipMiddleware.compress"),
    ],
)
def test_what_a_middleware_runs_of_the_application_is_the_endpoints(task: str, name: str) -> None:
    picture = """
    server GET         |---------|
    task   root GET    |---------|    cpu=0
    wait   until root  |--------|     waker=own
    task   own root    |--------|     cpu=5
    """
    of_library = {schema.CODE_FUNCTION: task, schema.CODE_FILE: "/lib/site-packages/starlette/middleware/base.py"}
    endpoint = {schema.CODE_FUNCTION: "upload", schema.CODE_FILE: "/srv/app.py", schema.ROOT: True}
    found = analyze(drawn(picture, {"own": of_library | {schema.SPAWNED_BY: f"{2:016x}"}, "root": endpoint})).culprits
    assert set(found.loc[found["cause"] == Cause.COMPUTE, "culprit"]) == {name}
