"""The benchmark's own rules: what is scored, who is right, and what the simpler rules would say."""

from typing import Any

import pytest

from benchmarks.truth import baselines, matching, mutations, plan, program_scores, scores, usable
from benchmarks.truth.baselines import Span
from benchmarks.truth.fault import FAULTS
from benchmarks.truth.felt import felt
from benchmarks.truth.grammar import draw
from benchmarks.truth.record import Part, Truth, Who, merged, truth_from, who
from benchmarks.truth.work import Past, nap
from whywait.analysis.causes import Cause

MS = 1_000_000


def span(name: str, start: int, end: int, parent: str = "root") -> Span:
    return Span(name, "" if name == "root" else parent, name, "service", start * MS, end * MS)


def record(name: str, wall_ms: float, **true_ms: float) -> dict[str, Any]:
    parts = [Part(cause, int(ms * MS)) for cause, ms in true_ms.items()]
    return {"name": name, "found": True, "wall_ns": int(wall_ms * MS), **Truth("", tuple(parts)).as_json()}


# --- baselines ----------------------------------------------------------------------------------
def test_the_critical_path_goes_to_the_child_that_finished_last() -> None:
    #   root |--------------------|
    #   a     |=====|                       ended before b began: on the path
    #   b            |===========|
    #   c     |=========|                   ended within b: not on it
    spans = [span("root", 0, 100), span("a", 2, 40), span("b", 45, 98), span("c", 2, 60)]
    assert baselines.blamed(spans) == {"self time": "c", "critical path": "b", "longest span": "c"}


def test_self_time_counts_children_that_overlap_once() -> None:
    spans = [span("root", 0, 100), span("a", 10, 60), span("b", 30, 70)]
    assert baselines.blamed(spans)["self time"] == "a"
    assert baselines.blamed([span("root", 0, 100), span("a", 10, 40)])["self time"] == "root"


# --- who is right -------------------------------------------------------------------------------
def test_a_culprit_is_its_function_or_one_on_the_stack_with_it() -> None:
    true = who(nap, within=(Who("outer", "/app.py", 10, 20),))
    right = {"name": "work.nap", "file": true.file, "line": true.first_line, "request": ""}
    assert matching.is_named(true, right)
    assert matching.is_placed(true, right)
    outer = {"name": "outer", "file": "/app.py", "line": 12, "request": ""}
    assert matching.is_named(true, outer)
    assert matching.is_placed(true, outer)
    assert not matching.is_named(true, right | {"name": "other", "line": 1})
    assert not matching.is_named(true, right | {"request": "another"})
    assert not matching.is_placed(true, right | {"line": true.last_line + 1})
    assert not matching.is_named(true, None)


def test_truth_survives_its_file() -> None:
    truth = Truth("r", (Part("compute", 5, who(nap, "other", within=(who(draw),))), Part("gc_pause", 1)))
    assert truth_from(truth.as_json()) == truth


def test_parts_of_one_cause_are_one() -> None:
    chief = who(nap)
    assert merged([Part("a", 1), Part("b", 5), Part("a", 9, chief), Part("c", 0)]) == (
        Part("a", 10, chief),
        Part("b", 5),
    )


# --- what is scored -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("true", "why"),
    [
        ({"lock_wait": 60.0}, ""),
        ({"lock_wait": 54.0}, usable.OUTDONE),  # the other 46 might be one cause
        ({"lock_wait": 40.0, "cpu_wait": 30.0, "compute": 25.0}, ""),
        ({"lock_wait": 40.0, "cpu_wait": 35.0, "compute": 25.0}, usable.OUTDONE),
        ({"lock_wait": 1.0}, usable.NO_EFFECT),
        ({"cpu_wait": 90.0}, usable.NO_EFFECT),
    ],
)
def test_a_single_fault_must_be_beyond_doubt(true: dict[str, float], why: str) -> None:
    assert usable.why_not_single(record("lock_held", 100, **true)) == why


def test_a_request_without_a_trace_is_counted_as_lost() -> None:
    assert usable.why_not_single({"name": "lock_held", "found": False, "parts": []}) == usable.LOST


def test_both_of_a_pair_must_outdo_the_rest() -> None:
    pair = "lock_held+downstream_slow"
    assert usable.why_not_pair(record(pair, 100, lock_wait=50.0, await_io=30.0)) == ""
    assert usable.why_not_pair(record(pair, 100, lock_wait=50.0, await_io=22.0)) == usable.OUTDONE
    assert usable.why_not_pair(record(pair, 100, lock_wait=90.0)) == usable.NO_EFFECT


# --- held things, programs ----------------------------------------------------------------------
def test_what_somebody_held_is_clipped_and_its_chief_found() -> None:
    past = Past()
    past.add(0, 10, "a")
    past.add(10, 40, "b")
    assert past.overlap_ns(5, 20) == 15
    assert past.chief(5, 20) == "b"
    assert past.last_end(39) == 10
    assert [part.ns for part in past.parts(5, 20, Cause.LOOP_BUSY) if part.cause == Cause.LOOP_BUSY] == [5, 10]


