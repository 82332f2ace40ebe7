"""`start` and `stop`: installs every probe that this process can carry, and takes all of them out again."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace import Tracer as SdkTracer

from whywait.tracer import adapters
from whywait.tracer.config import Config, ConfigError, from_environment
from whywait.tracer.export import metrics, provider
from whywait.tracer.export.exporter_thread import Outlet
from whywait.tracer.export.sdk_spans import SpanMaker
from whywait.tracer.host import thread_clocks
from whywait.tracer.hotpath import recorder
from whywait.tracer.hotpath.recorder import Recorder, logger
from whywait.tracer.hotpath.thread_state import forget_here
from whywait.tracer.probes import process_exit
from whywait.tracer.probes.asyncio import eager_tasks, lock_releases, selector_loop, uvloop_loop
from whywait.tracer.probes.blocking import calls, gc_pauses, logging_handlers
from whywait.tracer.probes.locks import lock_factories
from whywait.tracer.probes.process_pool import executor
from whywait.tracer.probes.requests import asgi, server_span
from whywait.tracer.probes.stacks import sampler, watchdog
from whywait.tracer.probes.threads import anyio_workers, futures, thread_pool, thread_starts
from whywait.tracer.records.ids import reseed
from whywait.tracer.schema import (
    SCOPE,
    SIGNAL_EXECUTOR,
    SIGNAL_GC,
    SIGNAL_RUN_QUEUE,
    SIGNAL_THREAD_CPU,
)

_new_lock = threading.RLock  # a signal handler may call `stop` in the midst of it
_lock = _new_lock()
_session: "_Session | None" = None


class _Session:
    def __init__(self, config: Config, version: str) -> None:
        self.config = config
        self.recorder = Recorder(config)
        self._undo: list[Callable[[], None]] = []
        self._processors: list[SpanProcessor] = []
        try:
            self._open_outlet(version)
            self._install_probes(version)
        except BaseException:
            self.close()
            raise

    def _open_outlet(self, version: str) -> None:
        tracer_provider, is_ours, self._queues = provider.obtain(self.config, self.recorder)
        self._is_ours = is_ours
        if is_ours:
            self._undo += [provider.release, tracer_provider.shutdown]
        if self.config.output is not None:
            queue = provider.file_queue(self.config.output, self.recorder)
            processor = provider.gated(queue, self.recorder)
            self._queues.append(queue)
            detach = provider.attach(tracer_provider, processor)
            self._processors.append(processor)
            self._undo += [detach, processor.shutdown]
        sdk_tracer = tracer_provider.get_tracer(SCOPE, version)
        if not isinstance(sdk_tracer, SdkTracer):  # OTEL_SDK_DISABLED
            raise ConfigError("OpenTelemetry is disabled (OTEL_SDK_DISABLED); unset it to trace")
        try:
            self._undo.append(sampler.install(self.recorder))  # undone after the outlet's last words
        except OSError as error:
            logger.warning("whywait could not start its sampler: %r", error)
            self.recorder.lost["sampler"] += 1
        roots = server_span.RequestRoots(self.recorder)
        self._processors.append(roots)
        detach_roots = provider.attach(tracer_provider, roots)
        self.outlet = Outlet(self.recorder, SpanMaker(tracer_provider, sdk_tracer, is_ours=is_ours))
        self._undo += [self.outlet.stop, detach_roots, roots.close]
        self._provider = tracer_provider

    def _install_probes(self, version: str) -> None:
        recorder.active = self.recorder
        self._undo.append(_deactivate)
        self._metrics = metrics.install(version, self._provider.resource)
        self._undo.append(self._metrics.end)  # while the figures are still there
        found = [SIGNAL_THREAD_CPU, SIGNAL_EXECUTOR, SIGNAL_GC]
        if thread_clocks.run_queue_available():
            found.append(SIGNAL_RUN_QUEUE)
        self._add("loop", selector_loop.install)
        if uvloop_loop.available():
            self._add("uvloop", uvloop_loop.install)
        if thread_starts.available():
            self._add("threads", lambda: thread_starts.install(self.recorder))
        self._add("executor", thread_pool.install)
        self._add("futures", futures.install)
        if executor.available():
            self._add("process pool", executor.install)
        if eager_tasks.available():
            self._add("eager", eager_tasks.install)
        if anyio_workers.available():
            self._add("anyio", anyio_workers.install)
        if asgi.available():
            self._add("asgi", lambda: asgi.install(self._provider))
        self._add("releases", lock_releases.install)
        self._add("gc", gc_pauses.install)
        self._add("adapters", lambda: adapters.install(self.recorder))
        self._add("locks", lambda: lock_factories.install(self.config.locks))
        self._add("logging", lambda: logging_handlers.install(self.config.logging_ns))
        if self.config.blocking_calls:
            self._add("blocking", calls.install)
        self._add("endings", lambda: process_exit.install(stop))
        self._add("watchdog", lambda: watchdog.install(self.recorder))
        self.recorder.signals = tuple(found)
        self.outlet.start()

    def _add(self, name: str, install: Callable[[], Callable[[], None]]) -> None:
        try:
            self.recorder.undo[name] = install()
        except Exception as error:  # a library of another version: trace without this probe
            logger.warning("whywait could not install its %s probe: %r", name, error)
            self.recorder.lost[f"probe {name}"] += 1

    def abandon(self) -> None:
        """In a forked child: takes the patches out; threads, exporters and sampler are the parent's."""
        if self.recorder.sampler is not None:
            self.recorder.sampler.forget()
        for name in list(self.recorder.undo)[::-1]:
            self.recorder.undo.pop(name)()
        _deactivate()
        self._metrics.abandon()
        provider.release_after_fork(self._provider, self._processors, self._queues, ours=self._is_ours)
        thread_clocks.close_all()  # they are of the parent's threads

    def close(self) -> None:
        undone = [self.recorder.undo.pop(name) for name in list(self.recorder.undo)[::-1]]
        undone += self._undo[::-1]
        self._undo = []
        for undo in undone:
            try:
                undo()
            except Exception as error:  # one that fails keeps no other from being done
                logger.warning("whywait could not take out all of itself: %r", error)
        for seen in self.recorder.loops:
            seen.live = False
        thread_clocks.close_all()


