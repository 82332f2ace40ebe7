"""A service of the story's shape under 16 clients: the report says unaided what the story's author never learned."""

import json
import statistics
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.disturbed import disturbed
from testbed.machine import others_since_now
from testbed.service import get, traced_service
from whywait import analysis
from whywait.analysis.capacity.demand import Resource
from whywait.analysis.capacity.utilization import capacity
from whywait.analysis.model import Analysis
from whywait.analysis.situations.situation import Situation

CLIENTS, SECONDS = 16, 4.0
OTHERS = 0.2  # of a CPU, used by programs that no test started
ENDPOINT = "POST /predict/{way}"
TARGETS = ("predict_cpu", "predict_memory")
MS = 1e6


@dataclass(frozen=True)
class Run:
    traces: Path
    p50_ms: float
    per_s: float
    times: float  # what a timer around one predict read, of what it computed


def post(url: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60) as answer:
        answer.read()


def run(traces: Path, way: str, **environment: str) -> Run:
    """Drives the service by clients that wait for their answers, after some requests with fewer pods."""
    felt: list[float] = []
    with traced_service(
        traces, app="tests.truth.cold_app:app", environment={"WHYWAIT_KEEP": "all", **environment}
    ) as url:
        for rows in (1, 2, 3, 5, 7) * 12:
            post(f"{url}/few/{rows}")
        warm, others, end = len(json.loads(get(f"{url}/took"))), others_since_now(), time.perf_counter() + SECONDS

        def client() -> None:
            while (began := time.perf_counter()) < end:
                post(f"{url}/predict/{way}")
                felt.append(time.perf_counter() - began)

        clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
        began = time.perf_counter()
        for one in clients:
            one.start()
        for one in clients:
            one.join()
        per_s, used = len(felt) / (time.perf_counter() - began), others()
        took = json.loads(get(f"{url}/took"))[warm:]
    if used > OTHERS:
        disturbed(f"other programs used {used:.2f} of a CPU")
    times = sum(wall for wall, _ in took) / sum(cpu for _, cpu in took) if took else 0.0
    return Run(traces, statistics.median(felt) * 1e3, per_s, times)


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("cold"), "shared_pool")


@pytest.fixture(scope="module")
def found(cold: Run) -> Analysis:
    return analysis.only_endpoint(analysis.analyze(cold.traces), ENDPOINT)


def test_the_interpreter_is_saturated(cold: Run, found: Analysis) -> None:
    (process,) = capacity(found)
    assert process.limit is not None
    assert process.limit.resource in (Resource.GIL, Resource.CPU)
    assert process.served_per_s == pytest.approx(cold.per_s, rel=0.1)


def test_a_timer_around_predict_reads_as_many_times_too_much_as_the_services_own(cold: Run, found: Analysis) -> None:
    (said,) = analysis.verdict(found)
    (timer,) = [one for one in said.judgement.situations if one.kind is Situation.TIMERS]
    assert timer.numbers["function"] in TARGETS
    assert timer.numbers["read_ns"] / timer.numbers["own_ns"] == pytest.approx(cold.times, rel=0.2)
    waited = timer.numbers["gil_ns"] + timer.numbers["run_queue_ns"]
    assert waited > 0.7 * (timer.numbers["read_ns"] - timer.numbers["own_ns"])
    assert "asyncio is not the cause" in said.text


def test_one_call_for_all_pods_brings_what_was_predicted(cold: Run, found: Analysis, tmp_path: Path) -> None:
    predicted = analysis.whatif(found, batch=TARGETS)
    advised = analysis.whatif(found, batch=TARGETS, p95_under_ns=2 * predicted.p95.high)
    assert advised.batching is not None
    assert advised.batching.keeps
    batch = run(tmp_path, "batch")
    assert predicted.throughput.low <= batch.per_s <= predicted.throughput.high
    assert predicted.p50.low / MS <= batch.p50_ms <= predicted.p50.high / MS


def test_a_larger_pool_a_shorter_switch_interval_and_no_logging_bring_nothing(cold: Run, tmp_path: Path) -> None:
    other = run(tmp_path, "shared_pool", COLD_POOL="12", COLD_SWITCH_S="0.0002", COLD_LOG="0")
    assert other.per_s < 1.2 * cold.per_s
