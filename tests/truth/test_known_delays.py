"""Known delays, injected into a real service, must be found: cause, culprit and milliseconds."""

import json
import math
import os
import threading
import time
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from testbed.disturbed import disturbed
from testbed.service import get, traced_service
from tests.truth.app import POOL_SIZES, Stamps
from whywait import analysis
from whywait.analysis.model import Analysis

MS = 1_000_000
JOBS, JOB_MS = 10, 20
BLOCK_MS, VICTIM_MS = 300, 20
IDLE_REQUESTS = 50


# what the jobs of a request saw themselves, by endpoint path
seen: dict[str, list[Stamps]] = {}


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """One traced run of every endpoint, analysed."""
    output = tmp_path_factory.mktemp(f"truth-{request.param}")
    with traced_service(output, loop=request.param) as url:
        for size in POOL_SIZES:
            seen[f"pool-{size}"] = json.loads(get(f"{url}/pool/{size}?jobs={JOBS}&ms={JOB_MS}"))
        victim = threading.Thread(target=get, args=(f"{url}/victim?ms={VICTIM_MS}",))
        victim.start()
        time.sleep(0.008)
        get(f"{url}/blocker?ms={BLOCK_MS}")
        victim.join()
        seen["threaded"] = json.loads(get(f"{url}/threaded"))
        get(f"{url}/sleep?ms=50")
        get(f"{url}/off_path?short_ms=20&long_ms=100")
        before_ns = int(get(f"{url}/run_queue"))
        for _ in range(IDLE_REQUESTS):
            get(f"{url}/idle")
        seen["idle queued"] = int(get(f"{url}/run_queue")) - before_ns
    return analysis.analyze(output)


def rows_of(found: Analysis, endpoint: str) -> pd.DataFrame:
    rows = found.causes[found.causes["endpoint"] == endpoint]
    assert not rows.empty, f"no {endpoint} in {sorted(set(found.causes['endpoint']))}"
    return rows


def amount_ms(rows: pd.DataFrame, cause: str) -> float:
    return float(rows.loc[rows["cause"] == cause, "amount_ns"].sum()) / MS


def request_with(found: Analysis, span_name_part: str) -> pd.Series:
    spans = found.spans
    trace_ids = set(spans.loc[spans["name"].str.contains(span_name_part, regex=False), "trace_id"])
    (index,) = found.requests.index[found.requests["trace_id"].isin(trace_ids)]
    return found.requests.loc[index]


def test_every_request_is_whole(found: Analysis) -> None:
    assert not found.requests["incomplete"].any()
    assert [finding for finding in found.findings if finding.code != "orphan-span"] == []


def queued_ms(stamps: list[Stamps]) -> tuple[float, int]:
    """How long the job that ended last had queued for its worker, and behind how many jobs."""
    submitted_ns, began_ns, _, thread = max(stamps, key=lambda job: job[2])
    before = [ended_ns for _, _, ended_ns, other in stamps if other == thread and ended_ns <= began_ns]
    return (max(before) - submitted_ns) / MS if before else 0.0, len(before)


def is_undisturbed(stamps: list[Stamps], workers: int) -> bool:
    """Whether the machine let every worker begin at once, and every sleep be as long as asked for."""
    prompt = sum(began_ns - submitted_ns < 2 * MS for submitted_ns, began_ns, _, _ in stamps)
    exact = all(ended_ns - began_ns < (JOB_MS + 0.5) * MS for _, began_ns, ended_ns, _ in stamps)
    return prompt == workers and exact


