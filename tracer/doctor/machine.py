"""Checks how many CPUs this process may use, and whether Jaeger answers."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Final

from whywait.tracer.doctor.check import Check, info, no, yes
from whywait.tracer.doctor.kernel import processors
from whywait.tracer.sampler.child.cgroup import CpuGroups, hierarchy, read_text

_TIMEOUT_S: Final = 5.0


def cpu_checks() -> list[Check]:
    """Return the CPUs, the control group's version and quota, and the size of Python's default pool."""
    allowed, of_machine = len(processors()), os.cpu_count() or 1
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


def jaeger_check(url: str) -> Check:
    """Return whether Jaeger's query API, or a receiver of OTLP over HTTP, answers at this address."""
    means, remedy = (
        "traces cannot be sent to it or read from it",
        "is it running, and is the port right (16686, 4318)?",
    )
    if not url.startswith(("http://", "https://")):
        return no("jaeger", f"{url} is not an address", means, "give one such as http://localhost:16686")
    base = url.rstrip("/")
    why = ""
    for path in ("/api/v3/services", "/api/services"):
        answer, why = _ask(base + path)
        services = _services(answer) if answer is not None else None
        if services is not None:
            return yes("jaeger", f"{base} answers queries: {services}")
    answer, refused = _ask(f"{base}/v1/traces", b'{"resourceSpans":[]}')
    if answer is not None:
        return yes("jaeger", f"{base} accepts traces (OTLP over HTTP)")
    return no("jaeger", f"{base}: {refused or why}", means, remedy)


def _services(answer: bytes) -> str | None:
    try:
        payload = json.loads(answer)
    except ValueError:
        return None
    names = payload.get("services", payload.get("data")) if isinstance(payload, dict) else None
    return f"{len(names)} services" if isinstance(names, list) else None


def _ask(url: str, body: bytes | None = None) -> tuple[bytes | None, str]:
    """The answer, or None and the reason."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - http or https
    opened: Callable[..., object] = urllib.request.urlopen
    try:
        with opened(request, timeout=_TIMEOUT_S) as answer:  # type: ignore[attr-defined]
            return answer.read(1_000_000), ""
    except urllib.error.HTTPError as error:
        error.close()
        return None, f"HTTP {error.code}"
    except (urllib.error.URLError, OSError, ValueError) as error:
        return None, str(getattr(error, "reason", error))
