"""A wait that a task of no request ended, cut into that task's own waits."""

import re
from typing import Any

from whywait.tracer.host.code_location import Place, Site
from whywait.tracer.records.background import BackgroundJob, BackgroundTask, BackgroundWait, OtherThread
from whywait.tracer.records.request import ARRIVAL, IO, TIMER, Activity, Request, Wait, Waker
from whywait.tracer.schema import WAIT_AWAIT
from whywait.tracer.spans.past import Past
from whywait.tracer.spans.waits.background import followed

LOOP: Any = object()
MINE, OTHER = (Request(number, 0, 1, 0, 100) for number in (1, 2))
QUEUE = Site(Place("batcher", "/app/serve.py", 18), "Queue.get", "asyncio.queues")
LOCK = QUEUE._replace(leaf_function="Lock.acquire", leaf_module="asyncio.locks")
WAITED = Site(Place("score", "/app/serve.py", 40), "score", "serve")


class Anything:
    pass


def task() -> BackgroundTask:
    return BackgroundTask(Anything(), None, LOOP)


def until(drawing: str, ended_by: dict[str, Waker], of: BackgroundTask, site: Site = QUEUE) -> list[BackgroundWait]:
    """`a` in "  aaaa+++bb": a wait while it is drawn, ended by `ended_by["a"]`, and ready without running at `+`."""
    return [
        BackgroundWait(found.start(), found.end(), found.start() + len(found[1]), ended_by[found[1][0]], site, of)
        for found in re.finditer(r"(([a-z])\2*)\+*", drawing)
    ]


def told(wait: Wait, waits: list[BackgroundWait], loop: Any = LOOP) -> list[tuple[int, int, int, Waker]]:
    past: dict[int, list[BackgroundWait]] = {}
    for one in waits:
        past.setdefault(id(one.task), []).append(one)
    parts = followed(wait, loop, Past(background=past), MINE)
    return [(one.wait.start_ns, one.wait.cause_ns, one.wait.end_ns, one.wait.by) for one in parts]


def wait_for(by: Waker, start_ns: int, cause_ns: int, end_ns: int) -> Wait:
    return Wait(WAIT_AWAIT, start_ns, cause_ns, end_ns, by, WAITED, 0)


def test_the_parts_are_the_tasks_own_waits_and_what_the_loop_did_until_the_next() -> None:
    batcher = task()
    waits = until(
        # 0    5    10   15   20
        "  ttttttt++  iiiii    qqq", {"t": TIMER, "i": IO, "q": IO}, batcher
    )  # fmt: skip
    assert told(wait_for(batcher, 4, 20, 22), waits) == [(4, 9, 13, TIMER), (13, 18, 22, IO)]


def test_what_ran_before_its_first_wait_is_the_loops_time() -> None:
    batcher = task()
    parts = told(wait_for(batcher, 0, 12, 12), until("     ttttt", {"t": TIMER}, batcher))
    assert parts == [(0, 0, 5, batcher), (5, 10, 12, TIMER)]


def test_one_task_of_no_request_behind_another() -> None:
    batcher, reader = task(), task()
    waits = until("  rrrrrrrr", {"r": reader}, batcher) + until("  iiiiii", {"i": IO}, reader)
    assert told(wait_for(batcher, 2, 11, 11), waits) == [(2, 8, 11, IO)]


def test_tasks_that_wait_for_each_other_end_somewhere() -> None:
    one, other = task(), task()
    waits = until("aaaaaaa", {"a": other}, one) + until("bbbbbbb", {"b": one}, other)
    parts = told(wait_for(one, 0, 9, 9), waits)
    assert (parts[0][0], parts[-1][2]) == (0, 9)


def test_what_another_request_brought_is_an_arrival_and_a_lock_that_it_had_is_its_own() -> None:
    batcher = task()
    bringing = Activity(OTHER, None, 0, 0)
    wait = wait_for(batcher, 0, 9, 9)
    assert told(wait, until("aaaaa", {"a": bringing}, batcher)) == [(0, 5, 9, ARRIVAL)]
    assert told(wait, until("aaaaa", {"a": bringing}, batcher, LOCK)) == [(0, 5, 9, bringing)]
    assert told(wait, until("aaaaa", {"a": MINE.root}, batcher)) == [(0, 5, 9, MINE.root)]


