"""anyio's worker threads, on which FastAPI runs `def` endpoints: a job from the moment it has its token.

The wait for the token is the task's own and is seen by the loop probe.
"""

import functools
from collections.abc import Callable
from importlib.util import find_spec
from time import perf_counter_ns
from typing import Any

from tracer.jobs import make_job, occupancy_of, pool_of, run_job
from tracer.recorder import probe_failed
from tracer.records import Activity, Job, Occupancy, Pool, current_activity
from tracer.unseen import take_this_frame_out


def available() -> bool:
    """Whether anyio is installed."""
    return find_spec("anyio") is not None


def install() -> Callable[[], None]:
    """Wraps the asyncio backend's worker-thread call and the limiter; returns the undo."""
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
            pool = pool_of(tokens, "anyio", _size(tokens))
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
        try:
            await plain_acquire(self, borrower)
        except BaseException as error:
            take_this_frame_out(error)
            raise
        activity = current_activity()
        if activity is not None:
            activity.token_ns = perf_counter_ns()

    backend.run_sync_in_worker_thread = run_sync_in_worker_thread
    limiter_class.acquire_on_behalf_of = acquire_on_behalf_of

    def undo() -> None:
        backend.run_sync_in_worker_thread = plain_run
        limiter_class.acquire_on_behalf_of = plain_acquire

    return undo


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
