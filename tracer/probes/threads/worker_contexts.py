"""Since Python 3.14 a worker of an executor runs its jobs in a context; `InterpreterPoolExecutor`'s is an
interpreter. What goes there must be shareable, so the clocks are read around the context's call, on the worker's
thread."""

import threading
from concurrent.futures import ThreadPoolExecutor, thread
from typing import Any, Final

from whywait.tracer.host.introspection import take_this_frame_out
from whywait.tracer.hotpath.core import run_job
from whywait.tracer.hotpath.jobs import timed_initializer
from whywait.tracer.probes.patches import Patches, named_as
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.request import Job, Pool

NEEDS: Final = (
    "concurrent.futures.thread._WorkItem.run", "concurrent.futures.thread.WorkerContext.initialize",
    "concurrent.futures.thread.ThreadPoolExecutor.prepare_context",
)  # fmt: skip
_Observation = tuple[Pool, Job | None, Occupancy]
_here = threading.local()  # `observation`: of the job that this thread submits


def has_own_context(executor: Any) -> bool:
    """Whether the executor's jobs run in another context than its threads."""
    prepare = getattr(type(executor), "prepare_context", None)
    plain = getattr(ThreadPoolExecutor, "prepare_context", None)
    return getattr(prepare, "__func__", None) is not getattr(plain, "__func__", None)


def observe_next(observation: _Observation | None) -> None:
    """The job that this thread submits next is observed from outside; None: no longer."""
    _here.observation = observation


def install(patches: Patches) -> None:
    """Add the patches of Python 3.14's worker contexts."""
    context_class: Any = vars(thread)["WorkerContext"]
    timed = timed_initializer(context_class.initialize, lambda context: getattr(context, "initializer", None))
    patches.replace(context_class, "initialize", timed)
    patches.replace(thread, "_WorkItem", _observed(vars(thread)["_WorkItem"]))


def _observed(plain: Any) -> type[Any]:
    plain_init, plain_run = plain.__init__, plain.run

    class WorkItem(plain):  # type: ignore[misc]
        def __init__(self, future: Any, task: Any) -> None:
            plain_init(self, future, task)
            self.observation = _here.__dict__.pop("observation", None)

        def run(self, ctx: Any) -> None:
            try:
                plain_run(self, ctx if self.observation is None else _Observed(ctx, self.observation))
            finally:
                self = None  # type: ignore[assignment]  # an exception's frames lead back to this one, and it to the future

    named_as(WorkItem, plain)
    return WorkItem


class _Observed:
    """A worker's context for one job."""

    __slots__ = ("_context", "_observation")

    def __init__(self, context: Any, observation: _Observation) -> None:
        self._context = context
        self._observation = observation

    def run(self, task: Any) -> Any:
        try:
            return run_job(*self._observation, self._context.run, task)
        except BaseException as error:
            take_this_frame_out(error)
            raise
        finally:
            self = task = None  # type: ignore[assignment]  # the frames of an exception refer to this one
