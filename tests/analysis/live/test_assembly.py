"""When a trace is whole, by a clock of the test's own."""

from tests.analysis.live.traces import BUSY, QUEUED, TURN, one
from whywait.analysis.live.assembly import INCOMPLETE, LATE, LOST_TRACE, Assembly
from whywait.analysis.live.gathered import Patience, Whole
from whywait.analysis.load.otlp import Row
from whywait.tracer import schema


def rows(picture: str = QUEUED, number: int = 1) -> list[Row]:
    return list(one(picture, "GET /", number).itertuples(index=False, name=None))


def named(some: list[Row], *names: str) -> list[Row]:
    return [row for row in some if row[3] in names]


def unnamed(some: list[Row], *names: str) -> list[Row]:
    return [row for row in some if row[3] not in names]


def due(assembly: Assembly, now_s: float) -> list[str]:
    return [one.gathered.trace_id for one in assembly.due(now_s)]


def counted(assembly: Assembly, now_s: float) -> list[str]:
    found = []
    for whole in assembly.due(now_s):
        servers = [row[1] for row in whole.gathered.rows if row[6] == "server"]
        found += assembly.settled(whole, servers, now_s)
    return found


def test_a_trace_is_whole_when_its_root_is_there_and_nothing_came_for_a_moment() -> None:
    assembly, every = Assembly(), rows()
    assembly.add(named(every, "GET /"), 0, 0.0)
    assert due(assembly, 3.0) == []
    assembly.add(unnamed(every, "GET /"), 0, 3.0)
    assert due(assembly, 3.5) == []
    assert due(assembly, 4.1) == [every[0][0]]


def test_a_server_span_long_before_its_root_does_not_hurry_it() -> None:
    """As under load: what the root's job did comes a turn after the root."""
    assembly, every = Assembly(), rows()
    assembly.add(named(every, "GET /"), 0, 0.0)
    assembly.add(named(every, "root"), 0, 8.0)
    assert due(assembly, 8.0) == []
    assembly.add(unnamed(every, "GET /", "root"), 0, 9.0)
    assert due(assembly, 9.5) == []
    assert due(assembly, 10.0) == [every[0][0]]


def test_a_root_waits_for_the_span_above_it() -> None:
    assembly, every = Assembly(), rows()
    assembly.add(unnamed(every, "GET /"), 0, 0.0)
    assert due(assembly, 5.0) == []
    assembly.add(named(every, "GET /"), 0, 5.0)
    assert due(assembly, 6.1) == [every[0][0]]


def test_a_request_counts_once_and_late_spans_are_told() -> None:
    assembly, every = Assembly(), rows()
    assembly.add(unnamed(every, "predict"), 0, 0.0)
    assert len(counted(assembly, 2.0)) == 1
    assembly.add(named(every, "predict"), 0, 3.0)
    assert assembly.lost == {LATE: 1}
    assert counted(assembly, 5.0) == []
    assert assembly.spans == len(every)
    assert counted(assembly, 60.0) == []
    assert assembly.spans == 0
    assembly.add(named(every, "predict", "GET /"), 0, 61.0)
    assert assembly.lost == {LATE: 3}
    assert counted(assembly, 500.0) == []


def test_what_is_delivered_twice_is_taken_once() -> None:
    assembly, every = Assembly(), rows()
    assembly.add(every, 0, 0.0)
    assembly.add(every, 0, 0.5)
    assert assembly.spans == len(every)
    assert not assembly.lost


def test_it_waits_for_a_trace_that_it_names_but_not_for_ever() -> None:
    every = rows(TURN)
    victim, other = ([row for row in every if (row[3] in ("other", "batch")) == wanted] for wanted in (False, True))
    assembly = Assembly()
    assembly.add(victim, 0, 0.0)
    assert due(assembly, 2.0) == []
    assembly.add(other, 0, 2.0)
    found = assembly.due(3.1)
    assert len(found) == 2
    assert assembly.context(found[:1]) == other or assembly.context(found[:1]) == []
    alone = Assembly()
    alone.add(victim, 0, 0.0)
    assert due(alone, 3.0) == []
    assert due(alone, 4.1) == [victim[0][0]]


def test_who_was_counted_stays_as_context_for_a_while() -> None:
    every = rows(TURN)
    other = named(every, "other", "batch")
    assembly = Assembly()
    assembly.add(other, 0, 0.0)
    assert len(counted(assembly, 2.0)) == 1
    assembly.add(unnamed(every, "other", "batch"), 0, 5.0)
    (whole,) = assembly.due(6.1)
    assert assembly.context([whole]) == other


def test_requests_of_one_endless_trace_are_counted_and_let_go() -> None:
    assembly = Assembly(Patience(most_spans=2_000))
    found = []
    for number in range(400):
        mine = [
            ("e" * 32, f"{number:08x}{row[1][8:]}", f"{number:08x}{row[2][8:]}" if row[2] else "", *row[3:])
            for row in rows(BUSY)
        ]
        assembly.add(mine, 0, number * 0.5)
        found += counted(assembly, number * 0.5)
    found += counted(assembly, 300.0)
    assert len(found) == len(set(found)) == 400
    assert assembly.spans < 200
    assert not assembly.lost


def test_a_server_span_waits_long_for_a_service_that_is_traced_and_little_for_others() -> None:
    assembly = Assembly()
    assembly.add(rows(number=1), 0, 0.0)
    assembly.add(named(rows(number=2), "GET /"), 0, 0.0)
    stranger = [(*row[:4], "another", *row[5:]) for row in named(rows(number=3), "GET /")]
    assembly.add(stranger, 0, 0.0)
    assert len(counted(assembly, 2.0)) == 1
    assert counted(assembly, 12.0) == [stranger[0][1]]
    assert counted(assembly, 100.0) == []
    assert counted(assembly, 130.0) == []
    assert assembly.lost == {INCOMPLETE: 1}


def test_a_root_whose_span_above_never_comes_is_not_counted_under_another_name() -> None:
    for mid_stream, lost in ((False, {INCOMPLETE: 1}), (True, {})):
        assembly = Assembly(mid_stream=mid_stream)
        assembly.add(unnamed(rows(), "GET /"), 0, 0.0)
        (whole,) = assembly.due(11.0)
        (root,) = (row[1] for row in whole.gathered.rows if row[10].get(schema.ROOT) is True)
        assert assembly.settled(whole, [root], 11.0) == []
        assert {kind: count for kind, count in assembly.lost.items() if count} == lost


def test_memory_is_bounded_and_the_loss_is_counted() -> None:
    assembly, rootless, busy = Assembly(Patience(most_spans=600, most_of_one=100)), unnamed(rows(), "root"), rows(BUSY)
    for number in range(1, 1000):
        assembly.add([(f"{number:032x}", *row[1:]) for row in rootless], 0, number / 1000)
        assert assembly.spans <= 600
    assert assembly.lost[LOST_TRACE] > 800
    big = [(busy[-1][0], f"{number:016x}", *busy[-1][2:]) for number in range(500)]
    assembly = Assembly(Patience(most_of_one=100))
    assembly.add([*busy, *big], 0, 0.0)
    assert assembly.spans == 100
    assert assembly.due(30.0) == []
    assert assembly.lost[LOST_TRACE] == 1


def test_at_the_end_everything_with_a_root_is_taken() -> None:
    assembly = Assembly()
    assembly.add(rows(number=1), 0, 0.0)
    assembly.add(named(rows(number=2), "GET /"), 0, 0.0)
    assert [Whole(one.gathered, True).gathered.trace_id for one in assembly.due(0.1, final=True)] == [
        rows(number=1)[0][0]
    ]
