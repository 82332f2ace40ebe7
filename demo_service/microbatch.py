"""Joins requests of several clients into one predict. `batcher` decides, this waits and delivers."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from demo_service.batcher import Policy, Waiting, decide
from demo_service.model.features import PodValues
from whywait import phase

Answers = list[dict[str, float]]
PredictMany = Callable[[Sequence[PodValues]], Answers]


class BatchError(Exception):
    """The batch this request was part of failed; the cause is chained."""


class Overloaded(Exception):
    """Too many pods wait already, or the service is shutting down."""


@dataclass(eq=False, slots=True)
class _Entry:
    pods: Sequence[PodValues]
    waiting: Waiting
    answer: asyncio.Future[Answers] = field(repr=False)


class MicroBatcher:
    """One batch at a time on `executor`; what arrives meanwhile forms the next. Use on one loop."""

    def __init__(self, predict_many: PredictMany, executor: Executor, policy: Policy, max_waiting_pods: int) -> None:
        self._predict_many = predict_many
        self._executor = executor
        self._policy = policy
        self._max_waiting_pods = max_waiting_pods
        self._queue: list[_Entry] = []
        self._changed = asyncio.Event()
        self._closing = False
        self._flusher = asyncio.create_task(self._flush_until_closed(), name="microbatch")

    async def predict(self, pods: Sequence[PodValues]) -> Answers:
        """Answers for `pods`, in their order. Raises `BatchError` if their batch failed, `Overloaded`
        if too much waits or the batcher is closed. Cancelling it takes the pods out, if still waiting."""
        if self._closing:
            raise Overloaded("the service is shutting down")
        waiting_pods = sum(entry.waiting.rows for entry in self._queue)
        if waiting_pods + len(pods) > self._max_waiting_pods:
            raise Overloaded(f"{waiting_pods} pods are waiting already; try again later")
        loop = asyncio.get_running_loop()
        entry = _Entry(pods, Waiting(loop.time(), len(pods)), loop.create_future())
        self._queue.append(entry)
        self._changed.set()
        try:
            return await entry.answer
        finally:
            if entry in self._queue:  # cancelled before its batch began
                self._queue.remove(entry)

    async def aclose(self) -> None:
        """Answers everybody who waits, then stops. Who comes later is refused."""
        self._closing = True
        self._changed.set()
        await self._flusher

    async def _flush_until_closed(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue or not self._closing:
            self._changed.clear()
            waiting = [entry.waiting for entry in self._queue]
            decision = decide(waiting, loop.time(), self._policy, closing=self._closing)
            if decision.flush:
                batch, self._queue = self._queue[: decision.flush], self._queue[decision.flush :]
                await self._flush(batch)
                continue
            alarm = None if decision.wait_s is None else loop.call_later(decision.wait_s, self._changed.set)
            await self._changed.wait()
            if alarm is not None:
                alarm.cancel()

    async def _flush(self, batch: list[_Entry]) -> None:
        # a trace of its own: many requests wait for it, none of them owns it
        with phase("predict batch"):
            pods = [pod for entry in batch for pod in entry.pods]
            try:
                loop = asyncio.get_running_loop()
                answers = await loop.run_in_executor(self._executor, self._predict_many, pods)
            except Exception as error:
                _fail(batch, error)
            else:
                _deliver(batch, answers)


def _deliver(batch: Sequence[_Entry], answers: Answers) -> None:
    first = 0
    for entry in batch:
        last = first + entry.waiting.rows
        if not entry.answer.done():  # a client that has gone harms nobody
            entry.answer.set_result(answers[first:last])
        first = last


def _fail(batch: Sequence[_Entry], error: Exception) -> None:
    for entry in batch:
        if not entry.answer.done():
            failure = BatchError(f"the batch failed: {type(error).__name__}")
            failure.__cause__ = error
            entry.answer.set_exception(failure)
