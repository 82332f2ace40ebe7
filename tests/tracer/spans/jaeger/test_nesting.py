"""A wait that ends as another begins ends a tick earlier; what it says of others is then as long as it is."""

from whywait.tracer import schema as s
from whywait.tracer.spans.jaeger.nesting import nested
from whywait.tracer.spans.jaeger.span_ends import APART_NS
from whywait.tracer.spans.span_spec import SpanSpec, span_hex

ROOT = 1
MS = 1_000_000


def wait(number: int, start_ns: int, end_ns: int, **said: object) -> SpanSpec:
    kind = {s.KIND: s.KIND_BLOCK, s.ACTIVITY: span_hex(ROOT)}
    return SpanSpec(f"wait {number}", 7, number, ROOT, start_ns, end_ns, kind | said)  # type: ignore[arg-type]


def first_of_two(**said: object) -> SpanSpec:
    root = SpanSpec("root", 7, ROOT, 0, 0, 50 * MS, {s.KIND: s.KIND_TASK, s.ROOT: True})
    made = [root, wait(2, 10 * MS, 30 * MS, **said), wait(3, 30 * MS, 40 * MS)]
    first = nested(made)[1]
    assert first.end_ns == 30 * MS - APART_NS
    return first


def test_the_only_blocker_has_no_more_than_the_wait() -> None:
    first = first_of_two(**{s.BLOCKER_NS: 20 * MS})
    assert first.attributes[s.BLOCKER_NS] == first.end_ns - first.start_ns
    assert first_of_two(**{s.BLOCKER_NS: 5 * MS}).attributes[s.BLOCKER_NS] == 5 * MS


def test_the_chief_of_many_pays_the_tick() -> None:
    first = first_of_two(**{s.BLOCKER_NS: 15 * MS, s.BLOCKERS_NS: [15 * MS, 5 * MS]})
    assert first.attributes[s.BLOCKERS_NS] == [15 * MS - APART_NS, 5 * MS]
    assert first.attributes[s.BLOCKER_NS] == 15 * MS - APART_NS


def test_occupants_and_those_left_out_still_sum_to_the_wait() -> None:
    first = first_of_two(**{s.OCCUPANT_NS: [9 * MS, 8 * MS], s.OCCUPANT_OTHER_NS: 3 * MS})
    assert first.attributes[s.OCCUPANT_NS] == [9 * MS - APART_NS, 8 * MS]
