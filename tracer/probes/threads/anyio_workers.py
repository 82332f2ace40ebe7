"""anyio's worker threads, which run `def` endpoints: a job from the moment it acquires its token; the limiter, so
that the tokens' holders have names."""

import functools
from collections.abc import Callable
from time import perf_counter_ns
from types import CodeType
from typing import Any, Final

from whywait.tracer.host.introspection import local_of, take_this_frame_out
from whywait.tracer.hotpath.core import known_pool, make_job, occupancy_of, run_with_token
from whywait.tracer.hotpath.pools import pool_of
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.waits import name_waits
from whywait.tracer.probes.patches import wrap_when_imported
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.records.current import current_activity
from whywait.tracer.schema import WAIT_LIMITER

name: Final = "anyio"
needs: Final = ()
_RUN: Final = "anyio._backends._asyncio.AsyncIOBackend.run_sync_in_worker_thread"
_ACQUIRE: Final = "anyio._backends._asyncio.CapacityLimiter.acquire_on_behalf_of"
later: Final = (_RUN, _ACQUIRE, "anyio._core._tasks")
available: Final = always
_LONGEST_S: Final = 1e9  # infinity: none


def install(session: Session) -> Undo:
    """Wrap the asyncio backend's worker-thread call and the limiter, once imported, and return the undo."""
    wrappers = dict[CodeType, Callable[[Any], Any]]()  # kept until the undo, and so are the codes whose ids are used
    known = session.recorder.wrappers

    def wrapped_run(plain: Any) -> Any:
        wrappers.update(_wrappers(plain.__self__))
        known.update({id(code): behind for code, behind in wrappers.items()})
        return _wrapped_run(plain)

    undo = wrap_when_imported(name, {_RUN: wrapped_run, _ACQUIRE: _wrapped_acquire}, lambda plain, wrap: wrap(plain))

    def close() -> None:
        undo()
        for code in wrappers:
            known.pop(id(code), None)

    return close


def _wrapped_run(plain_run: Any) -> Any:
    @classmethod  # type: ignore[misc]
    @functools.wraps(plain_run.__func__)
    def run_sync_in_worker_thread(  # gives anyio's own coroutine: no frame between it and who awaits it
        cls: Any, func: Any, args: Any, abandon_on_cancel: bool = False, limiter: Any = None
    ) -> Any:
        call = func
        try:
            called = "anyio" if limiter is None else "CapacityLimiter"
            limiter = limiter or cls.current_default_thread_limiter()  # so that anyio need not look for it again
            pool = known_pool(limiter) or pool_of(limiter, called, _size(limiter))
            job = make_job(pool, func, args)
            if job is not None and not abandon_on_cancel:  # a time limit ends no thread, and is waited beyond
                limit_s = cls.current_effective_deadline() - cls.current_time()
                job.limit_ns = max(int(limit_s * 1e9), 0) if limit_s < _LONGEST_S else 0
            call = functools.partial(run_with_token, pool, job, occupancy_of(pool, job, func, args), func)
        except Exception as error:
            probe_failed("anyio", error)
        return plain_run.__func__(cls, call, args, abandon_on_cancel, limiter)

    return run_sync_in_worker_thread


def _wrapped_acquire(plain_acquire: Any) -> Any:
    async def wait_for_token(self: Any, borrower: Any) -> None:
        start_ns = perf_counter_ns()
        try:
            await plain_acquire(self, borrower)
        except BaseException as error:
            take_this_frame_out(error)
            raise
        activity = current_activity()
        pool = known_pool(self)  # of threads; else it is a limit of the service's own
        if activity is not None and pool is not None:
            try:
                name_waits(activity, start_ns, perf_counter_ns(), WAIT_LIMITER, pool)
            except Exception as error:
                probe_failed("anyio", error)

    @functools.wraps(plain_acquire)
    def acquire_on_behalf_of(self: Any, borrower: Any) -> Any:
        # anyio's own coroutine where a token is free: it only yields once
        return plain_acquire(self, borrower) if self.available_tokens > 0 else wait_for_token(self, borrower)

    return acquire_on_behalf_of


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


def _size(limiter: Any) -> int:
    tokens = limiter.total_tokens
    return int(tokens) if tokens != float("inf") else 0
