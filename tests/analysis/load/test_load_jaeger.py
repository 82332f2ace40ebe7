"""Reading a Jaeger: the v3 API, the one before, and what is no Jaeger. Real HTTP on this machine."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from tests.analysis.drawing import drawn
from tests.analysis.otlp_writer import resource_spans
from tests.analysis.spans.test_clean import GOOD
from whywait import analysis

Pages = dict[str, Callable[[dict[str, list[str]]], tuple[int, str]]]
SPANS = drawn(GOOD)


@contextmanager
def serving(pages: Pages) -> Iterator[str]:
    """The address of a server of these pages."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            page = pages.get(url.path)
            status, body = page(parse_qs(url.query)) if page else (404, "404 page not found")
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[[Pages], str]]:
    with ExitStack() as servers:
        yield lambda pages: servers.enter_context(serving(pages))


def answer(content: Any) -> Callable[[dict[str, list[str]]], tuple[int, str]]:
    return lambda _: (200, json.dumps(content))


def v3_pages(asked: list[dict[str, list[str]]]) -> Pages:
    parts = [{"result": {"resourceSpans": [resource_spans(row)]}} for row in SPANS[::-1].itertuples()]

    def traces(query: dict[str, list[str]]) -> tuple[int, str]:
        asked.append(query)
        return 200, "\n".join(map(json.dumps, parts))

    return {"/api/v3/services": answer({"services": ["shop"]}), "/api/v3/traces": traces}


def test_v3_gives_the_same_table_as_the_spans(serve: Callable[[Pages], str]) -> None:
    asked: list[dict[str, list[str]]] = []
    traces = analysis.load_traces(serve(v3_pages(asked)) + "/", limit=50)
    pd.testing.assert_frame_equal(analysis.attribute(traces), analysis.attribute(SPANS))
    assert traces.findings == ()
    (query,) = asked
    assert (query["query.serviceName"], query["query.searchDepth"]) == (["shop"], ["50"])
    assert query["query.startTimeMin"][0].endswith("Z")


def test_a_limit_that_was_reached_is_said(serve: Callable[[Pages], str]) -> None:
    traces = analysis.load_traces(serve(v3_pages([])), limit=1)
    assert [finding.code for finding in traces.findings] == ["limit-reached"]


def test_an_older_jaeger_is_read_in_microseconds(serve: Callable[[Pages], str]) -> None:
    def tag(key: str, value: Any) -> dict[str, Any]:
        if isinstance(value, bool):
            return {"key": key, "type": "bool", "value": value}
        if isinstance(value, int):
            return {"key": key, "type": "int64", "value": value}
        return {"key": key, "type": "string", "value": json.dumps(value) if isinstance(value, list) else value}

    spans = [
        {
            "traceID": row.trace_id.lstrip("0"), "spanID": row.span_id.lstrip("0"), "operationName": row.name,
            "references": [{"refType": "CHILD_OF", "traceID": row.trace_id, "spanID": row.parent_id}]
            if row.parent_id
            else [],
            "startTime": row.start_ns // 1000, "duration": (row.end_ns - row.start_ns) // 1000, "processID": "p1",
            "tags": [tag(key, value) for key, value in row.attributes.items()]
            + [tag("span.kind", row.span_kind), tag("otel.scope.name", row.scope)],
        }
        for row in SPANS.itertuples()
    ]  # fmt: skip
    trace = {"traceID": "61", "spans": spans, "processes": {"p1": {"serviceName": "shop"}}}
    pages = {"/api/services": answer({"data": ["shop"]}), "/api/traces": answer({"data": [trace]})}
    traces = analysis.load_traces(serve(pages))
    assert [finding.code for finding in traces.findings] == ["microseconds"]
    pd.testing.assert_frame_equal(analysis.attribute(traces), analysis.attribute(SPANS))


def complaint(url: str, **options: Any) -> str:
    with pytest.raises(analysis.InputError) as told:
        analysis.load_traces(url, **options)
    assert "\n" not in str(told.value)
    assert url in str(told.value)
    return str(told.value)


def test_services_must_be_known_and_chosen(serve: Callable[[Pages], str]) -> None:
    url = serve({"/api/v3/services": answer({"services": ["shop", "bank"]})})
    assert "knows no service 'zoo'; it knows: 'bank', 'shop'" in complaint(url, service="zoo")
    assert "name the service" in complaint(url)


def test_a_jaeger_without_traces(serve: Callable[[Pages], str]) -> None:
    for page in (answer({"result": {"resourceSpans": []}}), lambda _: (404, "no traces found")):
        url = serve({"/api/v3/services": answer({"services": ["shop"]}), "/api/v3/traces": page})
        assert "has no traces of 'shop'" in complaint(url)


def test_what_is_no_jaeger(serve: Callable[[Pages], str]) -> None:
    page = lambda _: (200, "<html>hello</html>")  # noqa: E731
    assert "is not a Jaeger" in complaint(serve({}))
    assert "is not a Jaeger" in complaint(serve({"/api/v3/services": page, "/api/services": page}))
    assert "no list of services" in complaint(serve({"/api/v3/services": answer({"a": 1})}))
    broken = {"/api/v3/services": answer({"services": ["shop"]}), "/api/v3/traces": answer({"result": {"x": 1}})}
    assert 'no "resourceSpans"' in complaint(serve(broken))
    assert "answered 500 to /api/v3/services: oh no" in complaint(
        serve({"/api/v3/services": lambda _: (500, "oh\nno")})
    )


def test_nobody_answers(serve: Callable[[Pages], str]) -> None:
    assert "Is it running" in complaint("http://127.0.0.1:1")
