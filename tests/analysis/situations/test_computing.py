"""Computing has a name: which function, on the loop or on a worker, how often, and whom it stopped."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.analysis.drawing import UNIT_NS, drawn, trace_id
from whywait import analysis
from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Situation
from whywait.analysis.verdicts.sentences import Verdict, verdict
from whywait.tracer import schema

SCORE = {schema.CODE_FUNCTION: "score", schema.CODE_FILE: "/app/rank.py", schema.CODE_LINE: 9}


def ran(*functions: tuple[str, int]) -> dict[str, Any]:
    """What samples show of a stretch: functions and units."""
    return {
        schema.RAN_NAMES: [name for name, _ in functions],
        schema.RAN_FILES: ["/app/rank.py" for _ in functions],
        schema.RAN_LINES: [9 + at for at in range(len(functions))],
        schema.RAN_NS: [units * UNIT_NS for _, units in functions],
    }


def computing_of(found: Verdict) -> list[SimpleNamespace]:
    kinds = (Situation.COMPUTES_ON_LOOP, Situation.COMPUTES_IN_WORKER)
    return [SimpleNamespace(kind=one.kind, **one.numbers) for one in found.judgement.situations if one.kind in kinds]


def told(
    picture: str, more: dict[str, dict[str, Any]], names: dict[str, str] | None = None
) -> tuple[Verdict, list[SimpleNamespace]]:
    (found,) = verdict(analysis.analyze(drawn(picture, more).replace({"name": names or {"job": "job rank"}})))
    return found, computing_of(found)


ON_LOOP = """
    server GET        |-----------------|
    task   root GET   |-----------------|   cpu=18
    block  b1   root   |-----|               cpu=6
    block  b2   root         |-------|       cpu=8
"""


@pytest.mark.parametrize(("package", "remedy"), [("yaml", "process pool"), ("multiprocessing", "ask once for all")])
def test_the_librarys_function_in_which_it_computes_is_told(package: str, remedy: str) -> None:
    call = {schema.FOR_CALL: "BaseProxy.load", schema.FOR_PACKAGE: package}
    found, (computes,) = told(ON_LOOP, {"b1": SCORE | call, "b2": SCORE | call})
    assert computes.inside == f"BaseProxy.load ({package})"
    assert f"score (app/rank.py:9) computes on the event loop, in BaseProxy.load ({package}): 14.0 ms" in found.text
    assert remedy in found.remedy


def test_what_asks_the_database_in_most_of_its_stretches_is_told_so_though_the_longest_does_not() -> None:
    asks = {schema.CALL_OF: "Template.render", schema.CALL_PACKAGE: "django"}
    names = dict.fromkeys(("b1", "b2", "b3"), f"{schema.BLOCK_SPAN_PREFIX}score")
    picture = """
        server GET        |------------------------|
        task   root GET   |------------------------|   cpu=20
        block  b1   root   |----|                      cpu=5
        block  b2   root         |------|              cpu=7
        block  b3   root                 |----|        cpu=5
    """
    some = {"b1": SCORE | asks, "b2": SCORE}
    assert "select_related" in told(picture, some | {"b3": SCORE | asks}, names)[0].remedy
    assert "select_related" not in told(picture, some | {"b3": SCORE}, names)[0].remedy


def test_what_makes_objects_of_rows_in_a_greenlet_is_told_by_the_blocks_name() -> None:
    """The library's frames are all that its stack has; the function is that which awaits."""
    names = dict.fromkeys(("b1", "b2"), f"{schema.BLOCK_SPAN_PREFIX}Session.execute")
    found, (computes,) = told(ON_LOOP, {"b1": SCORE, "b2": SCORE}, names)
    assert computes.inside == "Session.execute"
    assert "In score SQLAlchemy makes an object of each row" in found.remedy


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("AsyncSession.flush", "give the rows as dictionaries to one statement"),
        ("AsyncSession.scalars", "ask for fewer rows"),
    ],
)
def test_what_a_session_computes_is_less_without_objects_also_where_another_functions_block_is_longer(
    call: str, words: str
) -> None:
    own = SCORE | {schema.FOR_CALL: call, schema.FOR_PACKAGE: "sqlalchemy"} | ran(("score", 8))
    other = {**SCORE, schema.CODE_FUNCTION: "parse", schema.RAN_NAMES: ["parse", "score"], schema.RAN_FILES: ["/app/rank.py"] * 2,
             schema.RAN_LINES: [3, 9], schema.RAN_NS: [1 * UNIT_NS, 9 * UNIT_NS]}  # fmt: skip
    names = {"b1": f"{schema.BLOCK_SPAN_PREFIX}Session.{call}", "b2": f"{schema.BLOCK_SPAN_PREFIX}parse"}
    found, (computes, *_) = told(ON_LOOP, {"b1": own, "b2": other}, names)
    assert (computes.function, computes.inside) == ("score", f"{call} (sqlalchemy)")
    assert words in found.remedy