@pytest.mark.parametrize("workers", POOL_SIZES)
def test_pool_queue_is_the_known_rounds(found: Analysis, workers: int) -> None:
    spans = found.spans
    pool = spans["attributes"].map(lambda a: a.get("whywait.pool.name"))
    jobs = spans[(pool == f"pool-{workers}") & (spans["name"] == "job nap")]
    # the victim's endpoint uses pool 2 as well: this request is the one with ten jobs
    trace_id = jobs["trace_id"].value_counts().idxmax()
    rows = found.causes[found.causes["trace_id"] == trace_id]
    stamps = seen[f"pool-{workers}"]
    truth_ms, rounds = queued_ms(stamps)
    if is_undisturbed(stamps, workers):
        assert rounds == math.ceil(JOBS / workers) - 1
        assert truth_ms == pytest.approx(rounds * JOB_MS, rel=0.05, abs=2.0)
    assert amount_ms(rows, "pool_queue") == pytest.approx(truth_ms, rel=0.05, abs=2.0)


@pytest.mark.parametrize("workers", POOL_SIZES)
def test_occupants_are_the_jobs_that_ran(found: Analysis, workers: int) -> None:
    spans = found.spans
    waits = spans[spans["attributes"].map(lambda a: a.get("whywait.wait") == "pool_queue")]
    waits = waits[waits["attributes"].map(lambda a: a.get("whywait.pool.name") == f"pool-{workers}")]
    assert workers == JOBS or not waits.empty
    runs = {
        attributes["whywait.activity"]: (start, end)
        for start, end, attributes in zip(spans["start_ns"], spans["end_ns"], spans["attributes"], strict=True)
        if attributes.get("whywait.kind") == "run"
    }
    for start, end, attributes in zip(waits["start_ns"], waits["end_ns"], waits["attributes"], strict=True):
        assert attributes["whywait.pool.size"] == workers
        named = attributes["whywait.occupant.span_ids"]
        for span_id in named:
            ran_from, ran_to = runs[span_id]
            assert ran_from < end, "named an occupant that began later"
            assert ran_to > start, "named an occupant that had ended before"
        total = sum(attributes["whywait.occupant.ns"]) + attributes["whywait.occupant.other_ns"]
        assert total == end - start
        held = sum(1 for ran_from, ran_to in runs.values() if ran_from < end and ran_to > start)
        assert len(named) >= min(held, workers) - 1


def test_the_blocker_is_named_to_its_victim(found: Analysis) -> None:
    blocker = request_with(found, "on loop: hold_the_loop")
    rows = rows_of(found, "GET /victim")
    busy = rows[rows["cause"] == "loop_busy"]
    victim_wall_ms = float(rows["amount_ns"].sum()) / MS
    job = found.spans[(found.spans["trace_id"] == rows["trace_id"].iloc[0]) & (found.spans["name"] == "nap")]
    job_end_ns = int(job["end_ns"].iloc[0])
    # the truth: the blocker ran on until its end, the victim's job was done at its own
    block = found.spans[found.spans["name"] == "on loop: hold_the_loop"]
    truth_ms = (int(block["end_ns"].iloc[0]) - max(int(block["start_ns"].iloc[0]), job_end_ns)) / MS
    assert truth_ms > BLOCK_MS * 0.8, "the injection had no effect"
    # who blocks has to have a CPU, too: what it lacked is told as that
    stood_ms = float(rows[rows["span_name"].str.startswith("loop busy")]["amount_ns"].sum()) / MS
    assert stood_ms == pytest.approx(truth_ms, rel=0.05)
    assert amount_ms(rows, "loop_busy") >= 0.5 * truth_ms
    assert victim_wall_ms > BLOCK_MS * 0.9
    chief = busy.loc[busy["amount_ns"].idxmax()]
    assert chief["culprit"] == "hold_the_loop"
    assert str(chief["culprit_file"]).endswith("tests/truth/app.py")
    source = Path(str(chief["culprit_file"])).read_text().splitlines()
    assert "time.sleep(seconds)" in source[int(chief["culprit_line"]) - 1]
    assert chief["culprit_trace_id"] == blocker["trace_id"]


