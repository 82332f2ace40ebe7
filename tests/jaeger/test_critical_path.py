"""Jaeger's own critical path passes through the named waits, and says of a request what ours says."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from demo_service.driver.server_process import ServerPlan, running
from demo_service.load import drive
from demo_service.plan import Bounds
from testbed.jaeger_server import Jaeger
from testbed.service import get, traced_service
from tests.jaeger.agreement import Apart, apart, bars_of_jaeger, bars_of_spans
from tests.jaeger.critical_path import Bar, Section, critical_path
from tests.jaeger.stored import stored
from whywait import analysis
from whywait.tracer import schema

MODES = ("to_thread", "dedicated_pool", "per_request_pool", "sequential", "batch", "microbatch")
SEARCHED = "query.startTimeMin=2020-01-01T00:00:00Z&query.startTimeMax=2100-01-01T00:00:00Z&query.searchDepth=1000"


def test_the_algorithm_as_documented() -> None:
    """The drawing in the UI's own source, and what it says of overlapping and of touching children."""

    def path(*bars: tuple[str, str, int, int]) -> list[tuple[str, int, int]]:
        found = critical_path(Bar(one, parent, start, end) for one, parent, start, end in bars)
        return [(section.span_id, section.start_us, section.end_us) for section in found]

    root = ("a", "", 1, 33)
    assert path(root, ("b", "a", 4, 13), ("c", "a", 17, 26)) == [
        ("a", 26, 33), ("c", 17, 26), ("a", 13, 17), ("b", 4, 13), ("a", 1, 4),
    ]  # fmt: skip
    assert path(root, ("b", "a", 4, 20), ("c", "a", 17, 26)) == [("a", 26, 33), ("c", 17, 26), ("a", 1, 17)]
    assert path(root, ("b", "a", 4, 17), ("c", "a", 17, 26)) == [("a", 26, 33), ("c", 17, 26), ("a", 1, 17)]
    # cut to its parent, or dropped with all that is below
    assert path(root, ("b", "a", 30, 40), ("c", "a", 33, 50), ("d", "c", 20, 33)) == [("b", 30, 33), ("a", 1, 30)]
    assert critical_path([Bar("p", "", 1, 9, kind="producer"), Bar("c", "p", 2, 9, kind="consumer")]) == [
        Section("p", 1, 9)
    ]


def test_thousands_of_children_one_after_another() -> None:
    bars = [Bar("a", "", 1, 100_001), *(Bar(str(at), "a", 10 * at + 1, 10 * at + 9) for at in range(10_000))]
    assert sum(section.end_us - section.start_us for section in critical_path(bars)) == 100_000


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The story's service, driven through its modes by a few clients, traced to a file."""
    import asyncio

    folder = tmp_path_factory.mktemp("story")
    environment = {"OTEL_SERVICE_NAME": "predictor"}
    plan = ServerPlan(0, "asyncio", folder / "traces", folder / "server.log", environment)

    async def load(url: str) -> None:
        for mode in MODES:
            await drive(url, mode, 3, Bounds(20, 9))
        await drive(url, "per_request_pool", 8, Bounds(20, 16))
        await asyncio.gather(drive(url, "to_thread", 2, Bounds(20, 4)), drive(url, "sequential", 4, Bounds(20, 8)))

    with running(plan, lambda: None) as url:
        asyncio.run(load(url))
    return folder / "traces"


@pytest.fixture(scope="module")
def in_jaeger(jaeger: Jaeger, predictor: Path) -> list[dict[str, Any]]:
    """The traces of the story as Jaeger's UI gets them."""
    from whywait.analysis.write.otlp_http import send

    for path in predictor.glob("*.jsonl"):
        with path.open("rb") as lines:
            send(lines, jaeger.otlp_url)
    found = stored(jaeger, "predictor", len(analysis.load_traces(predictor).spans))
    return [trace for trace in found if _is_predict(trace)]


def _is_predict(trace: dict[str, Any]) -> bool:
    return any(span["operationName"].startswith("POST /predict") for span in trace["spans"])


def _predictions(told: analysis.Analysis) -> int:
    return int(told.requests["endpoint"].str.startswith("POST /predict").sum())


def _stories(found: list[Apart]) -> dict[str, list[Apart]]:
    by_mode: dict[str, list[Apart]] = {}
    for one in found:
        if "/predict/" in one.endpoint:
            by_mode.setdefault(one.endpoint.rpartition("/")[2], []).append(one)
    return by_mode


def _far(found: dict[str, list[Apart]]) -> list[Apart]:
    return [one for ones in found.values() for one in ones if one.share > 0.01]


