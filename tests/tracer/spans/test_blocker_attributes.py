"""Who was in the way: the chief one by name, all in arrays, bounded, and never more than there was."""

from hypothesis import given
from hypothesis import strategies as st

from whywait.tracer import schema as s
from whywait.tracer.host.code_location import Place
from whywait.tracer.records.lock_holds import Hold
from whywait.tracer.spans.blocker_attributes import Blocker, put_blockers
from whywait.tracer.spans.thread_wait import holders

drawn = st.builds(
    Blocker,
    name=st.sampled_from(["a", "b"]),
    place=st.sampled_from([None, Place("a", "/srv/a.py", 3)]),
    trace_id=st.integers(0, 3),
    span_id=st.integers(0, 3),
    ns=st.integers(1, 10**9),
)


@given(st.lists(drawn, max_size=60))
def test_all_are_named_longest_first_and_their_time_is_not_lost(blockers: list[Blocker]) -> None:
    attributes: dict[str, object] = {}
    chief = put_blockers(attributes, blockers)
    if not blockers:
        assert chief is None
        assert not attributes
        return
    assert chief is not None
    assert attributes[s.BLOCKER_NS] == chief.ns == max(one.ns for one in blockers)
    if len(blockers) == 1:
        assert s.BLOCKERS_NS not in attributes
        return
    ns = attributes[s.BLOCKERS_NS]
    assert isinstance(ns, list)
    assert sum(ns) == sum(one.ns for one in blockers)
    assert len(ns) <= 2 * s.OCCUPANT_LIMIT
    assert ns[: s.OCCUPANT_LIMIT] == sorted((one.ns for one in blockers), reverse=True)[: s.OCCUPANT_LIMIT]
    for key in (
        s.BLOCKERS_NAMES,
        s.BLOCKERS_FILES,
        s.BLOCKERS_LINES,
        s.BLOCKERS_TRACE_IDS,
        s.BLOCKERS_SPAN_IDS,
    ):
        array = attributes[key]
        assert isinstance(array, list)
        assert len(array) == len(ns)


@given(st.lists(st.integers(1, 50), max_size=12), st.integers(1, 300))
def test_holders_share_the_wait_and_no_more(lengths: list[int], wait_ns: int) -> None:
    at, holds = 0, []
    for number, length in enumerate(lengths):
        at += length
        holds.append(Hold(at, None, number % 3, number % 3, f"job {number % 3}", "worker"))
    found = holders(0, wait_ns, holds)
    assert sum(one.ns for one in found) == min(at, wait_ns)
    assert len({(one.trace_id, one.name) for one in found}) == len(found)
