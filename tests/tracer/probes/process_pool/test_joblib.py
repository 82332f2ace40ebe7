"""joblib's `Parallel` looks for its jobs again and again, which run in loky's processes or in threads: who waits for it is
told of the jobs, and of its pauses only what is left of the last one."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.tracer.conftest import Traced
from tests.tracer.probes.process_pool.process_work import spin
from whywait import analysis, phase

joblib = pytest.importorskip("joblib")
Begin = Callable[..., Traced]
NAP_S, PAUSE_S = 0.1, 0.01


def nap(seconds: float) -> tuple[int, int]:
    began_ns = time.perf_counter_ns()
    time.sleep(seconds)
    return began_ns, time.perf_counter_ns()


def causes_of(spans: Traced) -> dict[str, float]:
    rows = analysis.analyze(spans.output).causes
    rows = rows[rows["trace_id"] == spans.one("root").trace_id]
    return {str(cause): float(ns) / 1e9 for cause, ns in rows.groupby("cause")["amount_ns"].sum().items()}


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_who_waits_is_told_of_the_jobs(traced_to: Begin, backend: str) -> None:
    spans = traced_to()
    with joblib.Parallel(2, backend=backend, batch_size=1, pre_dispatch="all") as parallel:
        parallel(joblib.delayed(nap)(0.01) for _ in range(4))
        with phase("root"):
            asked_ns = time.perf_counter_ns()
            naps = parallel(joblib.delayed(nap)(NAP_S) for _ in range(4))
            took_s = (time.perf_counter_ns() - asked_ns) / 1e9
    spans.stop()
    assert [one.name for one in spans.of_kind("job")] == ["job nap"] * 4
    told = causes_of(spans)
    last_ns = max(ended_ns for _, ended_ns in naps)
    turn_s = (max(began_ns for began_ns, _ in naps) - asked_ns) / 1e9  # of those that came later
    assert told["pool_queue"] == pytest.approx(turn_s, rel=0.15, abs=2 * PAUSE_S)
    after_s = took_s - (last_ns - asked_ns) / 1e9  # the rest of its last pause
    assert told["blocking_io"] == pytest.approx(NAP_S, rel=0.15, abs=after_s + 2 * PAUSE_S)
    assert told["unexplained"] < 0.15 * NAP_S


def test_what_loky_s_workers_compute_is_computing_there(traced_to: Begin) -> None:
    spans = traced_to()
    with joblib.Parallel(2, backend="loky", batch_size=1) as parallel:
        parallel(joblib.delayed(nap)(0.01) for _ in range(4))
        with phase("root"):
            used_ms: list[Any] = parallel([joblib.delayed(spin)(NAP_S)])
    spans.stop()
    run = spans.one("spin")
    assert run["process"] is True
    assert run["cpu_ns"] / 1e6 == pytest.approx(used_ms[0], rel=0.15)
    assert causes_of(spans)["compute"] * 1e3 == pytest.approx(used_ms[0], rel=0.15)
