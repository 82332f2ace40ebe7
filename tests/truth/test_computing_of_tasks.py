"""What tasks compute for a request is its computing: tasks of its own that take turns on the loop, and the jobs of a
worker task that serves all requests."""

import asyncio
import gc
import inspect
import time
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.util.concurrency import greenlet_spawn

import whywait
from testbed.disturbed import disturbed
from tests.tracer.conftest import Traced, traced_to
from whywait import analysis
from whywait.analysis.situations.situation import Situation
from whywait.analysis.verdicts.judgement import Judgement, judge

__all__ = ["traced_to"]
Begin = Callable[..., Traced]
EACH_MS = 20
TIMES = 5


def compute() -> int:
    """Compute for `EACH_MS` of this thread's CPU time; returns ns of wall time that this took."""
    began_ns, until_ns = time.perf_counter_ns(), time.thread_time_ns() + EACH_MS * 1_000_000
    while time.thread_time_ns() < until_ns:
        sum(range(200))
    return time.perf_counter_ns() - began_ns


def judged_of(traced: Traced, endpoint: str) -> Judgement:
    (one,) = [one for one in judge(analysis.analyze(traced.output)) if one.endpoint.endswith(endpoint)]
    return one


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_tasks_of_a_request_that_take_turns_are_its_computing(traced_to: Begin, loop: str) -> None:
    async def score() -> int:
        return compute()

    @whywait.traced
    async def ranking() -> None:
        await asyncio.gather(*(score() for _ in range(TIMES)))

    traced = traced_to()
    pytest.importorskip("uvloop").run(ranking()) if loop == "uvloop" else asyncio.run(ranking())
    traced.stop()
    told = judged_of(traced, "ranking")
    (reason,) = [one for one in told.reasons if one.cause is analysis.Cause.COMPUTE]
    assert reason.mean_ns / 1e6 == pytest.approx(TIMES * EACH_MS, rel=0.1)
    assert reason.culprit.rpartition(".")[2] == "compute"
    assert [one.kind for one in told.situations if one.kind is Situation.COMPUTES_ON_LOOP]
    assert analysis.Cause.LOOP_BUSY not in [one.cause for one in told.reasons]


@pytest.fixture
def no_gc() -> Iterator[None]:
    """What the garbage collector takes is a cause of its own, and as much as all tests before this one have left."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("each_us", [30, 300])
def test_hundreds_of_short_tasks_of_a_request_are_its_computing(traced_to: Begin, loop: str, each_us: int) -> None:
    """As where each field of a large answer has a task of its own: each step is short, and many of them are a run."""
    used_ns, took_ns = [], []

    def resolve() -> None:
        until_ns = time.thread_time_ns() + each_us * 1000
        while time.thread_time_ns() < until_ns:
            pass

    async def field() -> None:
        resolve()

    async def level(depth: int) -> None:
        await asyncio.gather(*(level(depth - 1) if depth else field() for _ in range(6)))

    @whywait.traced
    async def answer() -> None:
        began_ns, cpu_ns = time.perf_counter_ns(), time.thread_time_ns()
        await level(2)
        used_ns.append(time.thread_time_ns() - cpu_ns)
        took_ns.append(time.perf_counter_ns() - began_ns)

    traced = traced_to()
    pytest.importorskip("uvloop").run(answer()) if loop == "uvloop" else asyncio.run(answer())
    traced.stop()
    if took_ns[0] > 1.2 * used_ns[0]:
        disturbed("its thread had no CPU for a sixth of the time")
    told = judged_of(traced, "answer")
    (reason,) = [one for one in told.reasons if one.cause is analysis.Cause.COMPUTE]
    assert reason.mean_ns == pytest.approx(used_ns[0], rel=0.15)
    assert reason.culprit.rpartition(".")[2] in ("level", "field", "resolve")
    assert [one.kind for one in told.situations if one.kind is Situation.COMPUTES_ON_LOOP]


@pytest.mark.usefixtures("no_gc")
def test_who_queues_for_a_worker_task_is_told_of_the_task_and_of_what_it_computes(traced_to: Begin) -> None:
    queue: asyncio.Queue[asyncio.Future[int]] = asyncio.Queue()
    waited_ns = []

    async def worker() -> None:
        while True:
            asked = await queue.get()
            asked.set_result(await asyncio.to_thread(compute))

    @whywait.traced
    async def scan() -> None:
        asked = asyncio.get_running_loop().create_future()
        queue.put_nowait(asked)
        began_ns = time.perf_counter_ns()
        await asked
        waited_ns.append(time.perf_counter_ns() - began_ns)

    async def main() -> None:
        await asyncio.to_thread(compute)  # its thread starts
        task = asyncio.ensure_future(worker())
        await asyncio.sleep(0)
        await asyncio.gather(*(scan() for _ in range(TIMES)))
        task.cancel()

    traced = traced_to()
    asyncio.run(main())
    traced.stop()
    found = analysis.analyze(traced.output)
    (told,) = judge(found)
    (reason,) = [one for one in told.reasons if one.cause is analysis.Cause.COMPUTE]
    assert reason.mean_ns / 1e6 == pytest.approx(EACH_MS * (TIMES + 1) / 2, rel=0.1)  # however busy the CPUs are
    # what remains is another program's: a job that has no CPU is no blocked one
    assert analysis.Cause.BLOCKING_IO not in [one.cause for one in told.reasons]
    assert found.causes["amount_ns"].sum() == pytest.approx(sum(waited_ns), rel=0.1)  # also what is not significant
    assert reason.culprit == "compute"
    assert reason.remedy.situation is Situation.CONSUMER
    (consumer,) = [one for one in told.situations if one.kind is Situation.CONSUMER and one.of is reason.cause]
    assert str(consumer.numbers["task"]).endswith("worker")


class Base(DeclarativeBase):
    """Of the one table."""


class Article(Base):
    __tablename__ = "articles"
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def test_what_a_library_computes_in_a_greenlet_is_the_users(traced_to: Begin) -> None:
    """SQLAlchemy makes objects of rows in a greenlet, whose stack has no code of the user's."""
    took_ns = [0]

    @whywait.traced
    async def load(session: Session) -> int:
        began_ns = time.perf_counter_ns()
        found = await greenlet_spawn(session.scalars(sqlalchemy.select(Article)).all)
        rows = len(found)
        del found  # which takes its time, too
        took_ns[0] = time.perf_counter_ns() - began_ns
        return rows

    engine = sqlalchemy.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.execute(sqlalchemy.insert(Article), [{"number": number, "name": "a"} for number in range(30_000)])
        gc.collect()
        gc.freeze()  # what the tests before have left would be walked over at the request's end, too
        gc.collect()  # and is no longer what the rows must be a quarter of before all generations are collected
        traced = traced_to()
        asyncio.run(load(session))
        gc.unfreeze()
        traced.stop()
    engine.dispose()
    ran = [name for one in traced.of_kind("block") for name in one["ran.names"] or ()]
    assert {*ran} == {load.__qualname__}
    found = analysis.analyze(traced.output).culprits
    pauses = found[found["cause"] == analysis.Cause.GC_PAUSE]
    assert {*pauses["culprit_line"]} == {
        inspect.unwrap(load).__code__.co_firstlineno + 3
    }  # where it awaits the greenlet
    own = found[found["cause"].isin([analysis.Cause.COMPUTE, analysis.Cause.GC_PAUSE])]
    assert own.loc[own["culprit"] == load.__qualname__, "ns"].sum() == pytest.approx(took_ns[0], rel=0.15)
