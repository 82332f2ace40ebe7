"""Who was in the way: the chief one by name, all in arrays, bounded, and never more than there was."""

import json

from hypothesis import given
from hypothesis import strategies as st

from whywait.tracer import schema as s
from whywait.tracer.host.code_location import Place
from whywait.tracer.records.lock_holds import Hold
from whywait.tracer.records.loop import Callback, users_place
from whywait.tracer.records.request import Request
from whywait.tracer.spans.attribute_groups import Attributes, put_blockers
from whywait.tracer.spans.blockers import callback_blockers, place_of, ranked
from whywait.tracer.spans.span_spec import AboutWait, Blocker
from whywait.tracer.spans.waits.thread_wait import holders

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
    attributes: Attributes = {}
    put_blockers(attributes, AboutWait(1, s.WAIT_LOCK, blockers=ranked(blockers)))
    if not blockers:
        assert not attributes
        return
    assert attributes[s.BLOCKER_NS] == max(one.ns for one in blockers)
    if len(blockers) == 1:
        assert s.BLOCKERS_NS not in attributes
        return
    ns = attributes[s.BLOCKERS_NS]
    assert isinstance(ns, list)
    assert sum(int(one) for one in ns) == sum(one.ns for one in blockers)
    assert len(ns) <= 2 * s.OCCUPANT_LIMIT
    assert ns[: s.OCCUPANT_LIMIT] == sorted((one.ns for one in blockers), reverse=True)[: s.OCCUPANT_LIMIT]
    for column in s.BLOCKERS:
        array = attributes[column.key]
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


def test_what_a_library_does_for_a_request_is_the_function_s_that_answers_it() -> None:
    library, users = Place("TypeAdapter.validate_python", json.__file__, 7), Place("load", "/srv/app.py", 3)
    request = Request(1, 2, 1, 0, 9)
    assert users_place(library, request) == users_place(library, None) == library  # nobody said who answers
    request.root.code = json.dumps.__code__  # a view of the framework's own
    assert users_place(library, request) == library
    request.root.code = test_holders_share_the_wait_and_no_more.hypothesis.inner_test.__code__  # type: ignore[attr-defined]
    assert users_place(library, request).function == "test_holders_share_the_wait_and_no_more"
    assert users_place(users, request) == users
    gzip = Place("GZipResponder._compress_body", "/x/site-packages/starlette/middleware/gzip.py", 9)
    assert users_place(gzip, request) == gzip  # around the endpoint, whatever this returned


def test_a_callback_has_its_function_s_name_and_that_of_its_request_where_a_library_s_began_it() -> None:
    own, other = Request(1, 2, 1, 0, 9), Request(3, 4, 1, 0, 9)
    other.name = "POST /documents"
    users = test_what_a_library_does_for_a_request_is_the_function_s_that_answers_it.__code__
    for code, name, place in ((users, users.co_name, place_of(users)), (json.dumps.__code__, other.name, None)):
        (one,) = callback_blockers([Callback(0, 5, 5, 1, 3, 4, code, None, other, 0)], own)
        assert (one.name, one.place) == (name, place)