def test_a_lock_that_a_task_of_no_request_had_is_a_turn_and_not_that_tasks_work() -> None:
    flusher = task()
    wait = wait_for(flusher, 2, 8, 9)
    waits = until("  iiiiii", {"i": IO}, flusher)
    assert told(wait, waits) == [(2, 8, 9, IO)]
    assert told(wait._replace(site=LOCK), waits) == [(2, 8, 9, flusher)]


def test_a_task_of_another_loop_is_told_with_its_loop() -> None:
    batcher, here = task(), object()
    waits = until("ttttt", {"t": TIMER}, batcher)
    wait = wait_for(batcher, 0, 7, 9)
    assert told(wait, waits, here) == [(0, 5, 7, TIMER), (7, 7, 9, batcher)]
    parts = followed(wait, LOOP, Past(background={id(batcher): waits}), MINE)
    assert [one.loop for one in parts] == [LOOP]


def test_without_its_waits_the_wait_stays_whole() -> None:
    batcher = task()
    assert told(wait_for(batcher, 3, 8, 9), []) == [(3, 8, 9, batcher)]


def test_a_job_of_no_request_is_told_by_its_function() -> None:
    code = until.__code__
    job = BackgroundJob("until", code, 0, 10, cpu_ns=4, queued_ns=2, thread_id=7)
    (part,) = followed(wait_for(job, 0, 10, 10), LOOP, Past(), MINE)
    assert part.wait.site is not None
    assert part.wait.site.user == Place("until", __file__, code.co_firstlineno)


def test_a_part_of_a_job_has_as_large_a_part_of_its_times() -> None:
    job = BackgroundJob("until", None, 10, 110, cpu_ns=40, queued_ns=20, thread_id=7)
    assert job.within(60, 200) == job._replace(start_ns=60, cpu_ns=20, queued_ns=10)
    assert job.within(0, 200) == job
    assert job.within(120, 200)[2:6] == (120, 120, 0, 0)


def test_turns_are_counted_by_place_without_what_was_gathered() -> None:
    worker = BackgroundTask(Anything(), until.__code__, LOOP)
    waits = until("iii jjj kkk", {"i": IO, "j": IO, "k": IO}, worker, WAITED)
    parts = followed(wait_for(worker, 0, 11, 11), LOOP, Past(background={id(worker): waits}), MINE)
    assert [(part.task, part.turns) for part in parts] == [("until", 3)] * 3
    theirs = Activity(OTHER, None, 0, 0)
    waits = until("aaa bbb ttt", {"a": theirs, "b": theirs, "t": TIMER}, worker)
    parts = followed(wait_for(worker, 0, 11, 11), LOOP, Past(background={id(worker): waits}), MINE)
    assert [part.turns for part in parts] == [1, 1, 1]


def test_a_wait_for_a_thread_is_cut_where_that_ended_the_waits_of_others() -> None:
    marks = ((1_000_000, 0), (4_000_000, 2_900_000), (9_000_000, 7_000_000), (9_100_000, 7_100_000))
    thread = OtherThread(None, "model", 7, (*marks, (15_000_000, 12_000_000)))
    wait = wait_for(thread, 2_000_000, 15_000_000, 16_000_000)
    parts = followed(wait, LOOP, Past(), MINE)
    times = [(one.wait.start_ns, one.wait.cause_ns, one.wait.end_ns) for one in parts]
    assert times == [
        (2_000_000, 4_000_000, 4_000_000), (4_000_000, 9_000_000, 9_000_000), (9_000_000, 15_000_000, 16_000_000)
    ]  # fmt: skip
    assert {(one.task, one.turns) for one in parts} == {("thread model", 3)}
    assert [one.wait.by.marks[-1] for one in parts if isinstance(one.wait.by, OtherThread)] == [
        marks[1], marks[2], (15_000_000, 12_000_000)
    ]  # fmt: skip


def test_a_thread_that_was_started_for_the_wait_alone_has_no_turns() -> None:
    thread = OtherThread(None, "model", 7, ((3_000_000, 0), (9_000_000, 5_000_000)))
    (part,) = followed(wait_for(thread, 1_000_000, 9_000_000, 9_000_000), LOOP, Past(), MINE)
    assert (part.task, part.turns, part.wait.start_ns) == ("", 1, 1_000_000)