def test_the_blocker_does_not_accuse_itself(found: Analysis) -> None:
    rows = rows_of(found, "GET /blocker")
    assert amount_ms(rows, "loop_busy") < 0.05 * BLOCK_MS
    assert amount_ms(rows, "blocking_io") == pytest.approx(BLOCK_MS, rel=0.05)


def test_a_sleep_is_awaited_time(found: Analysis) -> None:
    rows = rows_of(found, "GET /sleep")
    assert amount_ms(rows, "await_io") == pytest.approx(50, rel=0.05)


def test_who_is_off_the_critical_path_is_charged_nothing(found: Analysis) -> None:
    rows = rows_of(found, "GET /off_path")
    assert amount_ms(rows, "await_io") == pytest.approx(100, rel=0.05)
    tasks = found.spans[
        (found.spans["trace_id"] == rows["trace_id"].iloc[0]) & (found.spans["name"] == "task long_wait")
    ]
    short = tasks.loc[(tasks["end_ns"] - tasks["start_ns"]).idxmin()]
    assert rows.loc[rows["activity_id"] == short["span_id"], "amount_ns"].sum() == 0


def test_a_thread_that_collects_waits_for_its_jobs(found: Analysis) -> None:
    rows = rows_of(found, "GET /threaded")
    truth_ms, rounds = queued_ms(seen["threaded"])
    assert rounds >= 1  # 8 jobs, 4 workers
    assert amount_ms(rows, "pool_queue") == pytest.approx(truth_ms, rel=0.05, abs=2.0), (
        seen["threaded"],
        rows.groupby("cause")["amount_ns"].sum().to_dict(),
    )


def test_a_clean_idle_service_accuses_nobody(found: Analysis) -> None:
    if os.getloadavg()[0] > 2 * (os.cpu_count() or 1):
        disturbed("no service is at rest here: others hold the CPUs")
    idle = found.requests[found.requests["endpoint"] == "GET /idle"]
    causes = found.causes[found.causes["trace_id"].isin(idle["trace_id"])]
    # a loop that sleeps has to wake up before there is a handler: what the endpoint measures begins there
    handlers = found.spans[found.spans["span_kind"] == "server"].set_index("trace_id")["start_ns"]
    causes = causes[causes["start_ns"] >= causes["trace_id"].map(handlers)]
    per_request = causes.pivot_table(index="trace_id", columns="cause", values="amount_ns", aggfunc="sum").fillna(0)
    nobody = {"compute", "unexplained", "gc_pause"}
    # the service is at rest, its machine may not be: a thread that wakes may stand in line where another CPU is free
    lacked_ns = seen["idle queued"]
    assert per_request.get("cpu_wait", pd.Series(dtype=float)).sum() <= lacked_ns + 0.02 * MS * IDLE_REQUESTS
    if lacked_ns >= 0.02 * MS * IDLE_REQUESTS:
        nobody.add("cpu_wait")
    accusing = [name for name in per_request if name not in nobody]
    # at the median not one cause that points at somebody reaches a tenth of a millisecond
    assert (per_request[accusing].median() < 0.1 * MS).all(), per_request.median()
    only_idle = Analysis(idle, causes, found.culprits.iloc[:0], found.spans, ())
    for verdict in analysis.verdict(only_idle):
        assert {str(reason.cause) for reason in verdict.judgement.reasons} <= nobody, verdict


def test_conservation_recomputed(found: Analysis) -> None:
    """Apart from the code that attributes: each request's rows tile its SERVER span to the nanosecond."""
    for request in found.requests.itertuples():
        rows = found.causes[found.causes["request_id"] == request.request_id].sort_values("start_ns")
        edges = list(zip(rows["start_ns"], rows["end_ns"], strict=True))
        assert edges[0][0] == request.start_ns
        assert edges[-1][1] == request.end_ns
        assert all(left[1] == right[0] for left, right in pairwise(edges))
        assert all(begin < end for begin, end in edges)
        assert int(rows["amount_ns"].sum()) == request.end_ns - request.start_ns == request.wall_ns
