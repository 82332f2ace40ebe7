"""The three forms of the report, with hostile names in every place that a trace can reach."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tests.analysis.drawing import drawn
from tests.analysis.fabricate import Culprit, analysis_of
from tests.analysis.verdicts.test_sentences import OCCUPIED, QUEUED
from whywait import analysis
from whywait.analysis.model import Finding
from whywait.analysis.report.html.report import page, write_html
from whywait.analysis.report.json import FORMAT
from whywait.analysis.report.json.report import as_json
from whywait.analysis.report.terminal.report import render
from whywait.analysis.report.told import told_of
from whywait.analysis.situations.situation import Situation
from whywait.analysis.text import counted, milliseconds, safe
from whywait.tracer import schema

HOSTILE = "</title><script>alert(1)</script>[red]x[/] \x1b[31mred \x07 \u202eevil"


def hostile_analysis() -> analysis.Analysis:
    more = {name: dict(attributes) for name, attributes in OCCUPIED.items()}
    more["q"][schema.OCCUPANT_NAMES] = [HOSTILE, HOSTILE]
    more["q"][schema.POOL_NAME] = HOSTILE
    more["run"] = {schema.CODE_FUNCTION: HOSTILE, schema.CODE_FILE: HOSTILE}
    spans = drawn(QUEUED, more)
    return analysis.analyze(spans.assign(name=spans["name"].where(spans["name"] != "GET", HOSTILE)))


@pytest.fixture(scope="module")
def hostile() -> analysis.Analysis:
    return hostile_analysis()


class Tags(HTMLParser):
    """Collects what a browser would see as elements."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.remote: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.remote += [value for name, value in attrs if name in {"src", "href"} and value]


