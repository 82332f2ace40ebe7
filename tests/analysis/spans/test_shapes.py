"""Traces of uncommon shapes: nothing is cut, and twice as much costs about twice as much."""

import time
from collections.abc import Callable

import pytest

from tests.analysis.drawing import BEGIN_NS, SIGNALS
from whywait import analysis
from whywait.analysis.load.otlp import frame_of
from whywait.analysis.model import Analysis
from whywait.tracer import schema

Row = tuple[object, ...]


def span(number: int, parent: int | None, name: str, kind: str, start: int, end: int, trace: int = 0) -> Row:
    ids = f"{trace + 1:032x}", f"{number + 1:016x}", "" if parent is None else f"{parent + 1:016x}"
    return (*ids, name, "shop", "", kind, BEGIN_NS + start, BEGIN_NS + end, False, {}, [])


def siblings(count: int) -> list[Row]:
    calls = (span(one + 1, 0, "call", "client", one * 1000, one * 1000 + 900) for one in range(count))
    return [span(0, None, "GET /", "server", 0, count * 1000), *calls]


def deep(count: int) -> list[Row]:
    inner = (span(one, one - 1, "inner", "internal", one, 4 * count - one) for one in range(1, count))
    return [span(0, None, "GET /", "server", 0, 4 * count), *inner]


def analysed(rows: list[Row]) -> tuple[Analysis, float]:
    spans = frame_of(rows)
    start = time.process_time()
    return analysis.analyze(spans), time.process_time() - start


@pytest.mark.parametrize("shape", [siblings, deep])
def test_every_span_of_a_wide_or_deep_trace_has_its_part_and_its_cost(shape: Callable[[int], list[Row]]) -> None:
    rows = shape(8_000)
    analysed(rows)  # what is imported and made once
    found, took = analysed(rows)
    assert found.causes["span_id"].nunique() >= 8_000
    # eight thousand steps over all requests at once cost 1.6 s here and grew with their square where levels were many
    _, less = analysed(rows[:2_000])
    assert took < 12 * less  # with the square: 16


def test_names_with_ids_are_one_endpoint_and_the_report_says_so() -> None:
    names = [f"GET /users/{one}/orders" for one in range(40)] + [
        f"GET /files/{one:08x}-aa0{one % 8}" for one in range(40)
    ]
    names += ["GET /v1/users", "GET /v2/users", "POST /users/7"]
    rows = [span(one, None, name, "server", one * 1000, one * 1000 + 900, one) for one, name in enumerate(names)]
    found = analysis.analyze(frame_of(rows))
    assert dict(found.requests["endpoint"].value_counts()) == {
        "GET /users/{id}/orders": 40, "GET /files/{id}": 40, "GET /v1/users": 1, "GET /v2/users": 1, "POST /users/7": 1,
    }  # fmt: skip
    (said,) = (one for one in found.findings if one.code == "grouped-endpoints")
    assert said.count == 80
    assert "GET /users/{id}/orders" in said.message


def test_a_route_is_the_endpoints_name_whatever_is_in_it() -> None:
    rows = [
        (*row[:10], {"http.route": "/{user}", "http.request.method": "GET", schema.SIGNALS: SIGNALS}, [])
        for row in (span(one, None, f"GET /{one}", "server", one * 1000, one * 1000 + 9, one) for one in range(20))
    ]
    found = analysis.analyze(frame_of(rows))
    assert set(found.requests["endpoint"]) == {"GET /{user}"}
    assert "grouped-endpoints" not in {one.code for one in found.findings}
