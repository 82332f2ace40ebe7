"""A wait that ends as another begins ends a tick earlier; what it says of others is then as long as it is."""

from whywait.tracer import schema as s
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.spans.attribute_groups import Attributes
from whywait.tracer.spans.attributes import attributes_of
from whywait.tracer.spans.jaeger.nesting import nested
from whywait.tracer.spans.jaeger.span_ends import APART_NS
from whywait.tracer.spans.pools.shares import Share
from whywait.tracer.spans.span_spec import AboutTask, AboutWait, Blocker, Occupants, Root, SpanSpec

ROOT = 1
NOBODY = Occupancy("other", 0, 0, None)
MS = 1_000_000


def others(*lengths_ns: int) -> list[Blocker]:
    return [Blocker(f"other {number}", None, 0, 0, ns) for number, ns in enumerate(lengths_ns)]


def wait(number: int, start_ns: int, end_ns: int, about: AboutWait) -> SpanSpec:
    return SpanSpec(f"wait {number}", 7, number, ROOT, start_ns, end_ns, about)


def first_of_two(
    *, blockers: list[Blocker] | None = None, occupants: Occupants | None = None
) -> tuple[Attributes, int]:
    """What the earlier one says, and how long it is."""
    about = AboutWait(ROOT, s.WAIT_LOOP_BUSY, blockers=blockers or [], occupants=occupants)
    root = SpanSpec("root", 7, ROOT, 0, 0, 50 * MS, AboutTask(ROOT, root=Root(0)))
    later = wait(3, 30 * MS, 40 * MS, AboutWait(ROOT, s.WAIT_LOOP_BUSY))
    first = nested([root, wait(2, 10 * MS, 30 * MS, about), later])[1]
    assert first.end_ns == 30 * MS - APART_NS
    return attributes_of(first.about), first.end_ns - first.start_ns


def test_the_only_blocker_has_no_more_than_the_wait() -> None:
    said, length_ns = first_of_two(blockers=others(20 * MS))
    assert said[s.BLOCKER_NS] == length_ns
    said, _ = first_of_two(blockers=others(5 * MS))
    assert said[s.BLOCKER_NS] == 5 * MS


def test_the_chief_of_many_pays_the_tick() -> None:
    said, _ = first_of_two(blockers=others(15 * MS, 5 * MS))
    assert said[s.BLOCKERS_NS] == [15 * MS - APART_NS, 5 * MS]
    assert said[s.BLOCKER_NS] == 15 * MS - APART_NS


def test_occupants_and_those_left_out_still_sum_to_the_wait() -> None:
    said, _ = first_of_two(occupants=Occupants([Share(NOBODY, 9 * MS), Share(NOBODY, 8 * MS)], 3 * MS))
    assert said[s.OCCUPANT_NS] == [9 * MS - APART_NS, 8 * MS]
    assert said[s.OCCUPANT_OTHER_NS] == 3 * MS
