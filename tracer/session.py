"""`start` and `stop`: a session opens the exporters, installs the probes, and undoes all of it at its end."""

import os
import threading
import time
from _thread import RLock
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Tracer as SdkTracer

from whywait import __version__
from whywait.tracer import run_summary
from whywait.tracer import schema as s
from whywait.tracer.config import Config, ConfigError, from_environment
from whywait.tracer.export import metrics, provider, sdk_internals
from whywait.tracer.export.exporter_thread import Outlet
from whywait.tracer.export.host_provider import Lent, provider_of_host
from whywait.tracer.export.sdk_spans import SpanMaker, gets_own_span
from whywait.tracer.host import interpreter, own_thread, thread_clocks
from whywait.tracer.host.native import native_core
from whywait.tracer.host.own_thread import OwnThread
from whywait.tracer.hotpath import core, recorder
from whywait.tracer.hotpath.opening.unfinished import record_open
from whywait.tracer.hotpath.recorder import Recorder, logger
from whywait.tracer.hotpath.thread_state import forget_here
from whywait.tracer.probes.installing import install_all, take_out_all
from whywait.tracer.probes.locks import lock_factories
from whywait.tracer.probes.requests import server_span
from whywait.tracer.records.ids import reseed
from whywait.tracer.sampler.process import start_sampler
from whywait.tracer.waking import lazy_start, termination

_NO_SAMPLER: Final = (
    "whywait: could not start its sampler: %r. Waits for the GIL and for a CPU are part of unexplained. Run "
    "`whywait doctor` for the reason."
)
_NOT_CLOSED: Final = (
    "whywait: could not stop completely: %r. The last spans may be missing from the traces; the process continues."
)
_UNTESTED: Final = (
    "whywait: this is %s, with which whywait is not tested (it is with %s): signals may be missing or wrong. Run "
    "`whywait doctor`."
)
_UNTRACED: Final = (
    "whywait: process %d runs without tracing: %s. The service continues. Run `whywait doctor` for the reason"
)
_NOT_FOLLOWED: Final = (
    "whywait: stops tracing process %d: %s. The service continues. Call `whywait.start()` after the provider is set."
)
_CHILD_UNTRACED: Final = (
    "whywait: cannot trace the forked process %d: %r. The process continues; its requests are missing from the traces."
)
_STOP_S: Final = 20.0  # the longest that `stop` waits in a process that goes on


