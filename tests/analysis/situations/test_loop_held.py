"""A loop that work of no request held is never told as "nothing significant"."""

import pandas as pd
import pytest

from tests.analysis.drawing import drawn
from whywait.analysis import analyze
from whywait.analysis.causes import INFO, Cause
from whywait.analysis.report.json.report import as_json
from whywait.analysis.situations.situation import Situation
from whywait.analysis.spans.held_loop import held_loop, nobodys_blocks
from whywait.analysis.verdicts.sentences import Verdict, verdict
from whywait.analysis.verdicts.short_answer import answer
from whywait.tracer import schema

WELL = """
    server GET         |-----------|
    task   root GET    |-----------|                      cpu=12
    server GET2                          |-----------|    trace=z
    task   root2 GET2                    |-----------|    cpu=12 trace=z
"""
HELD = """
    block  one                        |--------|        trace=b
    block  two                             |-----------|  trace=c
    block  other                    |--|                trace=d
"""
FLUSH = {schema.CODE_FUNCTION: "flush", schema.CODE_FILE: "/srv/shop/jobs.py", schema.CODE_LINE: 7}
ROUTE = {"http.route": "/x", "http.method": "GET"}
MORE = {"GET": ROUTE, "GET2": ROUTE, "one": FLUSH, "two": FLUSH, "other": FLUSH | {schema.CODE_FUNCTION: "tick"}}


def told(picture: str) -> Verdict:
    (one,) = verdict(analyze(drawn(picture, MORE)))
    return one


def test_who_held_it_is_listed_with_place_count_and_longest() -> None:
    rows = list(held_loop(nobodys_blocks(drawn(WELL + HELD, MORE))).itertuples(index=False, name=None))
    assert rows == [
        ("flush", "/srv/shop/jobs.py", 7, False, 2, 12_000_000), ("tick", "/srv/shop/jobs.py", 7, False, 1, 3_000_000),
    ]  # fmt: skip


def test_nothing_significant_is_said_only_where_nobody_held_the_loop() -> None:
    well, held = told(WELL), told(WELL + HELD)
    assert "Nothing significant" in well.text
    assert not well.remedy
    assert "Nothing significant" not in held.text
    assert "Outside any request flush (shop/jobs.py:7) blocked the event loop 2 times, up to 12.0 ms" in held.text
    assert held.remedy == INFO[Cause.LOOP_BUSY].remedy
    assert (answer(held).cause, answer(held).who, answer(held).where) == ("loop_busy", "flush", "shop/jobs.py:7")
    assert answer(well).cause == ""


@pytest.mark.parametrize("file", ["/x/site-packages/uvicorn/httptools_impl.py", ""])
@pytest.mark.parametrize(("times", "is_told"), [(2, True), (1, False)])
def test_a_librarys_code_that_held_it_once_did_so_by_chance(times: int, file: str, *, is_told: bool) -> None:
    sent = {schema.CODE_FUNCTION: "send"} | ({schema.CODE_FILE: file} if file else {})
    blocks = "".join(HELD.splitlines(keepends=True)[: times + 1])
    (found,) = verdict(analyze(drawn(WELL + blocks, MORE | {"one": sent, "two": sent})))
    assert ("Outside any request send" in found.text) is is_told
    assert bool(found.remedy) is is_told


@pytest.mark.parametrize("known_from", [schema.INGRESS_READ, schema.INGRESS_KERNEL])
def test_where_arrivals_are_not_known_the_blocks_of_other_requests_count(known_from: str) -> None:
    """Where they are, whoever met such a block has it among its waits."""
    picture = """
        server POST        |------------------------|
        task   root POST   |------------------------|           cpu=25
        block  slow root     |-------------------|              cpu=20
        server GET                                    |-|       trace=z
        task   root2 GET                              |-|       cpu=2 trace=z
    """
    seen = {schema.INGRESS_FROM: known_from, schema.SIGNALS: ["cpu_clock"]}
    more = {"root2": seen, "slow": FLUSH, "GET": {"http.route": "/x"}, "POST": {"http.route": "/y"}}
    (got,) = [one for one in verdict(analyze(drawn(picture, more))) if one.endpoint.startswith("GET")]
    assert ("Nothing significant" in got.text) == (known_from == schema.INGRESS_KERNEL)
    said = "In other requests flush (shop/jobs.py:7) blocked the event loop 1 time, up to 20.0 ms"
    assert (said in got.text) == (known_from == schema.INGRESS_READ)


@pytest.mark.parametrize("waited", [schema.RUN_QUEUE_NS, schema.GIL_NS])
def test_what_it_waited_in_for_a_cpu_or_the_gil_is_no_holding(waited: str) -> None:
    for wait_ns, said in ((9_000_000, "up to 3.0 ms"), (12_000_000, "Nothing significant")):
        flush = FLUSH | {waited: wait_ns}
        (found,) = verdict(analyze(drawn(WELL + HELD.splitlines()[2], MORE | {"two": flush})))
        assert said in found.text


