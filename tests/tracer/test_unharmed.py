"""What the host sees of its errors, and how long its objects live, is what it would be without us."""

import asyncio
import enum
import functools
import gc
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace

import whywait
from tests.tracer.conftest import Traced, read
from whywait import analysis, phase
from whywait.tracer.hotpath import recorder

Begin = Callable[..., Traced]
PACKAGE = Path(whywait.__file__).parent


class Thing:
    """Something whose end can be seen."""


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Only reference counts free anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def frames_of_ours(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{one.filename}:{one.lineno}" for one in frames if Path(one.filename).is_relative_to(PACKAGE)]


def fail(thing: Any) -> None:
    del thing
    raise ValueError("on purpose")


def test_a_jobs_traceback_has_no_frame_of_ours(traced_to: Begin) -> None:
    traced_to()
    with ThreadPoolExecutor(1) as pool, phase("root"):
        with pytest.raises(ValueError, match="on purpose") as waited:
            pool.submit(fail, Thing()).result()
        with pytest.raises(ValueError, match="invalid literal") as from_c:
            pool.submit(int, "no number").result()
        never: Future[None] = Future()
        with pytest.raises(TimeoutError) as timed_out:
            never.result(timeout=0.001)
    with pytest.raises(ValueError, match="on purpose") as outside, ThreadPoolExecutor(1) as pool:
        pool.submit(fail, Thing()).result()
    with pytest.raises(RuntimeError) as refused:
        pool.submit(fail, Thing())
    for error in (waited, from_c, timed_out, outside, refused):
        assert frames_of_ours(error.value) == []
    assert [one.name for one in traceback.extract_tb(waited.value.__traceback__)][-2:] == ["run", "fail"]


def test_a_worker_threads_traceback_has_no_frame_of_ours(traced_to: Begin) -> None:
    import anyio.to_thread

    async def main() -> BaseException:
        with phase("root"), pytest.raises(ValueError, match="on purpose") as caught:
            await anyio.to_thread.run_sync(fail, Thing())
        return caught.value

    traced_to()
    assert frames_of_ours(asyncio.run(main())) == []


def test_a_failed_task_of_anyio_is_let_go_with_its_error(traced_to: Begin, without_collector: None) -> None:
    """Until Python 3.13 a frame keeps the copy of its variables that it is once asked for."""
    import anyio

    handles: list[weakref.ref[Any]] = []

    async def fails() -> None:
        handles.extend(weakref.ref(one) for one in gc.get_objects() if type(one).__name__ == "TaskHandle")
        raise ValueError("on purpose")

    async def main() -> BaseException:
        with phase("root"):
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(fails)
            except ExceptionGroup as errors:
                return errors.exceptions[0]
        raise AssertionError("it must fail")

    traced_to()
    error = anyio.run(main)
    if not handles:
        pytest.skip("this anyio keeps no handle of its tasks")
    assert isinstance(error, ValueError)
    assert all(one() is None for one in handles)


def test_a_callers_own_copy_of_its_variables_is_left_alone(traced_to: Begin) -> None:
    traced_to()
    with phase("root"), ThreadPoolExecutor(1) as pool:
        before = locals()
        names = set(before)
        threading.Thread(target=time.sleep, args=(0.001,)).start()
        pool.submit(time.sleep, 0.001).result()
        assert names <= set(before)


@pytest.mark.parametrize("in_request", [False, True])
def test_a_failed_job_keeps_neither_its_arguments_nor_its_future(
    traced_to: Begin, without_collector: None, in_request: bool
) -> None:
    untraced = kept_by_a_failed_job()
    if sys.version_info < (
        3,
        14,
    ):  # since then a frame of Python's own, in the exception's traceback, keeps the arguments
        assert untraced == (False, False, False)
    traced_to()
    with phase("root") if in_request else nullcontext():
        assert kept_by_a_failed_job() == untraced


def kept_by_a_failed_job() -> tuple[bool, bool, bool]:
    """Whether its argument lives while its exception does, and whether the argument and the future live after it."""
    errors = []
    with ThreadPoolExecutor(1) as pool:
        thing = Thing()
        seen = weakref.ref(thing)
        future: Future[None] | None = pool.submit(fail, thing)
        del thing
        assert future is not None
        life = weakref.ref(future)
        try:
            future.result()
        except ValueError as error:
            errors.append(error)
        future = None
        pool.submit(int).result()  # the worker has let go of the job before
        with_the_exception = seen() is not None
        errors.clear()
        return with_the_exception, seen() is not None, life() is not None


def test_where_a_callback_was_scheduled_is_the_hosts_line(traced_to: Begin) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        handles: list[Any] = [loop.call_soon(int), loop.call_later(0, int), asyncio.Handle(int, (), loop)]
        await asyncio.sleep(0.001)
        for handle in handles:
            assert handle._source_traceback[-1].filename == __file__

    traced_to()
    asyncio.run(main())


def test_where_a_task_was_created_is_the_hosts_line(traced_to: Begin) -> None:
    """With a task factory too, which may be told of it in the midst of the stack."""

    def made(loop: Any, coro: Any, **named: Any) -> Any:
        return asyncio.Task(coro, loop=loop, **named)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        for factory in (None, made):
            loop.set_task_factory(factory)
            task: Any = loop.create_task(asyncio.sleep(0))
            where = [one for one in task._source_traceback if not one.filename.endswith("base_events.py")]
            assert where[-1].filename == __file__
            assert not [one for one in where if "eager_tasks" in one.filename]
            await task

    traced_to()
    asyncio.run(main())


@pytest.mark.parametrize("loop_kind", ["asyncio", "uvloop"])
def test_a_failed_task_ends_when_its_last_user_lets_go(
    traced_to: Begin, without_collector: None, loop_kind: str
) -> None:
    async def broken() -> None:
        raise ValueError("on purpose")

    async def main() -> tuple[bool, list[str]]:
        messages: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: messages.append(told["message"]))
        with phase("root"):
            task = asyncio.create_task(broken())
            await asyncio.sleep(0.01)
        life = weakref.ref(task)
        del task
        return life() is None, messages

    traced_to()
    factory: Any = asyncio.new_event_loop
    if loop_kind == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(main()) == (True, ["Task exception was never retrieved"])