class _Session:
    def __init__(self, config: Config) -> None:
        self.config = config
        self._until_s = 0.0  # of the monotonic clock: until when its close waits
        self.recorder = Recorder(config)
        self._undo: list[Callable[[], None]] = []
        self._processors: list[SpanProcessor] = []
        self._providers: list[TracerProvider] = []  # all that have had our processors
        self._moving = threading.Lock()
        try:
            self._open_outlet()
            self._install_probes()
        except BaseException:
            self.close()
            raise

    def _open_outlet(self) -> None:
        tracer_provider, is_ours, self._queues = provider.obtain(self.config, self.recorder, self.follow_host)
        self.provider, self._is_ours = tracer_provider, is_ours
        self._providers.append(tracer_provider)
        if is_ours:
            self._undo += [partial(provider.release, tracer_provider), tracer_provider.shutdown]
        if self.config.output is not None:
            queue = provider.file_queue(self.config.output, self.config.output_max_bytes, self.recorder)
            processor = provider.gated(queue, self.recorder)
            self._queues.append(queue)
            self._attach(Lent(processor))
            self._undo.append(processor.shutdown)
        self._tracer = _tracer_of(tracer_provider)
        self._start_sampler()  # ended after the last export
        roots = self.recorder.roots = server_span.RequestRoots(self.recorder)
        self.recorder.admits = lambda request: gets_own_span(
            self.provider, self.recorder, request, is_ours=self._is_ours
        )
        self._attach(roots)
        # knows all processors of ours, so after the last of them
        maker = SpanMaker(tracer_provider, self._tracer, is_ours=is_ours)
        self.recorder.makes_later = maker.is_alone
        self.outlet = Outlet(self.recorder, maker, self.follow_host, self._queues)
        self._undo.append(lambda: self.outlet.stop(self._left_s()))
        self._undo += [self.recorder.close, partial(record_open, self.recorder), roots.close]

    def _attach(self, processor: SpanProcessor) -> None:
        self._processors.append(processor)
        self.provider.add_span_processor(processor)
        self._undo.append(partial(self._detach, processor))

    def _detach(self, processor: SpanProcessor) -> None:
        for one in self._providers:
            sdk_internals.remove_processor(one, processor)

    def follow_host(self) -> None:
        """Move to the provider that the service has set since; never raises, never waits."""
        if not self._moving.acquire(blocking=False):
            return
        try:
            host = provider_of_host()
            if host is not None and host is not self.provider:
                self._move_to(host)
        except Exception as error:
            logger.warning(_NOT_FOLLOWED, os.getpid(), error)
            OwnThread("whywait-stop", stop).start()
        finally:
            self._moving.release()

    def _move_to(self, host: TracerProvider) -> None:
        before, tracer = self.provider, _tracer_of(host)
        if host not in self._providers:
            self._providers.append(host)
        if self._is_ours:
            for theirs in provider.move(before, host, self._tracer, self._processors):
                self._undo.append(partial(sdk_internals.remove_processor, before, theirs))
        else:
            for one in self._processors:
                host.add_span_processor(one)
        self.outlet.hand_to(SpanMaker(host, tracer, is_ours=False))
        self.recorder.makes_later = lambda: False
        self.provider, self._tracer, self._is_ours = host, tracer, False

    def _start_sampler(self) -> None:
        try:
            process = start_sampler() if self.config.sampler else None
        except OSError as error:
            logger.warning(_NO_SAMPLER, error)
            self.recorder.lose("sampler")
        else:
            self.recorder.sampler = process
            self._undo += [self._end_sampler] if process is not None else []

    def _end_sampler(self) -> None:
        process, self.recorder.sampler = self.recorder.sampler, None
        if process is not None:
            process.close()

    def _install_probes(self) -> None:
        recorder.active = self.recorder
        self._undo.append(_deactivate)
        self._metrics = metrics.install(__version__, self.provider.resource)
        self._undo.append(lambda: self._metrics.end(self._left_s() / 4))  # before the totals are dropped
        run_queue = (s.SIGNAL_RUN_QUEUE,) if thread_clocks.run_queue_available() else ()
        native = (s.SIGNAL_NATIVE_CORE,) if core.name == native_core.NATIVE else ()
        install_all(self)
        self.recorder.signals = (s.SIGNAL_THREAD_CPU, s.SIGNAL_EXECUTOR, s.SIGNAL_GC, *run_queue, *native)
        self.outlet.start()

    def stop(self) -> None:
        """Stop the session; a probe calls this at the end of the process."""
        stop(ending=True)

    def _left_s(self) -> float:
        return max(self._until_s - time.monotonic(), 0.0)

    def let_go(self) -> None:
        """In a forked child: what cannot wait until `abandon`, such as the files, whose numbers the child may give to
        others. It must take next to no time: most children replace themselves by another program at once, and
        uvloop's parent waits until they do."""
        termination.stand_back()
        if self.recorder.sampler is not None:
            self.recorder.sampler.forget()
        for queue in self._queues:
            queue.let_go()
        thread_clocks.close_all()  # they belong to the parent's threads

    def abandon(self) -> None:
        """In a forked child: release the rest of what belongs to the parent, and remove the patches."""
        take_out_all(self.recorder)
        self._metrics.abandon()
        provider.release_after_fork(self._providers, self._processors, self._queues, ours=self._is_ours)

    def close(self, within_s: float = 0.0) -> None:
        self._until_s = time.monotonic() + within_s
        self._moving.acquire(timeout=1)  # kept: nothing follows a closed session
        take_out_all(self.recorder)
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as error:  # the other undos must still run
                logger.warning(_NOT_CLOSED, error)
        for seen in self.recorder.loops:
            seen.live = False
        thread_clocks.close_all()