def test_html_escapes_whatever_a_trace_says(hostile: analysis.Analysis) -> None:
    text = page(hostile, HOSTILE)
    parsed = Tags()
    parsed.feed(text)
    assert parsed.tags.count("script") == 1  # our own, the only one whose hash the policy names
    script = text[text.index("<script>") + 8 : text.index("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "alert" not in script
    assert parsed.tags.count("title") == 1 + text.count(": its timeline</title>")  # the others are of our own dots
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "&lt;script&gt;" in text


def test_html_needs_nothing_from_elsewhere(hostile: analysis.Analysis) -> None:
    parsed = Tags()
    text = page(hostile, "report")
    parsed.feed(text)
    assert [one for one in parsed.remote if not one.startswith("#")] == []
    assert "url(" not in text
    assert "default-src 'none'" in text


def test_html_tells_cause_culprit_and_remedy_first() -> None:
    text = page(analysis.analyze(drawn(QUEUED, OCCUPIED)), "report")
    first_screen = text[text.index("<h2") : text.index('id="where"')]
    for word in ("pool_queue", "predict_one", "What to change", "21.0 ms"):
        assert word in first_screen


def test_html_bars_are_the_percentiles_that_stand_above_them() -> None:
    given = analysis_of({"GET /a": [{"compute": ms, "gil_wait": 3 * ms} for ms in range(1, 90)]})
    text = page(given, "report")
    walls = given.requests["wall_ns"].to_numpy()

    def rank(quantile: float) -> str:
        return milliseconds(np.quantile(walls, quantile, method="inverted_cdf"))

    assert f"p50 {rank(0.5)} ms, p99 {rank(0.99)} ms" in text
    told = re.findall(r'aria-label="(p\d+): ([\d.,]+) ms: (.*?)"', text)
    assert {name for name, _, _ in told} == {"p50", "p95", "p99"}
    for name, wall, parts in told:
        assert wall == rank(int(name[1:]) / 100)
        assert parts.startswith("gil_wait ")  # the longest part first


def test_html_draws_the_slowest_request_of_each_endpoint_and_leads_to_it() -> None:
    given = analysis_of(
        {"GET /slow": [{"compute": 500 + ms} for ms in range(9)], "GET /often": [{"lock_wait": 60}] * 99}
    )
    text = page(given, "report", top=3)
    drawn_of = re.findall(r'<details class="card request" id="r(\w+)".*?<summary>(GET /\w+), ', text, re.DOTALL)
    assert [endpoint for _, endpoint in drawn_of] == ["GET /slow"] * 3 + ["GET /often"]
    for trace_id in (drawn_of[0][0], drawn_of[-1][0]):
        assert f'<a href="#r{trace_id}">Its slowest request' in text


def test_html_is_written_whole_or_not_at_all(tmp_path: Path, hostile: analysis.Analysis) -> None:
    with pytest.raises(analysis.InputError, match="does the folder exist"):
        write_html(hostile, tmp_path / "missing" / "report.html")
    write_html(hostile, tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_terminal_is_free_of_markup_and_escapes(hostile: analysis.Analysis) -> None:
    out = io.StringIO()
    render(hostile, Console(file=out, width=140, force_terminal=False))
    text = out.getvalue()
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "[red]x[/]" in re.sub(r"\s*[│\n]\s*", "", text)  # shown as it is, not read as markup


def test_json_keeps_to_its_schema(hostile: analysis.Analysis) -> None:
    schema_text = files("whywait.analysis.report.json").joinpath("schema.json").read_text()
    found = json.loads(json.dumps(as_json(hostile, top=3)))
    conforms(found, json.loads(schema_text), "$")
    (endpoint,) = found["endpoints"]
    assert sum(cause["share"] for cause in endpoint["causes"]) == pytest.approx(1, abs=1e-5)
    assert sum(found["slowest"][0]["causes"].values()) == found["slowest"][0]["wall_ns"]


def test_reasons_situations_and_what_is_missing_are_fields() -> None:
    given = analysis_of(
        {"POST /rank": [{"pool_queue": 50, "compute": 10}] * 2},
        culprits={"pool_queue": Culprit("predict", "/srv/app/model.py", 12)},
        jobs={"POST /rank": [{"name": "predict"}] * 14}, signals=["loop", "executor", "thread_cpu"],
    )  # fmt: skip
    found = json.loads(json.dumps(as_json(given)))
    conforms(found, schema_of("schema.json"), "$")
    (endpoint,) = found["endpoints"]
    (reason,) = endpoint["reasons"]
    assert (reason["cause"], reason["amount_ns"], reason["evidence"]) == ("pool_queue", 50_000_000, "observed")
    assert reason["share"] == pytest.approx(5 / 6, abs=1e-6)
    assert (reason["culprit"], reason["file"], reason["line"]) == ("predict", "/srv/app/model.py", 12)
    assert reason["remedy"]["key"] == "pool_queue"
    (many,) = endpoint["situations"]
    assert many["kind"] == "many_jobs"
    mean_ns = many["numbers"].pop("mean_ns")
    assert mean_ns > 0
    assert many["numbers"] == {"function": "predict", "per_request": 14, "in_turn": False, "blocks": False}
    assert {one["signal"]: one["requests"] for one in found["not_observed"]}["run_queue"] == 2


def test_the_format_has_one_number_everywhere() -> None:
    for name in ("schema.json", "diff_schema.json"):
        rules = schema_of(name)
        assert rules["properties"]["format"]["const"] == FORMAT
        assert rules["title"].endswith(f", format {FORMAT}")
    folder = files("whywait.analysis.report.json")
    assigning = [one.name for one in folder.iterdir() if "\nFORMAT" in (one.read_text() if one.is_file() else "")]
    assert assigning == ["__init__.py"]
    for name in ("report.py", "diff.py", "logs.py"):
        assert '"format": FORMAT' in folder.joinpath(name).read_text()


def test_every_kind_of_situation_is_in_the_schema() -> None:
    kinds = schema_of("schema.json")["properties"]["endpoints"]["items"]["properties"]["situations"]["items"]
    assert kinds["properties"]["kind"]["enum"] == list(Situation)


def schema_of(name: str) -> dict[str, Any]:
    text = files("whywait.analysis.report.json").joinpath(name).read_text()
    return dict(json.loads(text))


def test_when_all_was_observed_the_report_says_so() -> None:
    out = io.StringIO()
    every = [getattr(schema, name) for name in dir(schema) if name.startswith("SIGNAL_")]
    render(analysis_of({"GET /a": [{"compute": 9}]}, signals=every), Console(file=out, width=140, force_terminal=False))
    assert "observed: ." not in out.getvalue()
    assert out.getvalue().endswith("Every signal was observed.\n")


def test_one_is_no_plural() -> None:
    assert (counted(1, "request"), counted(0, "request"), counted(1200, "request")) == (
        "1 request", "0 requests", "1,200 requests",
    )  # fmt: skip
    out = io.StringIO()
    given = analysis_of({"GET /a": [{"compute": 9, "pool_queue": 30}]}, findings=(Finding("odd", "Odd.", 1),))
    for width in (80, 140):
        render(given, Console(file=out, width=width, force_terminal=False))
    assert not re.search(r"\b1 [a-z]+s\b", out.getvalue() + page(given, "report").split("<main")[1])


def test_the_schema_check_can_fail(hostile: analysis.Analysis) -> None:
    rules = json.loads(files("whywait.analysis.report.json").joinpath("schema.json").read_text())
    for broken in ({"format": FORMAT - 1}, {"requests": "3"}, {"extra": 1}):
        with pytest.raises(AssertionError):
            conforms({**as_json(hostile), **broken}, rules, "$")


def conforms(value: Any, rules: dict[str, Any], where: str) -> None:
    """Checks the part of JSON Schema that schema.json uses."""
    if "const" in rules:
        assert value == rules["const"], where
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    wanted = rules.get("type", [])
    wanted = [wanted] if isinstance(wanted, str) else wanted

    def is_kind(kind: str) -> bool:
        if kind in {"integer", "number"}:
            numbers = int if kind == "integer" else (int, float)
            return isinstance(value, numbers) and not isinstance(value, bool)
        return isinstance(value, kinds[kind])

    assert not wanted or any(is_kind(kind) for kind in wanted), f"{where}: {value!r} is no {wanted}"
    if isinstance(value, dict):
        properties = rules.get("properties", {})
        assert set(rules.get("required", [])) <= set(value), where
        for name, part in value.items():
            extra = rules.get("additionalProperties", True)
            assert name in properties or extra is not False, f"{where}.{name} is not in the schema"
            conforms(part, properties.get(name, extra if isinstance(extra, dict) else {}), f"{where}.{name}")
    if isinstance(value, list):
        assert len(value) <= rules.get("maxItems", len(value)), where
        for number, part in enumerate(value):
            conforms(part, rules.get("items", {}), f"{where}[{number}]")
    if "enum" in rules:
        assert value in rules["enum"], where
    if "minimum" in rules:
        assert value >= rules["minimum"], where


def test_each_endpoint_has_a_scale_of_its_own() -> None:
    text = page(analysis_of({"GET /hour": [{"await_io": 3_600_000}], "GET /short": [{"compute": 4}]}), "report")
    widths = re.findall(r'class="fill" style="width: ([\d.]+)%', text)
    assert len(widths) == 3 + 2 + 2 * 3, "the first answer, the table, the details"
    assert {float(one) for one in widths} == {100.0}


def test_of_many_pools_those_used_most_are_listed_and_the_loop_the_gil_and_the_cpu() -> None:
    found = analysis.analyze(Path(__file__).resolve().parents[3] / "notebooks/recording/threaded.jsonl.gz")
    told = told_of(found)
    (process,) = told.processes
    (pool, *_) = (one for one in process.uses if one.resource == "pool")
    others = [one for one in process.uses if one.resource in ("loop", "gil", "cpu")]
    uses = (*(replace(pool, name=f"of a request {number}") for number in range(30)), *others)
    text = page(found, "report", told=told._replace(processes=(replace(process, uses=uses),)))
    listed = re.findall(r'<th scope="row">(pool of a request \d+|loop|gil|cpu) ', text)
    assert listed == [*(f"pool of a request {number}" for number in range(8)), *(one.resource for one in others)]
    assert "22 more are used less." in text


def test_safe_text_is_one_bounded_line() -> None:
    assert safe("a\nb\x1b[0m\u200b") == "a b[0m"
    assert len(safe("x" * 1000)) == 300
    assert safe("naïve – 日本") == "naïve – 日本"


@pytest.mark.parametrize(("ns", "text"), [(0, "0.00"), (1_234_567, "1.2"), (123_456_789, "123"), (9e9, "9,000")])
def test_milliseconds(ns: float, text: str) -> None:
    assert milliseconds(ns) == text
