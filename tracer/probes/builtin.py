"""Every probe, in the order in which `start` installs them: built-in ones, then those of other distributions."""

import functools
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from whywait.tracer.hotpath.recorder import logger
from whywait.tracer.probes import library_phases, process_exit
from whywait.tracer.probes.asyncio import eager_tasks, lock_releases, nested_loops, selector_loop, uvloop_loop
from whywait.tracer.probes.blocking import calls, gc_pauses, logging_handlers
from whywait.tracer.probes.connections.libraries import LIBRARIES
from whywait.tracer.probes.locks import import_locks, lock_factories
from whywait.tracer.probes.probe import Probe
from whywait.tracer.probes.process_pool import executor, multiprocessing_pool
from whywait.tracer.probes.requests import asgi, framework_stamps, places, uvicorn_server
from whywait.tracer.probes.stacks import watchdog
from whywait.tracer.probes.threads import anyio_workers, futures, sqlite_thread, thread_pool, thread_starts

GROUP: Final = "whywait.probes"
BUILTIN: Final[tuple[Probe, ...]] = (
    selector_loop, uvloop_loop, nested_loops, thread_starts, thread_pool, futures, executor, multiprocessing_pool, eager_tasks, anyio_workers, sqlite_thread,
    uvicorn_server, places, framework_stamps, asgi, lock_releases, gc_pauses, library_phases, *LIBRARIES, lock_factories, import_locks, logging_handlers,
    calls, process_exit,
    watchdog,
)  # fmt: skip


def all_probes() -> Iterator[Probe]:
    """Yield the built-in probes, then those of other distributions. A probe that cannot be loaded is logged and left out."""
    yield from BUILTIN
    names = {probe.name for probe in BUILTIN}
    for entry in _named(tuple(sys.path)):
        try:
            probe: Probe = entry.load()
            if probe.name in names:
                raise ValueError(f"there is a probe named {probe.name!r} already")
        except Exception as error:
            logger.warning(
                "whywait: left out the probe %r (%s): %r. The waits it would record are missing from the traces. Update or "
                "remove the distribution that names it.",
                entry.name,
                entry.value,
                error,
            )
            continue
        names.add(probe.name)
        yield probe


@functools.cache  # a forked child does not read the metadata of every distribution again
def _named(_: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP))