@pytest.mark.parametrize(
    ("package", "remedy"),
    [("pydantic", "neither checked nor converted"), ("strawberry", "That is not score's own code")],
)
def test_what_a_library_computes_for_the_function_outside_its_code_is_told_so(package: str, remedy: str) -> None:
    """As when an answer is validated: the function's own frame is gone, and it cannot be moved anywhere."""
    names = dict.fromkeys(("b1", "b2"), f"{schema.BLOCK_SPAN_PREFIX}TypeAdapter.validate_python")
    found, (computes,) = told(ON_LOOP, dict.fromkeys(("b1", "b2"), SCORE | {schema.FOR_PACKAGE: package}), names)
    assert computes.outside
    said = f"computes on the event loop, outside its own code, in TypeAdapter.validate_python ({package}): 14.0 ms"
    assert said in found.text
    assert remedy in found.remedy
    assert "process pool, or make it faster" not in found.remedy


@pytest.mark.parametrize("sampled", [False, True])
def test_stretches_that_no_sample_met_are_told_by_the_await_before_them(*, sampled: bool) -> None:
    """Short ones, in which a driver reads what it was sent, and the code goes through it."""
    picture = """
        server GET        |------------------------|
        task   root GET   |------------------------|   cpu=20
        wait   w    root   |--|                        type=await waker=io
        block  b1   root      |------------|           cpu=13
    """
    call = {schema.FOR_CALL: "Pipeline.execute", schema.FOR_PACKAGE: "redis"}
    at = {schema.CODE_FUNCTION: "features", schema.CODE_FILE: "/app/store.py", schema.CODE_LINE: 7}
    found, _ = told(picture, {"root": SCORE, "w": at | call, "b1": SCORE | (ran(("score", 13)) if sampled else {})})
    assert ("most of it after Pipeline.execute in features (app/store.py:7)" in found.text) is not sampled
    assert ("ask for less at once" in found.remedy) is not sampled


@pytest.mark.parametrize(("other", "alone_ms"), [("predict: Pipeline", 0), ("transform: Scaler", 4)])
def test_a_phase_that_no_sample_met_has_the_caller_of_the_others(other: str, alone_ms: int) -> None:
    """As of a model that is asked for one row at a time: some of its calls are met by a sample."""
    picture = """
        server GET        |--------------------|
        task   root GET   |--------------------|   cpu=1
        wait   w    root   |------------------|    type=await waker=job
        job    job  root   |------------------|
        run    run  job    |------------------|    cpu=18
        phase  p1   job     |---|                  cpu=4
        phase  p2   job          |---|             cpu=4
        phase  p3   job               |---|        cpu=4
    """
    names = {"p1": other, "p2": "predict: Pipeline", "p3": other, "job": "job table", "run": "table"}
    phase, run = {schema.PHASE: schema.PHASE_PREDICT}, SCORE | {schema.CODE_FUNCTION: "table"}
    more = {"run": run, "p1": phase | ran(("score", 4)), "p2": phase, "p3": phase | ran(("score", 4))}
    found = analysis.analyze(drawn(picture, more).replace({"name": names})).culprits
    ns = found[found["cause"] == Cause.COMPUTE].groupby("culprit")["ns"].sum()
    assert ns.get("predict: Pipeline", 0) == pytest.approx(alone_ms * UNIT_NS)
    assert ns["score"] == pytest.approx((12 - alone_ms) * UNIT_NS)


