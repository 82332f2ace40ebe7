"""Who was waited for stays on Jaeger's path; who was not is a CONSUMER below a PRODUCER."""

from collections.abc import Sequence

from tests.jaeger.critical_path import Bar, critical_path
from whywait.tracer import schema as s
from whywait.tracer.spans.attribute_groups import span_hex
from whywait.tracer.spans.jaeger.nesting import nested
from whywait.tracer.spans.span_spec import (
    About,
    AboutBlock,
    AboutJob,
    AboutRun,
    AboutTask,
    AboutWait,
    Blocker,
    Root,
    SpanSpec,
    Spawner,
    Waker,
)

MS = 1_000_000
ROOT, FIRST, SECOND, THIRD = 1, 20, 30, 40  # a job's run has the number after its own
HOSTS = 99  # a span that is not ours


def task(number: int, start_ms: float, end_ms: float, spawner: int = 0, root: Root | None = None) -> SpanSpec:
    about = AboutTask(number, Spawner(spawner) if spawner else None, root=root)
    return _span(f"task {number}", number, spawner, start_ms, end_ms, about)


def job_span(number: int, start_ms: float, end_ms: float, parent: int = ROOT, spawner: int = ROOT) -> SpanSpec:
    return _span(f"job {number}", number, parent, start_ms, end_ms, AboutJob(number, Spawner(spawner)))


def run_span(number: int, start_ms: float, done_ms: float) -> SpanSpec:
    return _span(f"run {number}", number + 1, number, start_ms, done_ms, AboutRun(number))


def job(number: int, start_ms: float, done_ms: float, end_ms: float, parent: int = ROOT) -> list[SpanSpec]:
    """A job of the root, and its run."""
    return [job_span(number, start_ms, end_ms, parent), run_span(number, start_ms, done_ms)]


def wait(
    number: int, start_ms: float, end_ms: float, waker: int = 0, *, of: int = ROOT, parent: int = ROOT,
    blockers: Sequence[Blocker] = (),
) -> SpanSpec:  # fmt: skip
    about = AboutWait(
        of,
        s.WAIT_AWAIT if waker else s.WAIT_RESUME,
        waker=Waker(s.WAKER_ACTIVITY, span_id=waker) if waker else None,
        blockers=blockers,
    )
    return _span(f"wait {number}", number, parent, start_ms, end_ms, about)


def _span(name: str, number: int, parent: int, start_ms: float, end_ms: float, about: About) -> SpanSpec:
    return SpanSpec(name, 7, number, parent, int(start_ms * MS), int(end_ms * MS), about)


def drawn(*spans: SpanSpec | list[SpanSpec]) -> dict[str, SpanSpec]:
    """The spans of a request of 100 ms, whose shortest wait has 1 ms, by name as they are made."""
    root = task(ROOT, 0, 100, root=Root(MS))
    made = [one for some in ([root], *spans) for one in (some if isinstance(some, list) else [some])]
    return {one.name: one for one in nested(made)}


def kinds(found: dict[str, SpanSpec]) -> dict[str, str]:
    return {name: one.kind for name, one in found.items() if one.kind != "internal"}


def path(found: dict[str, SpanSpec]) -> dict[str, int]:
    """How long each span is on Jaeger's path, in whole ms; its UI takes the time 0 for none."""
    names = {span_hex(one.span_id): one.name for one in found.values()}
    bars = [
        Bar(span_hex(one.span_id), span_hex(one.parent_id), 1 + one.start_ns // 1000, 1 + one.end_ns // 1000,
            kind=one.kind)
        for one in found.values()
    ]  # fmt: skip
    sums: dict[str, int] = {}
    for section in critical_path(bars):
        name = names[section.span_id]
        sums[name] = sums.get(name, 0) + section.end_us - section.start_us
    return {name: ms for name, us in sums.items() if (ms := round(us / 1000))}


def test_a_result_that_lay_ready_is_passed_by() -> None:
    """The second ended while the first was handled."""
    found = drawn(job(FIRST, 0, 40, 40), wait(2, 1, 40, FIRST), job(SECOND, 0, 60, 80))
    assert kinds(found) == {"task 1": "producer", "job 30": "consumer"}
    assert path(found) == {"task 1": 60, "run 20": 40}
    assert (found["job 30"].start_ns, found["job 30"].end_ns) == (0, 80 * MS)


def test_who_ends_while_another_is_waited_for_keeps_its_kind() -> None:
    found = drawn(job(FIRST, 0, 40, 40), wait(2, 1, 40, FIRST), job(SECOND, 0, 20, 20))
    assert kinds(found) == {}
    assert path(found) == {"task 1": 60, "run 20": 40}


