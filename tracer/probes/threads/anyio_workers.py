"""anyio's worker threads, which run `def` endpoints: a job from the moment it acquires its token; the limiter, so
that the tokens' holders have names."""

import functools
from collections.abc import Callable
from importlib.util import find_spec
from time import perf_counter_ns
from types import CodeType
from typing import Any, Final

from whywait.tracer.host.introspection import local_of, take_this_frame_out
from whywait.tracer.hotpath.core import make_job, occupancy_of, run_job
from whywait.tracer.hotpath.pools import known_pool, pool_of
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.waits import name_waits
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo
from whywait.tracer.records.current import current_activity
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.request import Activity, Job, Pool
from whywait.tracer.schema import WAIT_LIMITER

name: Final = "anyio"
needs: Final = (
    "anyio._backends._asyncio.AsyncIOBackend",
    "anyio._backends._asyncio.CapacityLimiter",
    "anyio._core._tasks",
)


def available() -> bool:
    return find_spec("anyio") is not None


def install(session: Session) -> Undo:
    """Wrap the asyncio backend's worker-thread call and the limiter, and return the undo."""
    from anyio._backends import _asyncio

    backend: Any = _asyncio.AsyncIOBackend
    limiter_class: Any = _asyncio.CapacityLimiter
    plain_run = backend.__dict__["run_sync_in_worker_thread"]
    plain_acquire = limiter_class.acquire_on_behalf_of

    @classmethod  # type: ignore[misc]
    @functools.wraps(plain_run.__func__)
    async def run_sync_in_worker_thread(
        cls: Any, func: Any, args: Any, abandon_on_cancel: bool = False, limiter: Any = None
    ) -> Any:
        try:
            tokens = limiter or cls.current_default_thread_limiter()
            pool = pool_of(tokens, "anyio" if limiter is None else "CapacityLimiter", _size(tokens))
            job = make_job(pool, func, args)
            held = occupancy_of(pool, job, func, args)
        except Exception as error:
            probe_failed("anyio", error)
            return await plain_run.__func__(cls, func, args, abandon_on_cancel, limiter)
        call = functools.partial(_run, pool, job, held, func)
        try:
            return await plain_run.__func__(cls, call, args, abandon_on_cancel, limiter)
        except BaseException as error:
            take_this_frame_out(error)
            raise

    @functools.wraps(plain_acquire)
    async def acquire_on_behalf_of(self: Any, borrower: Any) -> None:
        start_ns = perf_counter_ns()
        try:
            await plain_acquire(self, borrower)
        except BaseException as error:
            take_this_frame_out(error)
            raise
        activity = current_activity()
        pool = known_pool(self)  # of threads; else it is a limit of the service's own
        if activity is not None and pool is not None:
            now_ns = activity.token_ns = perf_counter_ns()
            try:
                name_waits(activity, start_ns, now_ns, WAIT_LIMITER, pool)
            except Exception as error:
                probe_failed("anyio", error)

    wrappers = _wrappers(backend)  # kept until the undo, and so are the codes whose ids are used
    known = session.recorder.wrappers
    known.update({id(code): behind for code, behind in wrappers.items()})
    patches = Patches()
    patches.add("anyio's coroutines", functools.partial(_forget_wrappers, known, wrappers))
    patches.replace(backend, "run_sync_in_worker_thread", run_sync_in_worker_thread)
    patches.replace(limiter_class, "acquire_on_behalf_of", acquire_on_behalf_of)
    return patches.undo


def _forget_wrappers(known: dict[int, Callable[[Any], Any]], ours: dict[CodeType, Callable[[Any], Any]]) -> None:
    for code in ours:
        known.pop(id(code), None)


def _wrappers(backend: Any) -> dict[CodeType, Callable[[Any], Any]]:
    """The coroutines in which anyio runs the user's, and their variable with it; a version may be without some."""
    from anyio import from_thread
    from anyio._core import _tasks

    found: dict[CodeType, Callable[[Any], Any]] = {}
    run_task = getattr(getattr(_tasks, "TaskHandle", None), "_run_coro", None)
    if run_task is not None:
        found[run_task.__code__] = lambda wrapper: local_of(wrapper.cr_frame, "self")._coro
    for owner, method in ((backend, "run_async_from_thread"), (from_thread.BlockingPortal, "_call_func")):
        code = getattr(getattr(owner, method, None), "__code__", None)
        inner = [one for one in getattr(code, "co_consts", ()) if isinstance(one, CodeType)]
        for one in [code, *inner]:
            if one is not None and "func" in (*one.co_varnames, *one.co_freevars):
                found[one] = lambda wrapper: _behind_partials(local_of(wrapper.cr_frame, "func"))
    return found


def _behind_partials(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _run(pool: Pool, job: Job | None, held: Occupancy, function: Callable[..., Any], /, *args: Any) -> Any:
    if job is not None:
        spawner: Activity | None = job.spawner
        if spawner is not None and spawner.token_ns > job.born_ns:
            job.born_ns = spawner.token_ns
    try:
        return run_job(pool, job, held, function, *args)
    except BaseException as error:
        take_this_frame_out(error)
        raise
    finally:
        function = args = None  # type: ignore[assignment]


def _size(limiter: Any) -> int:
    tokens = limiter.total_tokens
    return int(tokens) if tokens != float("inf") else 0