def test_what_the_service_did_before_its_first_request_held_nobody() -> None:
    start = """
    block  one   |--------|                                trace=b
    server GET            |-----------|
    task   root GET       |-----------|                    cpu=12
    """
    assert "Nothing significant" in told(start).text


def test_where_requests_waited_for_it_they_say_so_themselves() -> None:
    behind = told(
        HELD
        + """
        server GET                            |-------|
        task   root GET                |--------------|     from=kernel cpu=8
        wait   b    root               |------|             type=loop_busy
    """
    )
    assert behind.judgement.reasons[0].cause is Cause.LOOP_BUSY
    assert not [one for one in behind.judgement.situations if one.kind is Situation.LOOP_HELD]


@pytest.mark.parametrize(
    "after", [{}, {schema.BLOCKER_TRACE_ID: "0" * 31 + "9", schema.BLOCKER_SPAN_ID: "9" * 16}],
    ids=["of nobody's", "after a response"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("seen", "situation", "says"),
    [
        ({schema.BLOCK_SYSCALL: "recvfrom", schema.CPU_NS: 0}, Situation.HOLDERS_WAIT, "use an asynchronous client"),
        ({schema.BLOCK_SYSCALL: "recvfrom"}, Situation.HOLDERS_WAIT, "in recvfrom in flush (shop/jobs.py:7)"),
        (
            {schema.BLOCK_SYSCALL: "futex", schema.CPU_NS: 8_000_000},
            Situation.HOLDERS_COMPUTE,
            "It computes on the loop",
        ),
        (
            {schema.BLOCK_SYSCALL: "futex"},
            None,
            INFO[Cause.LOOP_BUSY].remedy,
        ),  # the GIL, which the look took, or a lock
        ({}, None, INFO[Cause.LOOP_BUSY].remedy),
    ],
)
def test_what_held_the_loop_for_no_request_is_told_by_what_samples_saw_of_it(
    seen: dict[str, object], situation: Situation | None, says: str, after: dict[str, object]
) -> None:
    picture = """
        server GET          |--------------|
        task   root GET     |--------------|     from=kernel cpu=5
        wait   b    root    |--------|           type=loop_busy
        block  one          |--------|           trace=b
    """
    blocker = {
        schema.BLOCKER_FUNCTION: "flush", schema.BLOCKER_FILE: "/srv/shop/jobs.py", schema.BLOCKER_LINE: 7,
        schema.BLOCKER_NS: 9_000_000, **after,
    }  # fmt: skip
    (got,) = verdict(analyze(drawn(picture, {"GET": ROUTE, "one": FLUSH | seen, "b": blocker})))
    kinds = [one.kind for one in got.judgement.situations if one.kind.startswith("holders")]
    assert kinds == ([situation] if situation else [])
    assert says in got.remedy


def test_where_another_wait_is_significant_it_is_no_part_of_the_answer() -> None:
    busy = told(
        HELD
        + """
        server GET            |---------------------------|
        task   root GET       |---------------------------|     cpu=8
        wait   x    root      |-------------------|             type=lock_wait
    """
    )
    assert busy.judgement.reasons[0].cause is Cause.LOCK_WAIT
    assert "Outside any request" not in busy.text


@pytest.mark.parametrize("service", ["shop", "other"])
def test_a_loop_of_another_service_is_another_loop(service: str) -> None:
    one = told(WELL + f"    block  one              |----|  trace=b service={service}")
    kinds = [found.kind for found in one.judgement.situations]
    assert (Situation.LOOP_HELD in kinds) == (service == "shop")


def test_it_is_in_the_json() -> None:
    (one,) = as_json(analyze(drawn(WELL + HELD, MORE)))["endpoints"]
    assert one["situations"][0] == {
        "kind": "loop_held",
        "numbers": {
            "function": "flush",
            "file": "/srv/shop/jobs.py",
            "line": 7,
            "of_request": False,
            "times": 2,
            "longest_ns": 12_000_000,
        },
    }


def test_blocks_of_one_function_are_one_row_whether_sampled_or_not() -> None:
    rows = [
        ("poll", "", 0, 9),
        ("poll", "a.py", 3, 5),
        ("poll", "a.py", 4, 7),
        ("poll", "b.py", 8, 1),
        ("bare", "", 0, 2),
    ]
    blocks = pd.DataFrame(rows, columns=["function", "file", "line", "ns"]).assign(of_request=False)
    found = list(held_loop(blocks).itertuples(index=False, name=None))
    assert found == [
        ("poll", "a.py", 4, False, 3, 9), ("bare", "", 0, False, 1, 2), ("poll", "b.py", 8, False, 1, 1),
    ]  # fmt: skip