def test_what_outlives_the_request_is_passed_by() -> None:
    found = drawn(job(FIRST, 10, 300, 300), task(SECOND, 20, 100, ROOT), wait(2, 30, 90))
    assert kinds(found) == {"task 1": "producer", "job 20": "consumer", "task 30": "consumer"}
    assert path(found) == {"task 1": 40, "wait 2": 60}
    assert found["job 20"].end_ns == 300 * MS


def test_who_spawned_the_one_that_was_waited_for_stays() -> None:
    """The first goes on after the second, that it made, was waited for."""
    made = task(SECOND, 10, 60, FIRST)
    found = drawn(task(FIRST, 0, 80, ROOT), made, wait(2, 1, 60, SECOND))
    assert kinds(found) == {}
    assert path(found)["task 30"] == 50


def test_who_had_the_lock_was_not_waited_for() -> None:
    found = drawn(task(FIRST, 0, 50.01, ROOT), wait(2, 1, 50, FIRST, blockers=[Blocker("holder", None, 0, 0, 49 * MS)]))
    assert kinds(found) == {"task 1": "producer", "task 20": "consumer"}
    assert path(found) == {"task 1": 51, "wait 2": 49}


def test_what_is_shorter_than_a_wait_with_a_span_keeps_its_kind() -> None:
    assert kinds(drawn(job(FIRST, 10, 10.5, 10.9))) == {}


def test_below_who_is_passed_by_nobody_needs_a_kind() -> None:
    made = task(SECOND, 20, 60, FIRST)
    assert kinds(drawn(task(FIRST, 10, 70, ROOT), made)) == {"task 1": "producer", "task 20": "consumer"}


def test_it_hangs_below_nothing_of_the_hosts() -> None:
    """The host's spans cannot be made producers; what was waited for stays below them."""
    asked = [job_span(FIRST, 0, 95)]
    run = run_span(FIRST, 0, 95)
    awaited, alone = (job_span(number, 10, end_ms, HOSTS, FIRST) for number, end_ms in ((SECOND, 40), (THIRD, 60)))
    found = drawn(asked, run, wait(2, 1, 95, FIRST), awaited, alone, wait(3, 11, 40, SECOND, of=FIRST, parent=HOSTS))
    assert kinds(found) == {"run 20": "producer", "job 40": "consumer"}
    assert (found["job 30"].parent_id, found["job 40"].parent_id) == (HOSTS, 21)


def test_the_way_back_from_a_wait_without_a_span_is_the_waiters() -> None:
    """It worked until 59.5, waited for the job too short for a span, and came back late."""
    found = drawn(job(FIRST, 10, 60, 80), wait(2, 60, 80, parent=FIRST))
    assert found["wait 2"].parent_id == ROOT
    assert path(found) == {"task 1": 80, "wait 2": 20}
    assert kinds(found) == {}


def test_the_way_back_from_a_wait_with_a_span_is_read_with_the_job() -> None:
    found = drawn(job(FIRST, 10, 60, 80), wait(3, 20, 60, FIRST), wait(2, 60, 80, parent=FIRST))
    assert found["wait 2"].parent_id == FIRST
    assert path(found) == {"task 1": 30, "run 20": 50, "wait 2": 20}


def test_a_short_job_is_read_with_the_way_back_from_it() -> None:
    found = drawn(job(FIRST, 59.5, 60, 80), wait(2, 60, 80, parent=FIRST))
    assert found["wait 2"].parent_id == FIRST
    assert path(found) == {"task 1": 80, "wait 2": 20}


def block_and_wait(start_ms: float, end_ms: float) -> list[SpanSpec]:
    """A stretch on the loop, and a wait for a lock within it."""
    return [_span("block", 3, ROOT, start_ms, end_ms, AboutBlock(ROOT)), wait(4, start_ms + 5, start_ms + 10)]


def test_a_block_holds_its_waits_unless_the_path_comes_back_into_it() -> None:
    """It does where a job began that outlived it and was waited for, and not where nobody waited for that one."""
    early, late = job(FIRST, 18, 80, 80), job(SECOND, 25, 90, 90)
    found = drawn(block_and_wait(0, 20), early, wait(2, 30, 90, SECOND), late)
    assert found["wait 4"].parent_id == found["block"].span_id
    assert path(found) == {"task 1": 15, "block": 15, "wait 4": 5, "run 30": 65}
    found = drawn(block_and_wait(0, 20), early, wait(2, 30, 80, FIRST))
    assert found["wait 4"].parent_id == ROOT
    assert path(found) == {"task 1": 33, "wait 4": 5, "run 20": 62}
