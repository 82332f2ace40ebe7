"""Checks what the kernel shows of this process's threads, to this process and to its child."""

import ctypes
import os
import platform
import sys
import threading
import time
from typing import Final

from whywait.tracer.doctor.check import Check, State, info, no, yes
from whywait.tracer.host import thread_clocks
from whywait.tracer.host.interpreter import tested_versions, usable_cpus
from whywait.tracer.host.own_thread import OwnThread
from whywait.tracer.sampler.child.cgroup import CpuGroups, hierarchy, read_text
from whywait.tracer.sampler.gil_address import gil_address
from whywait.tracer.sampler.process import SamplerProcess, start_sampler

_PATIENCE_S: Final = 10.0
_PR_GET_DUMPABLE: Final = 3
_NO_GIL: Final = "gil_wait, and waits in locks and calls that are not traced, are part of unexplained"
_NO_HOLDER: Final = "the holder of the GIL is not named"
_LET_START: Final = "allow the service to start a process"
_YAMA: Final = "/proc/sys/kernel/yama/ptrace_scope"
_YAMA_MEANS: Final = {
    "0": "0: processes of one user may observe one another",
    "1": "1: a process must allow its observer, which whywait does",
    "2": "2: only a process with CAP_SYS_PTRACE may observe another",
    "3": "3: no process may observe another",
}


def kernel_checks() -> list[Check]:
    """Return the checks of the kernel's signals, within this container's limits. Takes up to some seconds."""
    states = _syscall_file()
    return [_system(), _run_queue(), states, _ptrace(), *_sampler(states)]


def _system() -> Check:
    words = f"{platform.system()} {platform.release()}, {platform.machine()}{_confined()}"
    if not sys.platform.startswith("linux"):
        return no(
            "system", words, "there is no run-queue time and no sampler: cpu_wait and gil_wait are part of unexplained",
            "trace the service on Linux",
        )  # fmt: skip
    return yes("system", words)


def _confined() -> str:
    status = read_text("/proc/self/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    words = []
    if fields.get("Seccomp", "0") == "2":
        words.append("seccomp filter")
    if "gVisor" in read_text("/proc/version") or "gvisor" in platform.release().lower():
        words.append("gVisor")
    return f" ({', '.join(words)})" if words else ""


def _run_queue() -> Check:
    if thread_clocks.run_queue_available():
        thread_clocks.close_all()
        return yes("run_queue", "/proc/thread-self/schedstat has the time that a thread waited for a CPU")
    return no(
        "run_queue", "/proc/thread-self/schedstat cannot be read", "cpu_wait is part of unexplained",
        "use a kernel with CONFIG_SCHED_INFO, and a container that does not hide /proc",
    )  # fmt: skip


def _syscall_file() -> Check:
    """Whether the file that the sampler needs shows where another thread sleeps."""
    done = threading.Event()
    thread = OwnThread("whywait-doctor", done.wait)
    thread.start()
    said = ""
    try:
        deadline_s = time.monotonic() + 2
        while time.monotonic() < deadline_s and not said[:1].isdigit():
            try:
                with open(f"/proc/self/task/{thread.native_id}/syscall", encoding="ascii") as file:
                    said = file.read()
            except OSError as error:
                said = error.strerror or str(error)
                break
            time.sleep(0.01)
    finally:
        done.set()
        thread.join()
    if said[:1].isdigit():
        return yes("syscall_file", "/proc/self/task/TID/syscall shows what a sleeping thread waits in")
    if _dumpable() is False:
        return no(
            "syscall_file", "this process is not dumpable: the kernel hides its threads' states, as from a process that "
            "changed its user after it started", _NO_GIL,
            "start the service as its user (docker run --user, systemd User=), not as root that drops its rights",
        )  # fmt: skip
    return no(
        "syscall_file", f"/proc/self/task/TID/syscall: {said.strip() or 'nothing'}", _NO_GIL,
        "use a kernel with CONFIG_HAVE_ARCH_TRACEHOOK, and a container whose seccomp profile allows reading it",
    )  # fmt: skip


def _dumpable() -> bool | None:
    """Whether other processes of the user may observe this one; None if unknown."""
    try:
        answer = int(ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0))
    except (OSError, AttributeError):
        return None
    return None if answer < 0 else answer == 1