def test_threads_that_fail_print_what_they_would(traced_to: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[list[str]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(frames_of_ours(args.exc_value)))
    traced_to()
    thread = threading.Thread(target=fail, args=(Thing(),))
    thread.start()
    thread.join()
    assert told == [[]]


class Proxy:
    """Answers to any name, and remembers that it was asked; as callable as a function."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise RuntimeError(f"no {name} outside a request")
        self.asked.append(name)
        return self

    def __call__(self) -> int:
        time.sleep(0.001)  # long enough to be remembered
        return 7


def test_a_callback_that_answers_to_any_name_is_called_and_never_asked(traced_to: Begin) -> None:
    async def main(proxy: Proxy) -> None:
        loop = asyncio.get_running_loop()
        with phase("root"):
            loop.call_soon(proxy)
            loop.call_later(0.001, proxy)
            await asyncio.sleep(0.01)
            loop.call_soon(functools.partial(proxy))
            assert await loop.run_in_executor(None, proxy) == 7
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(proxy).result() == 7

    spans = traced_to()
    installed = set(recorder.active.undo) if recorder.active else set()
    proxy = Proxy()
    asyncio.run(main(proxy))
    assert recorder.active is not None
    assert set(recorder.active.undo) == installed, "a probe was removed"
    assert proxy.asked == []
    spans.stop()
    assert spans.one("Proxy")["kind"] == "run"


def test_what_a_coroutine_like_object_answers_is_not_taken_for_its_code(traced_to: Begin) -> None:
    class Once(Coroutine[Any, Any, int]):
        """Asked for anything it does not have, it makes something up."""

        def __init__(self) -> None:
            self.steps = 0

        def __getattr__(self, name: str) -> Any:
            return Proxy()

        def send(self, value: Any) -> Any:
            self.steps += 1
            time.sleep(0.002)  # long enough for a span
            if self.steps == 1:
                return None
            raise StopIteration(7)

        def throw(self, *error: Any) -> Any:
            raise error[0]

        def close(self) -> None: ...

        def __await__(self) -> Any:
            return self

    async def main() -> int:
        with phase("root"):
            task: asyncio.Task[int] = asyncio.get_running_loop().create_task(Once())
            return await task

    spans = traced_to()
    assert asyncio.run(main()) == 7
    spans.stop()
    assert any(span.name.endswith("Once") for span in spans.of_kind("task"))


def test_what_is_said_of_the_current_span_is_said_of_the_span_around(traced_to: Begin) -> None:
    """As without the tracer: `to_thread` keeps the span that its caller stood in."""
    spans = traced_to()
    theirs = trace.get_tracer("theirs")

    def job() -> bool:
        current = trace.get_current_span()
        current.set_attribute("from.job", 1)
        current.add_event("event of the job")
        return current.is_recording()

    async def main() -> None:
        with whywait.phase("request"), theirs.start_as_current_span("their span"), whywait.phase("inner"):
            with whywait.phase("innermost"):
                trace.get_current_span().set_attributes({"from.phase": 2})
            assert await asyncio.to_thread(job)
            assert not await asyncio.get_running_loop().run_in_executor(None, job)  # it loses its caller's context

    asyncio.run(main())
    spans.stop()
    said = spans.one("their span").attributes
    assert (said["from.job"], said["from.phase"]) == (1, 2)
    assert not any("from.job" in span.attributes for span in spans.spans if span.name != "their span")


def test_phases_may_nest_deeply(traced_to: Begin) -> None:
    spans = traced_to()

    def nest(depth: int) -> None:
        with whywait.phase("level"):
            trace.get_current_span().set_attribute("depth", depth)
            if depth:
                nest(depth - 1)

    nest(300)
    spans.stop()
    assert spans.of_kind("phase")


def test_the_hosts_odd_spans_take_no_others_with_them(tmp_path: Path) -> None:
    """The SDK takes any name and any time. The file's library loses a whole lot for such a name, and writes a time
    that no reader knows."""

    class Name(enum.Enum):
        ODD = 1

    whywait.start("test", output=tmp_path / "t.jsonl")
    lost = recorder.active.lost if recorder.active is not None else {}
    own = trace.get_tracer("the host's")
    own.start_span(Name.ODD).end()  # type: ignore[arg-type]
    own.start_span("a float", start_time=1.5e18).end()  # type: ignore[arg-type]
    with own.start_as_current_span("plain") as plain:
        plain.add_event("at an odd time", timestamp=1.5e18)  # type: ignore[arg-type]
    own.start_span("sound").end()
    whywait.stop()
    assert lost["odd span"] == 3
    assert [one.name for one in read(tmp_path / "t.jsonl") if one.scope == "the host's"] == ["sound"]
    assert "sound" in list(analysis.load_traces(tmp_path / "t.jsonl").spans["name"])