IN_A_TASK_OF_ITS_OWN = """
    server GET         |-----------------|
    task   root GET    |-----------------|   cpu=1
    wait   w    root    |--------------|     type=loop_busy
    task   sub  root    |---------------|    cpu=14
    block  b1   sub     |--------------|     cpu=14
"""


def test_what_a_task_of_its_own_computes_is_told_by_its_block() -> None:
    """As with Starlette's middlewares: the request's first task waits for the one in which the endpoint runs."""
    names = {"b1": f"{schema.BLOCK_SPAN_PREFIX}TypeAdapter.validate_python"}
    blocker = {
        schema.BLOCKER_FUNCTION: "score", schema.BLOCKER_FILE: "/app/rank.py", schema.BLOCKER_LINE: 9,
        schema.BLOCKER_TRACE_ID: trace_id("a"), schema.BLOCKER_SPAN_ID: f"{4:016x}",
    }  # fmt: skip
    more = {"w": blocker, "b1": SCORE | {schema.FOR_PACKAGE: "pydantic"}}
    found, (computes,) = told(IN_A_TASK_OF_ITS_OWN, more, names)
    assert computes.inside == "TypeAdapter.validate_python (pydantic)"
    assert "neither checked nor converted" in found.remedy


def test_the_function_that_computes_on_the_loop_is_the_answer() -> None:
    found, (computes,) = told(ON_LOOP, {"b1": SCORE, "b2": SCORE})
    first = found.judgement.reasons[0]
    assert (first.cause, first.culprit, first.culprit_file, first.culprit_line) == (
        Cause.COMPUTE, "score", "/app/rank.py", 9,
    )  # fmt: skip
    assert first.remedy.situation is Situation.COMPUTES_ON_LOOP
    assert "score" in found.remedy
    assert "process pool" in found.remedy
    assert (computes.kind, computes.per_request, computes.stopped) == (Situation.COMPUTES_ON_LOOP, 2, 0)
    assert computes.mean_ns == 14 * UNIT_NS
    assert "computes on the event loop: 14.0 ms per request, in 2 stretches." in found.text


@pytest.mark.parametrize(
    ("function", "others", "kept"),
    [("Catalogue.__init__", 0, True), ("Catalogue.__init__", 2, False), ("Catalogue.load", 0, False)],
)
def test_what_is_made_in_most_requests_could_be_kept(function: str, others: int, kept: bool) -> None:
    """Others do not make it: it is made once already, or for a few."""
    idle = "".join(
        f"""
    server GET{n}        |-----------------| trace={n}
    task   root{n} GET{n} |-----------------|   cpu=1 trace={n}
"""
        for n in "bc"[:others]
    )
    one = {**SCORE, schema.CODE_FUNCTION: function}
    found = analysis.analyze(
        drawn(ON_LOOP + idle, {"b1": one, "b2": one}).replace({"name": {"GETb": "GET", "GETc": "GET"}})
    )
    (whole,) = verdict(found)
    assert ("make it once, at start-up, and keep it" in whole.remedy) == kept


def test_whether_it_is_on_the_loop_is_not_read_from_a_name() -> None:
    _, (computes,) = told(ON_LOOP, {"b1": SCORE, "b2": SCORE}, {"root": "job nightly"})
    assert (computes.kind, computes.on) == (Situation.COMPUTES_ON_LOOP, "loop")


def test_of_several_functions_each_has_its_part() -> None:
    found, (one, other) = told(ON_LOOP, {"b1": ran(("score", 4), ("parse", 2)), "b2": ran(("parse", 8))})
    assert (one.function, one.line, one.mean_ns, one.per_request) == ("parse", 9, 10 * UNIT_NS, 2)
    assert (other.function, other.line, other.mean_ns, other.per_request) == ("score", 9, 4 * UNIT_NS, 1)
    assert found.judgement.reasons[0].culprit == "parse"


