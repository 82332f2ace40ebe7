"""Who is named for requests that waited for a CPU, in drawn requests whose rivals are known."""

from typing import Any

import pandas as pd
import pytest

from tests.analysis.drawing import drawn, shown
from whywait.analysis.attribution.cpu_rivals import NOT_TOLD
from whywait.analysis.causes import INFO, Cause
from whywait.analysis.model import Analysis
from whywait.analysis.pipeline import analyze
from whywait.analysis.situations.situation import Situation
from whywait.analysis.verdicts.judgement import Reason, judge
from whywait.analysis.verdicts.not_observed import not_observed
from whywait.analysis.verdicts.remedies import REMEDIES
from whywait.analysis.verdicts.sentences import verdict
from whywait.tracer import schema as s

MS = 1_000_000
PICTURE = """
    server GET        |------------------------------|
    task   root GET   |------------------------------|   cpu=2
    wait   w    root   |-------------------------|       type=await waker=job
    job    job  root   |-------------------------|
    run    run  job    |-------------------------|       cpu=6 rq=20
"""


Listed = tuple[str, str, int, int]  # kind, name, process id, ms
CRUNCH: Listed = (s.RIVAL_PROCESS, "process crunch", 77, 20)


def rivals(*listed: Listed, wanted: int = 0, native: int = 0, quota: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    found: dict[str, Any] = {s.CPU_COUNT: 2}
    if wanted:
        found |= {s.CPU_WANTED: wanted, s.CPU_WANTED_NATIVE: native}
    if quota[1]:
        found |= {s.CPU_QUOTA_NS: quota[0] * MS, s.CPU_PERIOD_NS: quota[1] * MS}
    if listed:
        found |= {s.RIVAL_KINDS: [one[0] for one in listed], s.RIVAL_NAMES: [one[1] for one in listed]}
        found |= {s.RIVAL_NS: [one[3] * MS for one in listed]}
    if any(one[2] for one in listed):
        found |= {s.RIVAL_NUMBERS: [one[2] for one in listed]}
    return found


def analysed(attributes: dict[str, Any], picture: str = PICTURE, of: str = "run") -> Analysis:
    return analyze(drawn(picture, {of: attributes}))


def waits(found: Analysis) -> pd.DataFrame:
    return found.causes[found.causes["cause"] == Cause.CPU_WAIT]


def by_culprit(found: Analysis) -> dict[str, float]:
    own = found.culprits[found.culprits["cause"] == Cause.CPU_WAIT]
    return dict(zip(own["culprit"], own["ns"] / MS, strict=True))


def reason(found: Analysis) -> Reason:
    (only,) = judge(found)
    return next(one for one in only.reasons if one.cause is Cause.CPU_WAIT)


def sentence(found: Analysis) -> str:
    (only,) = verdict(found)
    return next(said for said in only.reasons if said.startswith("CPU wait"))


def test_another_process() -> None:
    found = analysed(rivals((*CRUNCH[:3], 17), ("thread", "rank", 0, 2), (s.RIVAL_PROCESS, "other processes", 0, 1)))
    assert waits(found)["amount_ns"].sum() == 20 * MS
    assert waits(found)["culprit"].unique().tolist() == ["process crunch"]
    assert by_culprit(found) == {"process crunch": 17, "rank": 2, "other processes": 1}
    assert set(waits(found)["detail"]) == {"waiting for a CPU: another process used it"}
    said = sentence(found)
    assert "90% of it other processes used the CPUs, chiefly process crunch (process id 77)" in said
    assert "10% of it other threads of its own used the CPUs, chiefly rank" in said
    assert reason(found).remedy.text.startswith("Move process crunch off these CPUs")


@pytest.mark.parametrize(
    "ran",
    [{s.CODE_FUNCTION: "score", s.CODE_FILE: "/srv/app.py", s.CODE_LINE: 7},
     {s.BLOCKER_FUNCTION: "score", s.BLOCKER_FILE: "/srv/app.py", s.BLOCKER_LINE: 7}],
    ids=["its own", "what the loop ran"],
)  # fmt: skip
def test_the_function_that_needed_the_cpu_is_told(ran: dict[str, Any]) -> None:
    found = analysed(rivals(CRUNCH) | ran)
    assert set(waits(found)["detail"]) == {"waiting for a CPU in score (srv/app.py:7): another process used it"}
    assert "used the CPUs that score (srv/app.py:7) needed, chiefly process crunch (process id 77)" in sentence(found)


def test_processes_of_one_name_are_one_culprit() -> None:
    found = analysed(rivals(("process", "process gunicorn", 7, 12), ("process", "process gunicorn", 8, 8)))
    assert waits(found)["culprit"].unique().tolist() == ["process gunicorn"]
    assert "chiefly process gunicorn (2 of that name)" in sentence(found)
    found = analysed(rivals(("process", "process gunicorn", -5, 20)))  # as the sampler tells those of many
    assert "chiefly process gunicorn (5 of that name)" in sentence(found)


def test_of_two_that_used_the_cpus_for_nearly_as_long_both_remedies_are_told() -> None:
    for ms, both in ((8, True), (3, False)):
        found = analysed(rivals((*CRUNCH[:3], 20 - ms), ("thread", "rank", 0, ms)))
        assert reason(found).remedy.text.startswith("Move process crunch off these CPUs")
        assert ("Run fewer threads at once" in reason(found).remedy.text) is both


def test_workers_of_the_same_service() -> None:
    found = analysed(rivals(*(("sibling", "sibling process gunicorn", number, ms) for number, ms in ((7, 12), (8, 8)))))
    assert by_culprit_sum(found) == {"sibling process gunicorn": 20}
    assert "processes of its own service used the CPUs" in sentence(found)
    assert reason(found).remedy.text == REMEDIES[Cause.CPU_WAIT, Situation.CPU_SIBLING_PROCESSES]


def test_native_threads_that_are_too_many() -> None:
    listed = (("native", "native threads of libgomp (OpenMP)", 0, 11), ("thread", "predict", 0, 9))
    found = analysed(rivals(*listed, wanted=8_000, native=4_000))
    assert reason(found).remedy.key == f"{Cause.CPU_WAIT}/{Situation.CPU_NATIVE_THREADS}"
    assert "OMP_NUM_THREADS=1" in reason(found).remedy.text
    (only,) = verdict(found)
    assert any("8.0 threads of this process were runnable at once" in one for one in only.situations)


def test_python_threads_that_are_too_many_are_no_native_ones() -> None:
    found = analysed(rivals(("thread", "predict", 0, 20), wanted=8_000))
    assert reason(found).remedy.text == REMEDIES[Cause.CPU_WAIT, Situation.CPU_OWN_THREADS]
    (only,) = verdict(found)
    assert not any("Oversubscribed" in one for one in only.situations)


def test_a_quota() -> None:
    found = analysed(rivals((s.RIVAL_QUOTA, "the CPU quota of 0.5 CPUs", 0, 16), quota=(50, 100)))
    assert by_culprit(found) == {"the CPU quota of 0.5 CPUs": 16}
    assert waits(found)["culprit_ns"].sum() == 16 * MS
    assert "80% of it the CPU quota of 0.5 CPUs had run out" in sentence(found)
    assert reason(found).remedy.text == REMEDIES[Cause.CPU_WAIT, Situation.CPU_QUOTA]


def test_threads_are_too_many_for_a_quota_too() -> None:
    listed = ((s.RIVAL_QUOTA, "the CPU quota of 0.5 CPUs", 0, 16), ("native", "native threads", 0, 4))
    found = analysed(rivals(*listed, wanted=1_800, native=1_200, quota=(50, 100)))
    (only,) = verdict(found)
    assert any("it may use 0.5" in one for one in only.situations)


@pytest.mark.parametrize("attributes", [{}, rivals(), rivals(wanted=1_500)])
def test_who_is_not_known_is_not_named(attributes: dict[str, Any]) -> None:
    found = analysed(attributes)
    assert by_culprit(found) == {}
    assert set(waits(found)["detail"]) == {NOT_TOLD}
    assert reason(found).remedy.text == INFO[Cause.CPU_WAIT].remedy
    assert sentence(found) == "CPU wait 20.0 ms (65%)."


def test_a_rival_of_another_request_is_named_with_its_place_and_trace() -> None:
    listed = rivals(("thread", "rank", 0, 20))
    found = analysed(
        listed | {s.RIVAL_FILES: ["rank.py"], s.RIVAL_LINES: [7], s.RIVAL_TRACE_IDS: ["b" * 32], s.RIVAL_SPAN_IDS: ["c" * 16]}
    )  # fmt: skip
    (row,) = found.culprits[found.culprits["cause"] == Cause.CPU_WAIT].itertuples()
    assert (row.culprit, row.culprit_file, row.culprit_line) == ("rank", "rank.py", 7)
    assert (row.culprit_trace_id, row.culprit_span_id) == ("b" * 32, "c" * 16)


def test_odd_values_name_nobody() -> None:
    odd = rivals() | {s.RIVAL_KINDS: ["process"], s.RIVAL_NAMES: "crunch", s.RIVAL_NS: [9 * MS]}
    assert by_culprit(analysed(odd)) == {}
    odd = rivals(CRUNCH, CRUNCH) | {s.RIVAL_NAMES: ["crunch", ["x"]], s.RIVAL_KINDS: [["x"], "?"], s.RIVAL_NS: [-1, MS]}
    assert by_culprit(analysed(odd)) == {"['x']": 1}


def test_a_phase_and_the_run_around_it_have_each_their_own_rivals() -> None:
    picture = PICTURE.replace("cpu=6", "cpu=3") + "    phase  step job         |------------|              cpu=2 rq=8\n"
    inner = rivals((s.RIVAL_QUOTA, "the CPU quota of 0.5 CPUs", 0, 8), quota=(1, 2))
    outer = rivals(CRUNCH)
    found = analyze(drawn(picture, {"run": outer, "step": inner}))
    assert by_culprit_sum(found) == {"process crunch": 12, "the CPU quota of 0.5 CPUs": 8}


def by_culprit_sum(found: Analysis) -> dict[str, float]:
    own = found.culprits[found.culprits["cause"] == Cause.CPU_WAIT]
    return {str(name): ns / MS for name, ns in own.groupby("culprit")["ns"].sum().items()}


def test_a_wait_of_somebody_ready_names_them_too() -> None:
    picture = """
    server GET        |------------------------------|
    task   root GET   |------------------------------|   cpu=8
    wait   w    root   |--------------------|            type=resume rq=20
    """
    found = analysed(rivals(CRUNCH), picture, of="w")
    assert [row for row in shown(found.causes) if row[2] == "cpu_wait"] == [(1, 21, "cpu_wait", "w")]
    assert waits(found)["culprit"].tolist() == ["process crunch"]


def test_what_a_machine_does_not_show_is_said() -> None:
    requests = pd.DataFrame({"signals": [(s.SIGNAL_RUN_QUEUE,)]})
    assert any("what used the CPUs" in one.text for one in not_observed(requests))
    requests = pd.DataFrame({"signals": [(s.SIGNAL_RUN_QUEUE, s.SIGNAL_CPU_RIVALS)]})
    assert not any("what used the CPUs" in one.text for one in not_observed(requests))


def test_what_the_tracer_itself_took_is_told_and_is_no_reason() -> None:
    ours = ("thread", s.OWN_WORK, 0, 19)
    (told,) = verdict(analysed(rivals(ours, ("thread", "rank", 0, 1))))
    assert Cause.CPU_WAIT not in [one.cause for one in told.judgement.reasons]
    assert "whywait itself took 19.0 ms of each request (61%)" in " ".join(told.situations)
    beside = reason(analysed(rivals(("thread", s.OWN_WORK, 0, 5), ("thread", "rank", 0, 15))))
    assert beside.culprit == "rank"
