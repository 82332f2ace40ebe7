"""The list of requests on the page, what the header says of the run, and the links to a Jaeger."""

import pandas as pd
import pytest

from tests.analysis.fabricate import analysis_of
from whywait.analysis.report.html.dots import run
from whywait.analysis.report.html.listed import MOST_LISTED, listed
from whywait.analysis.report.html.report import page
from whywait.tracer import schema


def test_the_slowest_requests_are_listed_with_their_causes_in_order() -> None:
    rows = list(
        listed(
            analysis_of({"GET /a": [{"compute": 10}, {"compute": 10, "gil_wait": 30}], "GET /b": [{"lock_wait": 20}]})
        )
    )
    assert [(row["endpoint"], row["felt"], row["causes"]) for row in rows] == [
        ("GET /a", "40.0", [("gil_wait", "30.0"), ("compute", "10.0")]),
        ("GET /b", "20.0", [("lock_wait", "20.0")]),
        ("GET /a", "10.0", [("compute", "10.0")]),
    ]
    assert min(row["at_s"] for row in rows) == 0


def test_a_request_without_a_status_says_its_error_alone() -> None:
    given = analysis_of({"job": [{"compute": 10}]})
    given.requests["status_code"] = pd.array([pd.NA], dtype="Int64")
    given.requests["error_type"], given.requests["error"] = "ValueError", True
    assert [row["status"] for row in listed(given)] == ["ValueError"]


def test_of_more_the_page_says_that_these_are_the_slowest() -> None:
    given = analysis_of({"GET /a": [{"compute": 1 + number} for number in range(MOST_LISTED + 1)]})
    text = page(given, "report", top=1)
    assert f"The {MOST_LISTED} slowest requests" in text
    assert "All requests" not in text
    assert len(list(listed(given))) == MOST_LISTED


@pytest.mark.parametrize(
    ("url", "links"), [("http://jaeger:16686/", True), ("javascript:alert(1)//", False), ("", False)]
)
def test_trace_ids_lead_to_a_jaeger_where_one_is_named(url: str, links: bool) -> None:
    given = analysis_of({"GET /a": [{"compute": 10}]})
    text = page(given, "report", jaeger=url)
    trace_id = given.requests["trace_id"].iloc[0]
    assert (f'href="http://jaeger:16686/trace/{trace_id}"' in text) == links
    assert "javascript:alert" not in text


def test_the_header_says_which_program_and_whether_requests_are_missing() -> None:
    given = analysis_of({"GET /a": [{"compute": 500}, {"compute": 500}]})
    for attributes in given.spans["attributes"]:
        attributes.update({"host.name": "web-1", schema.RUN: "uvicorn, CPython 3.11.7, whywait 0.1.0"})
    where, program, many = run(given)
    assert " on web-1, " in where
    assert program == "uvicorn, CPython 3.11.7, whywait 0.1.0"
    assert many == "2 requests, each recorded; no loss was noted."
    given.requests["weight"] = [1.0, 99.0]
    assert run(given)[-1].startswith("About 100 requests, of which 2 were recorded")