def test_on_a_worker_it_is_the_function_that_the_samples_show() -> None:
    found, (computes,) = told(
        """
        server GET        |-----------------------|
        task   root GET   |-----------------------|   cpu=3
        wait   w    root    |-----------------|       type=await waker=job
        job    job  root    |-----------------|
        run    run  job      |----------------|       cpu=17
        """,
        {"run": {**SCORE, schema.CODE_FUNCTION: "endpoint", **ran(("rank", 15))}},
    )
    assert (computes.function, computes.kind) == ("rank", Situation.COMPUTES_IN_WORKER)
    assert found.judgement.reasons[0].culprit_share == pytest.approx(15 / 20, abs=0.1)
    assert "more threads do not help" in found.remedy


def test_a_job_that_no_sample_met_ran_what_others_of_its_function_ran() -> None:
    """Who waited for the GIL that such a job had, waited for that function, too."""
    endpoint = {**SCORE, schema.CODE_FUNCTION: "endpoint", schema.CODE_LINE: 3}
    jobs = "".join(
        f"""
        server GET{n}          |-----------------------|  trace={n}
        task   root{n} GET{n}  |-----------------------|  trace={n} cpu=1
        wait   w{n}   root{n}    |-----------------|      trace={n} type=await waker=job{n}
        job    job{n} root{n}    |-----------------|      trace={n}
        run    run{n} job{n}      |----------------|      trace={n} cpu={8 if n == "x" else 17}
        """
        for n in "bcdefx"
    )
    waits = {
        schema.GIL_NS: 9 * UNIT_NS, schema.HOLDER_NAMES: ["endpoint"], schema.HOLDER_FILES: ["/app/rank.py"],
        schema.HOLDER_LINES: [3], schema.HOLDER_THREADS: [""], schema.HOLDER_TRACE_IDS: [f"{ord('b'):032x}"],
        schema.HOLDER_SPAN_IDS: [""], schema.HOLDER_NS: [9 * UNIT_NS],
    }  # fmt: skip
    more = {f"run{n}": {**endpoint, **ran(("rank", 15))} for n in "bcdef"} | {"runx": endpoint | waits}
    found = analysis.analyze(drawn(jobs, more).replace({"name": {f"GET{n}": "GET" for n in "bcdefx"}}))
    own = found.culprits[found.culprits["trace_id"] == f"{ord('x'):032x}"]
    for cause, ns in ((Cause.COMPUTE, 8), (Cause.GIL_WAIT, 9)):
        (of,) = own[(own["cause"] == cause) & (own["culprit_file"] != "")].to_dict("records")
        assert (of["culprit"], of["culprit_line"], of["ns"]) == ("rank", 9, ns * UNIT_NS)
    (told_of,) = verdict(found)
    assert "endpoint" not in told_of.text
    (held,) = [one for one in told_of.judgement.reasons if one.cause is Cause.GIL_WAIT]
    assert held.remedy.situation is Situation.GIL_HELD
    assert held.remedy.text.startswith("Have rank (app/rank.py:9) compute less Python at a time")


@pytest.mark.parametrize(
    ("holder", "remedy"),
    [("unpickling for rank", "Let rank give back less"), ("pickling for rank", "Hand less to the processes of rank")],
)
def test_who_waits_for_the_gil_of_a_pool_s_own_thread_is_told_what_it_handles(holder: str, remedy: str) -> None:
    waits = {
        schema.GIL_NS: 9 * UNIT_NS, schema.HOLDER_NAMES: [holder], schema.HOLDER_FILES: ["/app/rank.py"],
        schema.HOLDER_LINES: [3], schema.HOLDER_THREADS: [""], schema.HOLDER_TRACE_IDS: [f"{ord('b'):032x}"],
        schema.HOLDER_SPAN_IDS: [""], schema.HOLDER_NS: [9 * UNIT_NS],
    }  # fmt: skip
    (found,) = verdict(analysis.analyze(drawn(
        """
        server GET        |-----------------|
        task   root GET   |-----------------|   cpu=8
        """, {"root": waits},
    )))  # fmt: skip
    (held,) = [one for one in found.judgement.reasons if one.cause is Cause.GIL_WAIT]
    assert held.remedy.text.startswith(remedy)


