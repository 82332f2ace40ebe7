"""The benchmark's own rules: what is scored, who is right, and what the simpler rules would say."""

from typing import Any

import pytest

from analysis.causes import Cause
from benchmarks.truth import baselines, matching, program_scores, usable
from benchmarks.truth.baselines import Span
from benchmarks.truth.grammar import draw
from benchmarks.truth.record import Part, Truth, Who, merged, truth_from, who
from benchmarks.truth.work import Past, nap

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
    assert [part.ns for part in past.parts(5, 20, Cause.LOOP_BUSY) if part.cause == Cause.LOOP_BUSY] == [
        5,
        10,
    ]


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
