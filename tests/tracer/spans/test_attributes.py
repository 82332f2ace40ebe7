"""What a typed span becomes as attributes and links. Pure."""

import pytest

from whywait.tracer import schema as s
from whywait.tracer.host.code_location import Place
from whywait.tracer.offcpu.cpu_contention import CpuUser, Division
from whywait.tracer.offcpu.explanation import UNSEEN, OffCpu
from whywait.tracer.offcpu.gil_holders import Holder
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.request import Collector
from whywait.tracer.spans.attributes import attributes_of
from whywait.tracer.spans.pools.shares import Share
from whywait.tracer.spans.span_spec import AboutPhase, AboutWait, Blocker, Occupants, SpanSpec, Waker

OWN, OTHER = 7, 8  # traces
AT = Place("f", "/srv/a.py", 3)
FREE = Occupancy("job", OTHER, 21, None)
HELD = Occupancy("f", OTHER, 22, None)
HELD.place = AT
PLAIN = AboutWait(1, s.WAIT_AWAIT)


def used(*users: CpuUser) -> Division:
    return Division(users, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("about", "columns"),
    [
        (PLAIN._replace(blockers=[Blocker("a", AT, OTHER, 2, 9), Blocker("b", None, 0, 0, 1)]), s.BLOCKERS),
        (PLAIN._replace(occupants=Occupants([Share(HELD, 5), Share(FREE, 2)], 1)), s.OCCUPANTS),
        (PLAIN._replace(off_cpu=OffCpu(gil_holders=[Holder("a", AT, "t", OTHER, 2, 9)])), s.HOLDERS),
        (PLAIN._replace(off_cpu=OffCpu(cpu_users=used(CpuUser(s.RIVAL_THREAD, "a", 7, AT, OTHER, 5, 10)))), s.CPU_USERS),
    ],
)  # fmt: skip
def test_each_group_is_written_as_declared(about: AboutWait, columns: tuple[s.Column, ...]) -> None:
    said = attributes_of(about)
    arrays = [said[column.key] for column in columns]
    assert len({len(one) for one in arrays if isinstance(one, list)}) == 1
    for column, array in zip(columns, arrays, strict=True):
        assert isinstance(array, list)
        assert all(isinstance(one, int if column.holds in ("number", "line") else str) for one in array)


def test_what_is_known_of_no_cpu_user_is_left_out() -> None:
    said = attributes_of(
        PLAIN._replace(off_cpu=OffCpu(cpu_users=used(CpuUser(s.RIVAL_PROCESS, "process cron", 42, ns=10))))
    )
    assert said[s.RIVAL_NUMBERS] == [42]
    assert not {s.RIVAL_FILES, s.RIVAL_LINES, s.RIVAL_TRACE_IDS, s.RIVAL_SPAN_IDS} & said.keys()


def test_what_was_not_seen_is_not_said() -> None:
    said = {s.KIND, s.ACTIVITY}
    assert attributes_of(PLAIN).keys() == said | {s.WAIT}
    assert attributes_of(AboutPhase(1, UNSEEN)).keys() == said
    assert attributes_of(AboutPhase(1, OffCpu(on_cpu_ns=0, samples=0))).keys() == said | {s.CPU_NS, s.SAMPLES}


WOKEN = PLAIN._replace(waker=Waker(s.WAKER_ACTIVITY, "task", 11, OTHER))


@pytest.mark.parametrize(
    ("about", "linked"),
    [
        pytest.param(PLAIN, 0, id="nobody"),
        pytest.param(PLAIN._replace(waker=Waker(s.WAKER_ACTIVITY, "task", 11)), 0, id="of this trace"),
        pytest.param(WOKEN, 11, id="who ended it"),
        pytest.param(WOKEN._replace(blockers=[Blocker("a", None, OTHER, 31, 1)]), 11, id="before who blocked it"),
        pytest.param(PLAIN._replace(blockers=[Blocker("a", None, OTHER, 31, 1)]), 31, id="who blocked it"),
        pytest.param(WOKEN._replace(occupants=Occupants([Share(FREE, 1)], 0)), 21, id="who occupied the pool"),
        pytest.param(PLAIN._replace(collector=Collector(1, None, OWN, 41)), 41, id="who took the result, of any trace"),
    ],
)  # fmt: skip
def test_a_wait_links_to_who_delayed_it_in_another_trace(about: AboutWait, linked: int) -> None:
    links = SpanSpec("wait", OWN, 2, 1, 0, 10, about).links
    assert [span_id for _, span_id in links] == ([linked] if linked else [])