def test_whom_it_stopped_is_counted_over_all_endpoints() -> None:
    judged = verdict(analysis.analyze(drawn(
        """
        server GET        |-----------------|
        task   root GET   |-----------------|   cpu=18
        block  b1   root   |---------------|     cpu=17
        server PUT        |------------------------|   trace=b
        task   put  PUT   |------------------------|   trace=b cpu=3
        wait   l    put    |---------------|           trace=b type=loop_busy
        """,
        {
            "b1": SCORE,
            "l": {
                schema.BLOCKER_FUNCTION: "score", schema.BLOCKER_FILE: "/app/rank.py", schema.BLOCKER_LINE: 9,
                schema.BLOCKER_TRACE_ID: f"{ord('a'):032x}", schema.BLOCKER_SPAN_ID: f"{2:016x}",
                schema.BLOCKER_NS: 16 * UNIT_NS,
            },
        },
    )))  # fmt: skip
    (computes,) = [one for found in judged for one in computing_of(found)]
    assert (computes.stopped, computes.stopped_ns) == (1, 16 * UNIT_NS)


@pytest.mark.parametrize("cpu", [1, 18])
def test_computing_without_a_name_or_of_no_size_is_no_reason(cpu: int) -> None:
    """The server's task names no function; and a tenth of the time is the least that counts."""
    found, computes = told(
        f"""
        server GET        |-----------------|
        task   root GET   |-----------------|   cpu={cpu}
        block  b1   root   ||                    cpu=1
        """,
        {"b1": SCORE},
    )
    assert not computes
    assert Cause.COMPUTE not in [one.cause for one in found.judgement.reasons]


@pytest.mark.parametrize(("turned_ms", "spins"), [(8, True), (0, False)])
def test_a_task_that_goes_round_and_only_yields(turned_ms: int, *, spins: bool) -> None:
    picture = """
        server GET        |------------------------------|
        task   root GET   |------------------------------|   cpu=28
    """
    ran = {schema.RAN_NAMES: ["until_done"], schema.RAN_FILES: ["/srv/app.py"], schema.RAN_LINES: [7]}
    at = {**ran, schema.RAN_NS: [28_000_000], schema.STEPS: 9_000}
    at |= {schema.TURNED_NS: turned_ms * 1_000_000} if turned_ms else {}
    (found,) = verdict(analysis.analyze(drawn(picture, {"root": at})))
    (reason,) = found.judgement.reasons
    assert (reason.cause, reason.culprit, reason.culprit_line) == (Cause.COMPUTE, "until_done", 7)
    assert reason.remedy.key == ("compute/spins" if spins else "compute/computes_on_loop")
    said = "Spinning: until_done (srv/app.py:7) goes round 9,000 times per request and only yields in between"
    assert (said in found.text) is spins


@pytest.mark.parametrize(
    ("package", "ms", "is_told"), [("fastapi", 4, False), ("fastapi", 24, True), ("yaml", 4, True)]
)
def test_the_first_call_of_a_framework_is_no_reason(package: str, ms: int, *, is_told: bool) -> None:
    """It imports and caches things; what each call takes is not known from so few."""
    picture = f"""
    server GET        |{"-" * (ms + 4)}|
    task   root GET   |{"-" * (ms + 4)}|   cpu={ms}
    block  b1   root   |{"-" * (ms - 1)}|  cpu={ms}
    """
    names = {"b1": f"{schema.BLOCK_SPAN_PREFIX}_extract_endpoint_context"}
    (found,) = verdict(
        analysis.analyze(drawn(picture, {"b1": SCORE | {schema.FOR_PACKAGE: package}}).replace({"name": names}))
    )
    assert bool(computing_of(found)) is is_told
    assert (found.remedy != "") is is_told