def _deactivate() -> None:
    recorder.active = None


def start(
    service_name: str | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    config: Config | None = None,
) -> None:
    """Begins to trace this process. A second call without `stop` in between changes nothing.

    `output` is an OTLP JSON Lines file or a directory; WHYWAIT_* and the standard OTEL_* variables are
    read once, here. Raises `ConfigError` when a setting cannot be used.
    """
    global _session
    from whywait import __version__

    with _lock:
        if _session is not None:
            return
        chosen = config or from_environment()
        if service_name is not None:
            chosen = replace(chosen, service_name=service_name)
        if output is not None:
            chosen = replace(chosen, output=Path(output))
        try:
            _session = _Session(chosen, __version__)
        except provider.ForeignProvider as error:
            raise ConfigError(
                f"the global tracer provider is {error}; whywait needs OpenTelemetry's SDK provider or none"
            ) from None
        if _session.recorder.sampler is not None:
            _session.recorder.sampler.settle()


def stop() -> None:
    """Ends tracing: exports what is finished, takes every patch out, ends every thread of ours."""
    global _session
    with _lock:
        session, _session = _session, None
        if session is not None:
            session.close()


def is_active() -> bool:
    """Whether this process is being traced."""
    return _session is not None


def _after_fork_in_child() -> None:
    """The child has our patches but none of our threads; it traces on, into a file of its own."""
    global _session, _lock
    session = _session
    _lock = _new_lock()
    if session is None:
        return
    reseed()
    forget_here()
    config = session.config
    session.outlet.forget()
    _session = None
    try:
        session.abandon()
        _session = _Session(config, _version())
        process_exit.stop_with_child(stop)
    except Exception as error:
        recorder.active = None
        logger.warning("whywait does not trace the forked process %d: %r", os.getpid(), error)


def _version() -> str:
    from whywait import __version__

    return __version__


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