def test_a_seed_draws_the_same_program_always() -> None:
    assert draw(7) == draw(7)
    assert len({draw(seed) for seed in range(50)}) == 50
    assert draw(7).text().splitlines()[0] == "sequence"


def test_a_program_fails_when_time_stands_under_wrong_causes() -> None:
    true = record("7", 100, pool_queue=50.0, blocking_io=20.0)
    told = {"pool_queue": {"ns": 48 * MS}, "blocking_io": {"ns": 22 * MS}}
    assert program_scores.is_right(true | {"causes": told})
    assert not program_scores.is_right(true | {"causes": told | {"pool_queue": {"ns": 5 * MS}}})
    assert not program_scores.is_right(true | {"causes": told | {"lock_wait": {"ns": 15 * MS}}})


# --- what is run, and what falls without a probe --------------------------------------------------
def test_the_last_requests_of_a_service_come_last() -> None:
    for unit in [*plan.full(), *plan.quick(), plan.every_fault("asyncio", 1)]:
        last = [plan.is_last(cell) for cell in unit.cells]
        assert last == sorted(last)


def test_units_without_a_probe_are_kept_apart() -> None:
    keys = [
        plan.every_fault("asyncio", 1).key,
        plan.every_fault("asyncio", 1, "gc").key,
        plan.every_fault("asyncio", 1, "gc", {"gc_asked_for"}).key,
    ]
    assert len(set(keys)) == 3
    assert not any(" " in key for key in keys)


def faults(**of: float | None) -> dict[str, Any]:
    """A table in which all faults are told right but those."""
    table: dict[str, Any] = {}
    for name in FAULTS:
        share = of.get(name, 1.0)
        table[name] = {
            "scored": 0 if share is None else 4, "left_out": {usable.LOST: 4} if share is None else {},
            "cause": share, "culprit": 1.0, "place": None, "phase": None, "taken_for": {"compute": 1},
        }  # fmt: skip
    return table


def test_what_varies_by_itself_does_not_fall_without_a_probe() -> None:
    steady, shaky = faults(), faults(gil_hogs=0.5)
    assert mutations.fallen([steady, steady], faults()) == []
    assert mutations.fallen([steady, shaky], faults(gil_hogs=0.25)) == []
    (fall,) = mutations.fallen([steady, shaky], faults(gil_hogs=0.25, lock_held=0.5))
    assert (fall["fault"], fall["measure"], fall["from"], fall["to"]) == ("lock_held", "cause", 1.0, 0.5)


def test_a_fault_without_a_trace_has_fallen() -> None:
    (fall,) = mutations.fallen([faults()], faults(without_framework=None))
    assert (fall["fault"], fall["to"], fall["taken_for"]) == ("without_framework", 0.0, "compute")


# --- nulls ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("accused", "false"),
    [
        ({}, []),
        ({"cpu_wait": 60 * MS}, []),  # all threads together were without a CPU for 50 ms
        ({"cpu_wait": 70 * MS}, ["cpu_wait"]),
        ({"gil_wait": 10 * MS}, []),
        ({"gil_wait": 20 * MS}, ["gil_wait"]),
        ({"lock_wait": 1 * MS}, ["lock_wait"]),
    ],
)
def test_what_a_null_is_accused_of_must_be_so_by_our_own_figures(accused: dict[str, int], false: list[str]) -> None:
    verdict = {
        "kind": "null verdict", "name": "hello", "loop": "asyncio", "seed": 1, "requests": 10,
        "accused": accused, "queued_ns": 50 * MS, "gil_ns": 10 * MS, "gc_ns": 0,
    }  # fmt: skip
    told = scores.score([verdict])["nulls"]
    assert [list(one["causes"]) for one in told["false"]] == ([false] if false else [])


def test_felt_time_is_held_against_the_clients_clock() -> None:
    def request(loop: str, client_ms: int, told_ms: int, lost_ns: int = 0) -> dict[str, Any]:
        causes = {"compute": {"ns": told_ms * MS // 2}, "loop_busy": {"ns": told_ms * MS // 2 - lost_ns}}
        return {"found": True, "loop": loop, "client_ns": client_ms * MS, "wall_ns": told_ms * MS, "causes": causes}

    records = [request("asyncio", 100, 98), request("uvloop", 50, 52), request("uvloop", 50, 40, lost_ns=1)]
    told = felt([*records, {"found": False, "client_ns": MS}, {"kind": "null verdict"}])
    assert (told["all"]["requests"], told["all"]["conserved"]) == (3, 2)
    assert told["asyncio"]["error_ms_p50"] == 2 == -told["asyncio"]["bias_ms_p50"]
    assert told["uvloop"]["told_share"] == 0.92
    assert felt([])["all"]["requests"] == 0
