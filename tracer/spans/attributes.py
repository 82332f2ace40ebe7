"""Converts a typed span to OpenTelemetry attributes, as the last step. Pure."""

from collections.abc import Callable
from typing import Any, Final

from whywait.tracer import schema as s
from whywait.tracer.host.interpreter import untested
from whywait.tracer.spans.attribute_groups import (
    Attributes,
    put_blockers,
    put_lock,
    put_occupants,
    put_off_cpu,
    put_place,
    put_pool,
    put_span,
    put_sums,
    put_waker,
    span_hex,
)
from whywait.tracer.spans.span_spec import (
    About,
    AboutBlock,
    AboutJob,
    AboutPhase,
    AboutRequest,
    AboutRun,
    AboutTask,
    AboutWait,
    Root,
)


def attributes_of(about: About) -> Attributes:
    """Return all attributes of a span."""
    attributes: Attributes = {s.KIND: about.kind} if about.kind else {}
    if about.activity:
        attributes[s.ACTIVITY] = span_hex(about.activity)
    _WRITERS[type(about)](attributes, about)
    return attributes


def _task(attributes: Attributes, task: AboutTask) -> None:
    attributes[s.CPU_NS] = task.cpu_ns
    attributes[s.RUN_NS] = task.run_ns
    attributes[s.STEPS] = task.steps
    _activity(attributes, task)
    put_sums(attributes, task.phases)
    if task.root is not None:
        _root(attributes, task.root)


def _root(attributes: Attributes, root: Root) -> None:
    attributes[s.ROOT] = True
    attributes[s.CONTRACT] = s.CONTRACT_VERSION
    attributes[s.RESOLUTION_NS] = root.resolution_ns
    attributes[s.SIGNALS] = list(root.signals)
    attributes.update(root.window)
    if root.decision is not None:
        attributes[s.WEIGHT] = root.decision.weight
        attributes[s.KEPT] = root.decision.why
    if root.lost:
        attributes[s.LOST] = sum(root.lost.values())
        attributes[s.LOST_KINDS] = [f"{count} × {kind}" for kind, count in sorted(root.lost.items())]
    if words := untested():
        attributes[s.UNTESTED] = words
    if root.dropped:
        attributes[s.INCOMPLETE] = [f"{root.dropped} records over the limit of one request were dropped"]


def _job(attributes: Attributes, job: AboutJob) -> None:
    put_pool(attributes, job.pool)
    if job.jobs > 1:
        attributes[s.COUNT] = job.jobs
    if job.pool_age_ns >= 0:
        attributes[s.POOL_AGE_NS] = job.pool_age_ns
    _activity(attributes, job)


def _activity(attributes: Attributes, about: AboutTask | AboutJob) -> None:
    attributes[s.OUTCOME] = about.outcome
    if about.spawner is not None:
        put_span(attributes, about.spawner, s.SPAWNED_BY, s.SPAWNED_BY_TRACE)
    for kind, ns in about.small.items():
        if ns > 0:
            attributes[f"{s.SMALL_PREFIX}{kind}_ns"] = ns
    put_place(attributes, about.place)


def _run(attributes: Attributes, run: AboutRun) -> None:
    put_off_cpu(attributes, run.off_cpu)
    put_place(attributes, run.place)
    put_sums(attributes, run.phases)
    if run.thread is not None:
        attributes[s.THREAD_ID], attributes[s.THREAD_NAME] = run.thread
    else:
        attributes[s.PROCESS] = True
    if run.worker:
        attributes[s.WORKER] = run.worker


def _block(attributes: Attributes, block: AboutBlock) -> None:
    put_off_cpu(attributes, block.off_cpu)
    if block.signals is not None:
        attributes[s.SIGNALS] = list(block.signals)
    if block.sample is not None:
        put_place(attributes, block.sample.place)
        if block.sample.syscall is not None:
            attributes[s.BLOCK_SYSCALL] = block.sample.syscall


def _phase(attributes: Attributes, phase: AboutPhase) -> None:
    put_off_cpu(attributes, phase.off_cpu)
    put_place(attributes, phase.place)
    put_sums(attributes, phase.phases)
    if phase.handler:
        attributes[s.HANDLER] = phase.handler
    if phase.word:
        attributes[s.PHASE] = phase.word
    if phase.thread_id:
        attributes[s.THREAD_ID] = phase.thread_id
    if phase.device:
        attributes[s.DEVICE] = phase.device
        if phase.device_ns is not None:
            attributes[s.DEVICE_NS] = phase.device_ns
    if phase.inferred or (phase.device and phase.device_ns is None):
        attributes[s.EVIDENCE] = s.EVIDENCE_INFERRED


def _wait(attributes: Attributes, wait: AboutWait) -> None:
    attributes[s.WAIT] = wait.wait
    put_off_cpu(attributes, wait.off_cpu)
    if wait.site is not None:
        put_place(attributes, wait.site.user)
        attributes[s.FOR] = wait.site.leaf_function
        attributes[s.FOR_MODULE] = wait.site.leaf_module
        if wait.site.call:
            attributes[s.FOR_CALL], attributes[s.FOR_PACKAGE] = wait.site.call, wait.site.package
        if wait.site.step:
            attributes[s.FOR_STEP] = wait.site.step
    if wait.task and wait.turns > 1:
        attributes[s.FOR_TASK], attributes[s.FOR_TURNS] = wait.task, wait.turns
    if wait.around:
        attributes[s.FOR_SPAN] = span_hex(wait.around)
    put_pool(attributes, wait.pool)
    put_waker(attributes, wait.waker)
    put_blockers(attributes, wait)
    put_occupants(attributes, wait.occupants)
    put_lock(attributes, wait.lock)
    if wait.handler:
        attributes[s.HANDLER] = wait.handler
    if wait.device:
        attributes[s.DEVICE] = wait.device
    if wait.initializer is not None:
        attributes[s.POOL_INITIALIZER], attributes[s.POOL_INITIALIZER_NS] = wait.initializer
    if wait.starts_process:
        attributes[s.PROCESS] = True
    if wait.inferred:
        attributes[s.EVIDENCE] = s.EVIDENCE_INFERRED


_WRITERS: Final[dict[type, Callable[[Attributes, Any], None]]] = {
    AboutTask: _task,
    AboutJob: _job,
    AboutRun: _run,
    AboutWait: _wait,
    AboutBlock: _block,
    AboutPhase: _phase,
    AboutRequest: lambda attributes, request: attributes.update(request.values),
}
