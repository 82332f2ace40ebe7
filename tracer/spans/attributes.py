"""Converts a typed span to OpenTelemetry attributes, as the last step. Pure."""

from collections.abc import Callable
from typing import Any, Final

from whywait.tracer import schema as s
from whywait.tracer.host.interpreter import untested
from whywait.tracer.offcpu.explanation import OffCpu
from whywait.tracer.spans import attribute_groups as put
from whywait.tracer.spans import span_spec as spec
from whywait.tracer.spans.attribute_groups import Attributes, put_known, put_off_cpu, put_place, put_pool, span_hex


def attributes_of(about: spec.About) -> Attributes:
    """Return all attributes of a span."""
    attributes: Attributes = {s.KIND: about.kind} if about.kind else {}
    if about.activity:
        attributes[s.ACTIVITY] = span_hex(about.activity)
    _WRITERS[type(about)](attributes, about)
    return attributes


def _task(attributes: Attributes, task: spec.AboutTask) -> None:
    attributes |= {s.CPU_NS: task.cpu_ns, s.RUN_NS: task.run_ns, s.STEPS: task.steps}
    _activity(attributes, task)
    put.put_sums(attributes, task.phases)
    if task.ran is not None:
        attributes[s.TURNED_NS] = task.turned_ns
        put_off_cpu(attributes, OffCpu(ran=(task.ran,)))
    if task.root is not None:
        _root(attributes, task.root)


def _root(attributes: Attributes, root: spec.Root) -> None:
    attributes[s.ROOT] = True
    attributes[s.CONTRACT] = s.CONTRACT_VERSION
    attributes[s.RESOLUTION_NS] = root.resolution_ns
    attributes[s.SIGNALS] = list(root.signals)
    attributes.update(root.window)
    if root.decision is not None:
        attributes[s.WEIGHT], attributes[s.KEPT] = root.decision.weight, root.decision.why
    _lost(attributes, root)
    put_known(attributes, {s.UNTESTED: untested(), s.UNFINISHED: root.unfinished, s.PROCESS_CPUS: root.cpus})
    if root.dropped:
        attributes[s.INCOMPLETE] = [f"{root.dropped} records over the limit of one request were dropped"]


def _lost(attributes: Attributes, about: spec.Root | spec.AboutLost) -> None:
    if about.lost:
        attributes[s.LOST] = sum(about.lost.values())
        attributes[s.LOST_KINDS] = [f"{count} × {kind}" for kind, count in sorted(about.lost.items())]


def _job(attributes: Attributes, job: spec.AboutJob) -> None:
    put_pool(attributes, job.pool)
    if job.jobs > 1:
        attributes[s.COUNT] = job.jobs
    if job.limit_ns:
        attributes[s.LIMIT_NS] = job.limit_ns
    if job.pool_age_ns >= 0:
        attributes[s.POOL_AGE_NS] = job.pool_age_ns
    put_known(attributes, {s.ITEMS: job.items})
    _activity(attributes, job)


def _activity(attributes: Attributes, about: spec.AboutTask | spec.AboutJob) -> None:
    attributes[s.OUTCOME] = about.outcome
    if about.spawner is not None:
        put.put_span(attributes, about.spawner, s.SPAWNED_BY, s.SPAWNED_BY_TRACE)
    for kind, ns in about.small.items():
        if ns > 0:
            attributes[f"{s.SMALL_PREFIX}{kind}_ns"] = ns
    put_place(attributes, about.place)


def _run(attributes: Attributes, run: spec.AboutRun) -> None:
    put_off_cpu(attributes, run.off_cpu)
    put_place(attributes, run.place)
    put.put_sums(attributes, run.phases)
    if run.thread is not None:
        attributes[s.THREAD_ID], attributes[s.THREAD_NAME] = run.thread
    else:
        attributes[s.PROCESS] = True
    put_known(attributes, {s.WORKER: run.worker})


def _block(attributes: Attributes, block: spec.AboutBlock) -> None:
    put_off_cpu(attributes, block.off_cpu)
    if block.signals is not None:
        attributes[s.SIGNALS] = list(block.signals)
    if block.sample is not None:
        put_place(attributes, block.sample.place)
        if block.sample.syscall is not None:
            attributes[s.BLOCK_SYSCALL] = block.sample.syscall
        call, package = block.sample.call
        put_known(attributes, {s.FOR_CALL: call, s.FOR_PACKAGE: package})


def _phase(attributes: Attributes, phase: spec.AboutPhase) -> None:
    put_off_cpu(attributes, phase.off_cpu)
    put_place(attributes, phase.place)
    put.put_sums(attributes, phase.phases)
    put_known(attributes, {s.HANDLER: phase.handler, s.PHASE: phase.word, s.TRANSFER: phase.transfer})
    put_known(attributes, {s.THREAD_ID: phase.thread_id, s.DEVICE: phase.device})
    if phase.device_ns is not None:
        attributes[s.DEVICE_NS] = phase.device_ns
    if phase.inferred or (phase.device and phase.device_ns is None):
        attributes[s.EVIDENCE] = s.EVIDENCE_INFERRED


def _wait(attributes: Attributes, wait: spec.AboutWait) -> None:
    attributes[s.WAIT] = wait.wait
    put_off_cpu(attributes, wait.off_cpu)
    if wait.site is not None:
        put_place(attributes, wait.site.user)
        attributes[s.FOR], attributes[s.FOR_MODULE] = wait.site.leaf_function, wait.site.leaf_module
        if wait.site.call:
            attributes[s.FOR_CALL], attributes[s.FOR_PACKAGE] = wait.site.call, wait.site.package
        where = {s.FOR_STEP: wait.site.step, s.FOR_ADDRESS: wait.site.address, s.CALLERS: list(wait.site.callers)}
        put_known(attributes, where)
    if wait.task:
        attributes[s.FOR_TASK] = wait.task
        if wait.turns > 1:
            attributes[s.FOR_TURNS] = wait.turns
    put_pool(attributes, wait.pool)
    put.put_waker(attributes, wait.waker)
    put.put_blockers(attributes, wait)
    put.put_occupants(attributes, wait.occupants)
    put.put_lock(attributes, wait.lock)
    if wait.lock_id:
        attributes[s.LOCK_ID] = wait.lock_id
    if wait.handler or wait.device or wait.starts_process:
        put_known(attributes, {s.HANDLER: wait.handler, s.DEVICE: wait.device, s.PROCESS: wait.starts_process})
    if wait.around:
        attributes[s.FOR_SPAN] = span_hex(wait.around)
    if wait.initializer is not None:
        attributes[s.POOL_INITIALIZER], attributes[s.POOL_INITIALIZER_NS] = wait.initializer
    if wait.inferred:
        attributes[s.EVIDENCE] = s.EVIDENCE_INFERRED


_WRITERS: Final[dict[type, Callable[[Attributes, Any], None]]] = {
    spec.AboutTask: _task,
    spec.AboutJob: _job,
    spec.AboutRun: _run,
    spec.AboutWait: _wait,
    spec.AboutBlock: _block,
    spec.AboutPhase: _phase,
    spec.AboutLost: _lost,
    spec.AboutRequest: lambda attributes, request: attributes.update(request.values),
}
