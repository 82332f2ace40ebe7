"""What a loop did to those who were ready, and that the loop itself is as it was."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

import whywait
from tests.tracer.conftest import Traced
from whywait import phase
from whywait.tracer.schema import SHORT_IO, SMALL_PREFIX

Begin = Callable[..., Traced]


def hold_the_loop(seconds: float) -> None:
    time.sleep(seconds)


def compute_on_the_loop(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


async def victim() -> None:
    with phase("victim"):
        await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.02)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("hold", [hold_the_loop, compute_on_the_loop])
def test_the_blocker_of_the_loop_is_named(traced_to: Begin, hold: Any, factory: Any) -> None:
    async def blocker() -> None:
        await asyncio.sleep(0.005)
        with phase("blocker"):
            hold(0.2)

    async def main() -> None:
        await asyncio.gather(victim(), blocker())

    spans = traced_to()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    spans.stop()
    trace_id = spans.one("victim").trace_id
    busy = [span for span in spans.of_kind("wait") if span.trace_id == trace_id and span["wait"] == "loop_busy"]
    assert sum(span.ms for span in busy) == pytest.approx(185, rel=0.2)
    chief = max(busy, key=lambda span: span.ms)
    assert chief["blocker.function"] == hold.__name__
    assert chief["blocker.file"] == __file__
    assert chief["blocker.line"] > 0
    assert chief["blocker.trace_id"] == spans.one("blocker").trace_id


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_callbacks_that_outlive_their_session_leave_the_next_one_whole(traced_to: Begin, factory: Any) -> None:
    async def stops(first: Traced) -> None:
        for _ in range(3):  # they were scheduled while it was traced
            asyncio.get_running_loop().call_soon(time.perf_counter)
        first.stop()
        await asyncio.sleep(0.01)

    async def blocker() -> None:
        await asyncio.sleep(0.005)
        hold_the_loop(0.1)

    async def main() -> None:
        await asyncio.gather(victim(), blocker())

    first = traced_to()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(stops(first))
        spans = traced_to()
        runner.run(main())
    spans.stop()
    (busy,) = [span for span in spans.of_kind("wait") if span["wait"] == "loop_busy" and span.ms > 50]
    assert busy["blocker.function"] == hold_the_loop.__name__


def test_many_short_callbacks_are_one_blocker(traced_to: Begin) -> None:
    async def chatter(until: float) -> None:
        while time.perf_counter() < until:
            await asyncio.sleep(0)

    async def main() -> None:
        # a future that is done while others keep the loop busy with short steps
        talkers = [asyncio.create_task(chatter(time.perf_counter() + 0.1)) for _ in range(200)]
        with phase("victim"):
            for _ in range(20):
                await asyncio.sleep(0)
        await asyncio.gather(*talkers)

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    (root,) = [span for span in spans.of_kind("task") if span["root"]]
    waits = spans.of_kind("wait")
    preempted = sum((span["run_queue_ns"] or 0) + (span["gil_ns"] or 0) for span in waits)
    busy = root["small.loop_busy_ns"] or 0
    busy += sum(span.end_ns - span.start_ns for span in waits if span["wait"] == "loop_busy")
    own = root["run_ns"]  # of its own steps, some of it without a CPU on a loaded machine
    assert busy + preempted > 0.5 * (root.end_ns - root.start_ns - own)


def test_handles_read_and_compare_as_before(traced_to: Begin) -> None:
    async def main() -> tuple[str, str, bool]:
        loop = asyncio.get_running_loop()
        handle, timer = loop.call_soon(print, end=""), loop.call_later(10, print)
        said = type(handle).__name__, type(timer).__name__, isinstance(handle, asyncio.Handle)
        handle.cancel()
        timer.cancel()
        return said

    def names() -> tuple[str, str, bool]:
        return asyncio.run(main())

    async def fixed() -> tuple[str, str, bool]:
        loop = asyncio.get_running_loop()
        handle, timer = loop.call_soon(int), loop.call_later(10, int)
        said = (repr(handle)[:8], repr(timer)[:13], isinstance(handle, asyncio.Handle))
        handle.cancel()
        timer.cancel()
        return said

    without = asyncio.run(fixed())
    spans = traced_to()
    assert asyncio.run(fixed()) == without
    spans.stop()


def test_timers_set_before_and_after_share_a_heap() -> None:
    async def main() -> list[int]:
        loop, order = asyncio.get_running_loop(), []
        begun_s = loop.time() + 0.3  # later than `start` is done, however slow the machine
        for number in (3, 1):
            loop.call_at(begun_s + number / 100, order.append, number)
        whywait.start()
        for number in (4, 2):
            loop.call_at(begun_s + number / 100, order.append, number)
        await asyncio.sleep(begun_s + 0.025 - loop.time())
        whywait.stop()
        loop.call_at(begun_s + 0.05, order.append, 5)
        await asyncio.sleep(begun_s + 0.1 - loop.time())
        return order

    assert asyncio.run(main()) == [1, 2, 3, 4, 5]


def test_exceptions_of_callbacks_reach_the_handler(traced_to: Begin) -> None:
    async def main() -> list[str]:
        loop, seen = asyncio.get_running_loop(), []
        loop.set_exception_handler(lambda _, context: seen.append(repr(context["exception"])))

        def fail() -> None:
            raise ValueError("as ever")

        loop.call_soon(fail)
        loop.call_later(0.001, fail)
        await asyncio.sleep(0.01)
        return seen

    spans = traced_to()
    assert asyncio.run(main()) == ["ValueError('as ever')"] * 2
    spans.stop()


def test_an_interrupt_in_a_callback_ends_the_loop(traced_to: Begin) -> None:
    async def main() -> None:
        def interrupt() -> None:
            raise KeyboardInterrupt

        asyncio.get_running_loop().call_soon(interrupt)
        await asyncio.sleep(1)

    spans = traced_to()
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    spans.stop()


def test_an_error_nobody_retrieved_is_still_reported(traced_to: Begin) -> None:
    async def fail() -> None:
        raise ValueError("unseen")

    async def main() -> list[str]:
        loop, seen = asyncio.get_running_loop(), []
        loop.set_exception_handler(lambda _, context: seen.append(context["message"]))
        with phase("root"):
            task = asyncio.create_task(fail())
            await asyncio.sleep(0.01)
        del task
        return seen

    spans = traced_to()
    assert asyncio.run(main()) == ["Task exception was never retrieved"]
    spans.stop()


def test_start_and_stop_inside_a_running_loop(tmp_path: Any) -> None:
    async def main() -> None:
        for _ in range(2):
            whywait.start(output=tmp_path)
            whywait.start()  # a second one changes nothing
            await victim()
            whywait.stop()
            whywait.stop()

    asyncio.run(main())
    text = "".join(path.read_text() for path in tmp_path.glob("*.jsonl"))
    assert text.count('"name":"victim"') == 2


def test_stop_while_a_phase_is_open(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("open"):
        spans.stop()
    assert spans.named("open") == []


def test_a_collection_that_nobody_asked_for_says_who_made_objects(traced_to: Begin) -> None:
    import gc

    spans = traced_to()
    # A full collection comes by itself when the new objects are a quarter of the old ones: a test
    # run with millions of objects must not be what these are compared with.
    gc.freeze()
    try:
        gc.collect()
        with phase("root"):
            more = [[number] for number in range(400_000)]
    finally:
        gc.unfreeze()
    spans.stop()
    pauses = [span for span in spans.of_kind("wait") if span["wait"] == "gc_pause"]
    assert pauses
    assert {span["for"] for span in pauses} <= {f"generation {number}" for number in range(3)}
    assert {span.attributes["code.function.name"] for span in pauses} == {
        "test_a_collection_that_nobody_asked_for_says_who_made_objects"
    }
    assert len(more) == 400_000


def test_garbage_collection_is_named(traced_to: Begin) -> None:
    import gc

    keep = [[number] for number in range(400_000)]
    spans = traced_to()
    with phase("root"):
        gc.collect()
    spans.stop()
    asked = [span for span in spans.of_kind("wait") if span["for"] == "gc.collect of generation 2"]
    assert {span["wait"] for span in asked} == {"gc_pause"}
    assert {span.attributes["code.function.name"] for span in asked} == {"test_garbage_collection_is_named"}
    assert len(keep) == 400_000


async def go_round(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_task_that_only_yields_computes_and_is_named(traced_to: Begin, factory: Any) -> None:
    async def main() -> None:
        with phase("spins"):
            await go_round(4_000)

    spans = traced_to()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    spans.stop()
    (task,) = (span for span in spans.of_kind("task") if span.trace_id == spans.one("spins").trace_id)
    assert task["steps"] >= 4_000
    assert task["incomplete"] is None
    assert (task["ran.names"], task["ran.files"]) == (["go_round"], [__file__])
    assert 0 < task["turned_ns"] < task["cpu_ns"] <= (task.end_ns - task.start_ns)
    waited = sum(value for key, value in task.attributes.items() if key.startswith("whywait.small."))
    assert waited < 0.3 * (task.end_ns - task.start_ns)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_short_waits_for_answers_are_told_from_others(traced_to: Begin, factory: Any) -> None:
    async def main() -> None:
        own, other = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=own)
        with phase("asks"):
            for _ in range(200):
                asyncio.get_running_loop().call_soon(other.send, b"x")
                await reader.readexactly(1)
        writer.close()
        other.close()

    spans = traced_to()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    spans.stop()
    (task,) = (span for span in spans.of_kind("task") if span.trace_id == spans.one("asks").trace_id)
    assert task.attributes[f"{SMALL_PREFIX}{SHORT_IO}_ns"] > 10 * task.attributes.get(f"{SMALL_PREFIX}await_ns", 0)


LIBRARY = """
import asyncio
async def rounds(times):
    for _ in range(times):
        await asyncio.sleep(0)
"""


def test_a_library_that_yields_is_not_named(traced_to: Begin) -> None:
    made: dict[str, Any] = {}
    exec(compile(LIBRARY, "/venv/lib/python3/site-packages/made_up.py", "exec"), made)

    async def main() -> None:
        with phase("outer"):
            await asyncio.create_task(made["rounds"](4_000))

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    (task,) = (span for span in spans.of_kind("task") if (span["steps"] or 0) >= 4_000)
    assert (task["ran.names"], task["turned_ns"]) == (None, None)


def test_a_short_sleep_is_no_turn(traced_to: Begin) -> None:
    async def main() -> None:
        with phase("sleeps"):
            for _ in range(20):
                await asyncio.sleep(0.0005)

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    (task,) = (span for span in spans.of_kind("task") if span.trace_id == spans.one("sleeps").trace_id)
    assert task["turned_ns"] is None