def _ptrace() -> Check:
    scope = read_text(_YAMA).strip()
    if not scope:
        return info("ptrace_scope", "no Yama: processes of one user may observe one another")
    words = _YAMA_MEANS.get(scope, scope)
    if scope in ("0", "1"):
        return yes("ptrace_scope", words)
    return no(
        "ptrace_scope", words, f"without it there is no sampler: {_NO_GIL}",
        f"sysctl kernel.yama.ptrace_scope=1, or the capability SYS_PTRACE ({_YAMA})",
    )  # fmt: skip


def _sampler(states: Check) -> list[Check]:
    """Start the sampler, read from it and end it. Only this proves that it may observe this process."""
    if states.state is State.NO:
        return _no_sampler("thread states are hidden: see syscall_file", states.remedy)
    if gil_address() is None:
        why = "the address of the GIL in this interpreter was not found"
        return _no_sampler(why, f"use {tested_versions()} with glibc, on x86-64 or aarch64")
    try:
        process = start_sampler()
    except OSError as error:
        return _no_sampler(f"no process can be started: {error.strerror or error}", _LET_START)
    if process is None:
        return _no_sampler("there is no interpreter to start it with (sys.executable is empty)", _LET_START)
    return _sampled(process)


def _sampled(process: SamplerProcess) -> list[Check]:
    try:
        begun = _begun(process)
        cost = process.header()
    finally:
        process.close()
    if not begun:
        why = process.failure or f"it sent no sample within {_PATIENCE_S:.0f} s"
        return _no_sampler(
            why, "docker run --cap-add SYS_PTRACE, or kernel.yama.ptrace_scope=1; see ptrace_scope and system"
        )
    threads = "1 thread" if cost.threads == 1 else f"{cost.threads} threads"
    seen = f"a child process sampled {threads}, every {cost.period_ns / 1e6:.1f} ms"
    return [yes("sampler", seen), _holder(known=process.tells_holder)]


def _no_sampler(why: str, remedy: str) -> list[Check]:
    return [no("sampler", why, _NO_GIL, remedy), no("gil_holder", why, _NO_HOLDER, remedy)]


def _holder(*, known: bool) -> Check:
    if known:
        return yes("gil_holder", "the holder of the GIL can be read")
    return no(
        "gil_holder", "the GIL's fields are not at the expected addresses", _NO_HOLDER,
        f"use {tested_versions()} as python.org or a distribution builds it",
    )  # fmt: skip


def _begun(process: SamplerProcess) -> bool:
    deadline_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline_s and not process.failure:
        process.look()
        if process.ready and process.header().sweeps > 3:
            return True
        time.sleep(0.02)
    return False


def cpu_checks() -> list[Check]:
    """Return the CPUs, the control group's version and quota, and the size of Python's default pool."""
    of_machine = os.cpu_count() or 1
    allowed = usable_cpus()
    version = hierarchy(read_text("/proc/self/cgroup"), read_text("/proc/self/mountinfo")).version
    groups = CpuGroups(os.getpid())
    groups.find()
    quota, throttled = groups.quota, groups.throttled()
    groups.close()
    words = f"{allowed} of {of_machine}"
    found = []
    if version == 0:
        found.append(info("cgroup", "no CPU controller is visible, so there is no quota"))
    elif quota.period_ns == 0:
        found.append(info("cgroup", f"version {version}, no quota"))
    else:
        cpus = quota.quota_ns / quota.period_ns
        words += f", a quota of {cpus:g}"
        found.append(
            info(
                "cgroup",
                f"version {version}, {cpus:g} CPUs per {quota.period_ns / 1e6:g} ms; throttled {throttled.periods:,} "
                f"times for {throttled.ns / 1e9:,.1f} s so far",
            )
        )
    pool = min(32, of_machine + 4)
    return [info("cpus", f"{words}; Python's default thread pool has {pool} threads, from the machine's CPUs"), *found]
