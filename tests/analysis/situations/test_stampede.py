"""Drawn stampedes, on a lock and without one; beside each the queue or the mix that looks alike and is none."""

import pytest

from tests.analysis.drawing import drawn, trace_id
from whywait.analysis.pipeline import analyze
from whywait.analysis.situations.situation import Situation
from whywait.analysis.verdicts.sentences import Verdict, verdict
from whywait.tracer import schema

LOCK = {
    schema.FOR_MODULE: "asyncio.locks",
    schema.CODE_FUNCTION: "get",
    schema.CODE_FILE: "/srv/cache.py",
    schema.CODE_LINE: 5,
}
LOAD = {schema.CODE_FUNCTION: "load", schema.CODE_FILE: "/srv/cache.py", schema.CODE_LINE: 9}


def bar(words: str, begin: int, end: int, more: str = "") -> str:
    return f"{words:<24}{' ' * begin}|{'-' * (end - begin - 1)}| {more}\n"


def of_requests(rows: list[tuple[int, int, str]], place: dict[str, object], more: str = "") -> Verdict:
    """Return the verdict on requests that begin, end, and wait meanwhile as is said; one without words is quick."""
    picture = "".join(
        bar(f"server GET{n}", begin, end, f"trace={chr(97 + n)}")
        + bar(f"task root{n}", begin, end, f"trace={chr(97 + n)}")
        + (bar(f"wait w{n} root{n}", begin, end - 1, f"trace={chr(97 + n)} {words}") if words else "")
        for n, (begin, end, words) in enumerate(rows)
    )
    spans = drawn(picture + more, {f"w{n}": place for n, row in enumerate(rows) if row[2]})
    spans["name"] = spans["name"].str.replace(r"^GET\d+$", "GET", regex=True)
    return next(one for one in verdict(analyze(spans)) if one.endpoint == "GET")


def kinds(found: Verdict) -> list[Situation]:
    return [one.kind for one in found.judgement.situations]


QUICK = [(100 + 3 * n, 102 + 3 * n, "") for n in range(8)]
FOR_LOCK = "for=Lock.acquire waker=io"


def test_many_that_wait_for_one_lock_and_go_on_together() -> None:
    found = of_requests([(2 * n, 60, FOR_LOCK) for n in range(6)] + QUICK, LOCK)
    assert found.judgement.reasons[0].remedy.key == "limiter_wait/stampede"
    assert (
        "up to 6 requests at once waited for the same thing (awaiting Lock.acquire in get (srv/cache.py:5))"
        in found.text
    )
    assert "8 of 14 did not have to" in found.text


@pytest.mark.parametrize("ends", [[60, 70, 80, 90, 95, 99], [30, 31, 60]], ids=["one after another", "few"])
def test_a_queue_for_a_lock_is_no_stampede(ends: list[int]) -> None:
    found = of_requests([(2 * n, end, FOR_LOCK) for n, end in enumerate(ends)] + QUICK, LOCK)
    assert Situation.STAMPEDE not in kinds(found)


@pytest.mark.parametrize("endpoint", ["GET", "POST"])
def test_a_lock_that_a_request_of_another_kind_has_is_no_stampede(endpoint: str) -> None:
    """It does not do there what the others came for."""
    waits = [(2 * n, 60, FOR_LOCK) for n in range(6)]
    picture = bar("server GET9", 0, 59, "trace=z") + bar("task root9", 0, 59, "trace=z")
    found = of_requests(waits + QUICK, LOCK | {schema.BLOCKER_FUNCTION: "charge", schema.BLOCKER_NS: 50_000_000,
                        schema.BLOCKER_TRACE_ID: trace_id("z")}, picture.replace("GET", endpoint))  # fmt: skip
    assert (Situation.STAMPEDE in kinds(found)) == (endpoint == "GET")


@pytest.mark.parametrize("holder", ["", trace_id("x")], ids=["a thread of no request", "another request"])
def test_a_lock_that_no_request_has_is_no_stampede(holder: str) -> None:
    at = {schema.BLOCKER_FUNCTION: "refresh", schema.BLOCKER_NS: 50_000_000, schema.BLOCKER_TRACE_ID: holder}
    lock = {**LOCK, **{key: value for key, value in at.items() if value}}
    lock |= {schema.BLOCKER_SPAN_ID: f"{9:016x}"} if holder else {}
    found = of_requests([(2 * n, 60, FOR_LOCK) for n in range(6)] + QUICK, lock)
    assert (Situation.STAMPEDE in kinds(found)) == bool(holder)
    assert found.judgement.reasons[0].culprit == "refresh"


def test_many_that_do_the_same_work_at_once() -> None:
    crowd = [(2 * n + 2, 42 + 2 * n, "for=sleep waker=timer") for n in range(6)]
    found = of_requests([(0, 1, ""), *crowd, *QUICK], LOAD)
    assert found.judgement.reasons[0].remedy.key == "await_io/stampede_work"
    assert (
        "up to 6 requests at once were in load (srv/cache.py:9), each for itself; 9 of 15 did not have to" in found.text
    )


def test_what_only_the_first_do_is_done_at_start_up() -> None:
    """As each thread its log-in: nothing has expired."""
    found = of_requests([(2 * n, 40 + 2 * n, "for=sleep waker=timer") for n in range(6)] + QUICK, LOAD)
    assert found.judgement.reasons[0].remedy.key == "await_io/cold_start"
    assert "Cold start: the first 6 requests took 40.0 ms on average, those after 2.0 ms" in found.text
    assert found.remedy == "Do it at start-up, before the first request: load (srv/cache.py:9)."


@pytest.mark.parametrize(("apart", "quick"), [(50, QUICK), (2, [(3 * n, 3 * n + 2, "") for n in range(8)])],
                         ids=["one at a time", "only some of those of that moment"])  # fmt: skip
def test_work_that_some_requests_need_is_no_stampede(apart: int, quick: list[tuple[int, int, str]]) -> None:
    found = of_requests([(apart * n, 40 + apart * n, "for=sleep waker=timer") for n in range(6)] + quick, LOAD)
    assert Situation.STAMPEDE_WORK not in kinds(found)


def test_what_a_task_of_no_request_does_for_many_is_no_stampede() -> None:
    """A consumer that does one thing after another, for as many as wait."""
    crowd = [(2 * n + 2, 42 + 2 * n, "for=sleep waker=timer") for n in range(6)]
    found = of_requests([(0, 1, ""), *crowd, *QUICK], {**LOAD, schema.FOR_TASK: "shipper"})
    assert Situation.STAMPEDE_WORK not in kinds(found)


def test_what_a_job_of_no_request_does_for_all_is_no_stampede() -> None:
    job = {schema.WAKER_KIND: schema.WAKER_JOB, schema.WAKER_NAME: "load", schema.CPU_NS: 0}
    at = {schema.BLOCKER_FUNCTION: "load", schema.BLOCKER_FILE: "/srv/cache.py", schema.BLOCKER_LINE: 9}
    found = of_requests([(2 * n, 60, "type=await") for n in range(6)] + QUICK, {**LOAD, **job, **at})
    assert Situation.STAMPEDE_WORK not in kinds(found)
    (reason,) = found.judgement.reasons
    assert (reason.cause, reason.culprit, reason.remedy.key) == ("blocking_io", "load", "blocking_io/in_worker")