def _tracer_of(tracer_provider: TracerProvider) -> SdkTracer:
    found = tracer_provider.get_tracer(s.SCOPE, __version__)
    if not isinstance(found, SdkTracer):
        raise ConfigError("OpenTelemetry is disabled (OTEL_SDK_DISABLED); unset it to trace")
    return found


def _deactivate() -> None:
    recorder.active = None


class _Process:
    """What this process traces now, and the lock of who starts or stops that."""

    def __init__(self) -> None:
        self.session: _Session | None = None
        self.inherited: _Session | None = None  # the parent's, whose patches are still installed in this forked child
        self.renew()

    def renew(self) -> None:
        """In a forked child: the lock's holder may not exist here."""
        # a signal handler may call `stop` while this thread starts or stops; `threading`'s is replaced, and costs a fork
        self.lock = RLock()

    def end_waiting(self) -> None:
        """Wait for no sign any more, and remove the patches of the parent's session."""
        lazy_start.disarm()
        inherited, self.inherited = self.inherited, None
        if inherited is not None:
            reseed()
            try:
                inherited.abandon()
            except Exception as error:  # this process is traced all the same
                logger.warning(_NOT_CLOSED, error)


_process = _Process()


def start(
    service_name: str | None = None, *, output: str | os.PathLike[str] | None = None,
    config: Config | None = None,
) -> None:  # fmt: skip
    """Start tracing this process; a second call has no effect. `output` is a .jsonl file or a directory; WHYWAIT_*
    and OTEL_* variables are read once, here. Never raises into the service: where it cannot trace, it logs one
    sentence."""
    with _process.lock:
        if _process.session is not None:
            return
        try:
            _process.end_waiting()
            chosen = config or from_environment()
            if service_name is not None:
                chosen = replace(chosen, service_name=service_name)
            if output is not None:
                chosen = replace(chosen, output=Path(output))
            session = _process.session = _Session(chosen)
            if words := interpreter.untested():
                logger.warning(_UNTESTED, words, interpreter.tested_versions())
            if session.recorder.sampler is not None:
                session.recorder.sampler.settle()
        except Exception as error:
            logger.warning(_UNTRACED, os.getpid(), error)


def stop(*, ending: bool = False) -> None:
    """Stop tracing: export finished requests, remove every patch, end every thread of whywait. `ending`: within
    `Config.exit_s`, since the process ends; what is then left is counted."""
    with _process.lock:
        _process.end_waiting()
        session, _process.session = _process.session, None
        if session is not None:
            session.close(session.config.exit_s if ending else max(session.config.exit_s, _STOP_S))
            run_summary.add(session.recorder.totals.decisions(), len(session.recorder.loops))


def is_active() -> bool:
    """Whether this process is traced now."""
    return _process.session is not None


def _after_fork_in_child() -> None:
    """The child has our patches but none of our threads. It starts a session of its own, which writes a file of its
    own, at the first sign that it serves."""
    own_thread.forget_threads()
    session, _process.session = _process.session, None
    _process.renew()
    if session is None:
        return
    recorder.active = None
    _process.inherited = session
    try:
        forget_here()
        session.let_go()
        lazy_start.expect(_start_in_child)
    except Exception as error:
        logger.warning(_CHILD_UNTRACED, os.getpid(), error)


def _start_in_child() -> None:
    if _process.inherited is not None:
        start(config=_process.inherited.config)
        termination.stand_in()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=own_thread.before_fork, after_in_child=_after_fork_in_child)
    os.register_at_fork(before=lock_factories.before_fork, after_in_parent=lock_factories.after_fork)