@pytest.mark.jaeger
def test_jaegers_path_is_ours_for_the_modes_of_the_story(in_jaeger: list[dict[str, Any]], predictor: Path) -> None:
    told = analysis.analyze(predictor)
    found = _stories(list(apart(told, bars_of_jaeger(in_jaeger))))
    assert set(found) == set(MODES)
    assert sum(map(len, found.values())) == _predictions(told)
    assert _far(found) == []
    for mode in ("to_thread", "per_request_pool"):
        assert all(one.waits for one in found[mode]), mode
    assert any(one.waits for one in found["batch"])  # one job each: the pool may be free


def test_what_jaeger_makes_of_our_spans_is_what_we_take_it_to_make(predictor: Path) -> None:
    """Without a Jaeger: from the file, by the same arithmetic."""
    traces = analysis.load_traces(predictor)
    found = _stories(list(apart(analysis.analyze(traces), bars_of_spans(traces.spans))))
    assert _far(found) == []


@pytest.mark.jaeger
def test_jaeger_reads_the_spans_as_we_do(in_jaeger: list[dict[str, Any]], predictor: Path) -> None:
    spans = analysis.load_traces(predictor).spans
    ours = bars_of_spans(spans)
    theirs = bars_of_jaeger(in_jaeger)
    for trace_id, bars in theirs.items():
        assert sorted((one.span_id, one.parent_id, one.start_us, one.end_us) for one in bars) == sorted(
            (one.span_id, one.parent_id, one.start_us, one.end_us) for one in ours[trace_id]
        )


@pytest.mark.jaeger
def test_no_span_carries_a_warning(in_jaeger: list[dict[str, Any]]) -> None:
    warned = [
        (span["operationName"], span["warnings"])
        for trace in in_jaeger
        for span in trace["spans"]
        if span.get("warnings")
    ]
    assert warned == []
    assert sum(len(trace["spans"]) for trace in in_jaeger) > 500


@pytest.mark.jaeger
def test_operations_stay_few(jaeger: Jaeger, in_jaeger: list[dict[str, Any]]) -> None:
    """The UI lists the names of spans as operations to choose from."""
    names = {span["operationName"] for trace in in_jaeger for span in trace["spans"]}
    assert len(names) < 80
    assert all(len(name) < 90 for name in names), sorted(names, key=len)[-3:]


def _found(jaeger: Jaeger, attributes: dict[str, str], min_duration: str = "") -> set[str]:
    """By the search that this Jaeger's UI uses: API v3 where that knows attributes (2.20 does), else the older one."""
    query = f"query.serviceName=predictor&{SEARCHED}&query.attributes={quote(json.dumps(attributes))}"
    query += f"&query.durationMin={min_duration}" if min_duration else ""
    try:
        with urlopen(f"{jaeger.query_url}/api/v3/traces?{query}", timeout=30) as answer:
            resources = json.load(answer)["result"]["resourceSpans"]
    except HTTPError as error:
        if error.code not in (400, 404):
            raise
    else:
        scopes = [scope for resource in resources for scope in resource["scopeSpans"]]
        return {span["traceId"] for scope in scopes for span in scope["spans"]}
    query = f"service=predictor&limit=1000&lookback=1h&tags={quote(json.dumps(attributes))}"
    query += f"&minDuration={min_duration}" if min_duration else ""
    with urlopen(f"{jaeger.query_url}/api/traces?{query}", timeout=30) as answer:
        return {trace["traceID"].rjust(32, "0") for trace in json.load(answer)["data"]}


@pytest.mark.jaeger
def test_a_search_finds_the_requests_of_a_cause(
    jaeger: Jaeger, in_jaeger: list[dict[str, Any]], predictor: Path
) -> None:
    """By the kind of a wait and how long it was, and by who delayed; of all requests, also those that ask whether the
    service is ready."""
    assert in_jaeger
    spans = analysis.load_traces(predictor).spans
    kinds = spans["attributes"].map(lambda one: one.get(schema.WAIT, ""))
    queued = spans[kinds == schema.WAIT_POOL_QUEUE]
    assert _found(jaeger, {schema.WAIT: schema.WAIT_POOL_QUEUE}) == set(queued["trace_id"])
    length_ns = queued["end_ns"] - queued["start_ns"]
    least_ms = int(length_ns.quantile(0.8) / 1e6)
    longer = set(queued.loc[length_ns >= least_ms * 1_000_000, "trace_id"])
    assert set() < longer < set(spans["trace_id"])
    assert _found(jaeger, {schema.WAIT: schema.WAIT_POOL_QUEUE}, f"{least_ms}ms") == longer

    blockers = spans["attributes"].map(lambda one: one.get(schema.BLOCKER_FUNCTION, ""))
    chief = blockers[kinds == schema.WAIT_LOOP_BUSY].value_counts().index[0]
    # it may have kept others waiting in other ways, too
    assert _found(jaeger, {schema.BLOCKER_FUNCTION: chief}) == set(spans.loc[blockers == chief, "trace_id"])
    assert _found(jaeger, {schema.WAIT: schema.WAIT_GPU_QUEUE}) == set()


