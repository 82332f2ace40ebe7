"""Why a request waited for a CPU, against the truth: another process, threads of its own, a quota, or nobody."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testbed.disturbed import disturbed
from testbed.service import ROOT
from tests.kernel import GROUPS
from whywait.analysis.causes import Cause
from whywait.analysis.model import Analysis
from whywait.analysis.pipeline import analyze
from whywait.analysis.situations.situation import Situation
from whywait.analysis.verdicts.remedies import REMEDIES
from whywait.analysis.verdicts.sentences import Verdict, verdict
from whywait.tracer import schema

OWN = (schema.RIVAL_THREAD, schema.RIVAL_NATIVE)

pytestmark = pytest.mark.skipif(
    not Path("/proc/thread-self/schedstat").exists(), reason="no run-queue time on this machine"
)


@dataclass(frozen=True)
class Seen:
    """One run: what is true, and what was told of it."""

    truth: dict[str, float]
    analysis: Analysis

    @property
    def verdict(self) -> Verdict:
        (only,) = verdict(self.analysis)
        return only

    @property
    def waited_ms(self) -> float:
        causes = self.analysis.causes
        return float(causes.loc[causes["cause"] == Cause.CPU_WAIT, "amount_ns"].sum()) / 1e6

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [
            one for one in self.analysis.spans["attributes"] if one.get(schema.KIND) == schema.KIND_RUN
        ]
        assert found
        return found

    def ms(self, key: str) -> float:
        return sum(one.get(key, 0) for one in self.runs()) / 1e6

    def used_ms(self, *kinds: str) -> float:
        """By users of the CPUs of these kinds, while the runs waited for a CPU."""
        rows = (zip(one.get(schema.RIVAL_KINDS, ()), one.get(schema.RIVAL_NS, ()), strict=True) for one in self.runs())
        return sum(ns for of_run in rows for kind, ns in of_run if kind in kinds) / 1e6

    def by_culprit(self) -> dict[str, float]:
        culprits = self.analysis.culprits
        own = culprits[culprits["cause"] == Cause.CPU_WAIT]
        return {str(name): ns / 1e6 for name, ns in own.groupby("culprit")["ns"].sum().items()}

    def reason(self) -> Any:
        return next((one for one in self.verdict.judgement.reasons if one.cause is Cause.CPU_WAIT), None)


def run(mode: str, folder: Path) -> Seen:
    output = folder / f"{mode}.jsonl"
    ran = subprocess.run(
        [sys.executable, "-m", "tests.truth.cpu_rivals", mode, str(output)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    seen = Seen(json.loads(ran.stdout), analyze(output))
    for one in seen.analysis.spans["attributes"]:
        if schema.RIVAL_NS in one:
            assert sum(one[schema.RIVAL_NS]) <= one[schema.RUN_QUEUE_NS]
            assert min(one[schema.RIVAL_NS]) > 0
    return seen


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a CPU for a bystander")
def test_another_process_on_the_same_cpu_is_named_and_a_bystander_is_not(tmp_path: Path) -> None:
    seen = run("neighbour", tmp_path)
    waited = seen.truth["run_queue_ms"]
    assert waited > 100
    assert seen.waited_ms == pytest.approx(waited, rel=0.2)
    told = seen.by_culprit()
    # others have their turn on that CPU too: all that this process did not use of it was used by somebody
    truth = waited * seen.truth["crunch_ms"] / seen.truth["others_ms"]
    assert told["process crunch"] == pytest.approx(truth, rel=0.25)
    assert "process bystander" not in told
    assert seen.used_ms(schema.RIVAL_QUOTA) == 0
    if seen.truth["crunch_ms"] < 0.6 * seen.truth["others_ms"]:
        return  # who was chief, on a machine as busy as this?
    assert max(told, key=lambda name: told[name]) == "process crunch"
    assert "process crunch (2 of that name)" in seen.verdict.text
    assert "process crunch" in seen.reason().remedy.text


def test_too_many_native_threads_are_told_as_ones_own(tmp_path: Path) -> None:
    pytest.importorskip("xgboost")
    seen = run("native", tmp_path)
    own_ms, busy_ms = seen.truth["own_ms"], seen.truth["busy_ms"]
    if seen.truth["run_queue_ms"] < 100:
        disturbed("there were CPUs enough for all of them")
    assert seen.used_ms(*OWN) >= 0.6 * own_ms / busy_ms * seen.ms(schema.RUN_QUEUE_NS)
    names = {name for one in seen.runs() for name in one.get(schema.RIVAL_NAMES, ())}
    assert "native threads of libgomp (OpenMP)" in names
    if own_ms < 0.6 * busy_ms:
        disturbed(f"this process had {own_ms:.0f} of {busy_ms:.0f} ms: others are rivals as well")
    assert seen.reason().remedy.key == f"{Cause.CPU_WAIT}/{Situation.CPU_NATIVE_THREADS}"
    assert "Oversubscribed native threads" in seen.verdict.text


@pytest.mark.skipif(not os.access(GROUPS, os.W_OK), reason="no control groups of version 1 to write to here")
def test_a_quota_is_told_with_its_size(tmp_path: Path) -> None:
    seen = run("quota", tmp_path)
    assert seen.truth["throttled_ms"] > 300  # the kernel's word, of all CPUs together
    waited = seen.truth["run_queue_ms"]  # by the one thread that works: there was little else to wait for
    assert 0.6 * waited <= seen.used_ms(schema.RIVAL_QUOTA) <= 1.05 * waited
    told = seen.by_culprit()
    assert max(told, key=lambda name: told[name]) == "the CPU quota of 0.3 CPUs"
    assert "the CPU quota of 0.3 CPUs had run out" in seen.verdict.text
    assert seen.reason().remedy.text == REMEDIES[Cause.CPU_WAIT, Situation.CPU_QUOTA]


def test_alone_nobody_is_blamed(tmp_path: Path) -> None:
    seen = run("alone", tmp_path)
    assert seen.used_ms(schema.RIVAL_QUOTA) == 0
    others_ms = seen.truth["busy_ms"] - seen.truth["own_ms"]
    if others_ms > 0.05 * seen.truth["own_ms"]:
        disturbed(f"not alone here: others had a CPU for {others_ms:.0f} ms")
    wall_ms = float(seen.analysis.requests["wall_ns"].sum()) / 1e6
    waited = seen.ms(schema.RUN_QUEUE_NS)
    assert seen.used_ms(*OWN) <= max(0.3 * waited, 5)
    if seen.truth["run_queue_ms"] >= 0.05 * wall_ms:
        disturbed(f"not alone here: {seen.truth['run_queue_ms']:.0f} of {wall_ms:.0f} ms without a CPU")
    assert seen.reason() is None
    assert "CPU" not in " ".join(seen.verdict.situations)