def _ask_at_once(url: str, paths: Sequence[str]) -> None:
    together = [threading.Thread(target=get, args=(f"{url}{path}",)) for path in paths]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()


def _told_of(folder: Path) -> tuple[list[Apart], analysis.Analysis]:
    traces = analysis.load_traces(folder)
    told = analysis.analyze(traces)
    found = [one for one in apart(told, bars_of_spans(traces.spans)) if "idle" not in one.endpoint]
    return found, told


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_waits_of_every_shape_are_on_jaegers_path(loop: str, tmp_path: Path) -> None:
    """Of equal jobs it may take another than ours, and of what is shorter than a wait's span it knows nothing."""
    with traced_service(tmp_path, loop=loop) as url:
        for path in ("/pool/2", "/threaded", "/sleep", "/books?ms=20", "/audited", "/awaited_item", "/off_path"):
            get(f"{url}{path}")
        _ask_at_once(url, ("/blocker", "/victim", "/books?ms=60", "/books?ms=60", "/audited", "/audited"))
    found, told = _told_of(tmp_path)
    wall_ns = dict(zip(told.requests["trace_id"], told.requests["wall_ns"], strict=True))
    assert len(found) == 13
    far = [one for one in found if one.by_name > max(0.01, 1e6 / wall_ns[one.trace_id])]
    assert far == []


HANDLERS = (
    "ready_in_order", "ready_as_they_come", "ready_in_a_span", "awaited_as_they_come", "left_behind",
    "ended_meanwhile", "given_up",
)  # fmt: skip


def _handled(folder: Path, loop: str, app: str, at_once: int) -> tuple[list[Apart], analysis.Analysis]:
    with traced_service(folder, loop=loop, app=f"tests.jaeger.handlers_app:{app}") as url:
        for path in HANDLERS:
            get(f"{url}/{path}")
        _ask_at_once(url, [f"/{path}" for path in HANDLERS * at_once])
    found, told = _told_of(folder)
    assert len(found) == len(HANDLERS) * (1 + at_once)
    return found, told


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_nobody_waited_for_is_passed_by(loop: str, tmp_path: Path) -> None:
    """Results that lay ready, jobs and tasks left behind or given up, a host's span between, all at once too."""
    found, told = _handled(tmp_path, loop, "app", 1)
    wall_ns = dict(zip(told.requests["trace_id"], told.requests["wall_ns"], strict=True))
    assert [one for one in found if one.share > max(0.01, 1e6 / wall_ns[one.trace_id])] == []
    spans = told.spans
    kind_of = dict(zip(spans["span_id"], spans["span_kind"], strict=True))
    alone = spans[spans["span_kind"] == "consumer"]
    assert {kind_of[parent] for parent in alone["parent_id"]} == {"producer"}
    assert set(alone["attributes"].map(lambda one: one[schema.KIND])) == {schema.KIND_JOB, schema.KIND_TASK}
    requests = told.requests.set_index("trace_id")
    behind = alone[alone["trace_id"].map(requests["endpoint"]).str.contains("left_behind")]
    jobs = behind[behind["name"] == "job nap"]
    assert (jobs["end_ns"] - jobs["start_ns"] >= 300e6).all(), "at their own times"
    assert (jobs["end_ns"].to_numpy() > jobs["trace_id"].map(requests["end_ns"]).to_numpy()).all()


def test_a_task_that_the_middleware_waits_for_is_on_the_path(tmp_path: Path) -> None:
    """It wakes the middleware with each thing that it sends, and goes on beside it: there the two paths may differ."""
    found, told = _handled(tmp_path, "asyncio", "layered", 0)
    wall_ns = dict(zip(told.requests["trace_id"], told.requests["wall_ns"], strict=True))
    assert [one for one in found if one.by_name > max(0.05, 5e6 / wall_ns[one.trace_id])] == []
    assert all(one.waits for one in found)
    tasks = told.spans[told.spans["name"].str.contains("call_next")]
    assert set(tasks["trace_id"]) >= {one.trace_id for one in found}
    assert "consumer" not in set(tasks[tasks["trace_id"].isin({one.trace_id for one in found})]["span_kind"])
