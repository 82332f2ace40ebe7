"""What tracing costs a request, beside OpenTelemetry's own instrumentation of the same service.

All services run at once under real uvicorn; one keep-alive client asks them in turns, A B C A B C, in
short blocks, so that a change of the machine's speed meets all alike. Reported: the median over blocks
of each block's median latency, and the ratio to the untraced service of the same turn. The second
untraced service is the noise floor. CPU: of the service and its children, such as the sampler, as a ratio. Peers run where they are installed: `pip install --group bench`.

    python -m benchmarks.overhead [--turns 40] [--block 50] [--out benchmarks/results/overhead.md]
"""

import http.client
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from benchmarks import hot_path
from benchmarks.command import run
from testbed.service import free_port
from whywait.analysis import analyze

ROOT = Path(__file__).resolve().parents[1]
UNTRACED, ALL_KEPT, NATIVE = "untraced", "whywait, all kept", "native core"
VARIANTS = {
    UNTRACED: "nothing installed",
    "untraced again": "the same once more: the noise floor",
    "whywait, slow kept": "all probes, WHYWAIT_KEEP=slow: the slowest 5%, errors and 1% of the rest kept",
    ALL_KEPT: "all probes, every span kept and written to a file",
    "whywait, slow kept, native core": "the same with WHYWAIT_CORE=native",
    "whywait, all kept, native core": "the same with WHYWAIT_CORE=native",
    "server spans": "FastAPI's own spans only, through the SDK into a file: no probe of ours",
    "otel": "FastAPI's own spans + asyncio + threading instrumentors, written to a file",
    "aiocop": "detects slow tasks and blocking calls on the loop; no spans",
    "ddtrace": "ddtrace-run, no agent to send to",
}
NEEDS = {"aiocop": "aiocop", "ddtrace": "ddtrace", "otel": "opentelemetry-instrumentation-asyncio"}


class Service:
    """One uvicorn of one variant."""

    def __init__(self, variant: str, folder: Path) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "uvicorn", "benchmarks.overhead_app:app", "--port", str(self.port),
                   "--log-level", "error", "--no-access-log", "--timeout-keep-alive", "600"]  # fmt: skip
        environment = {**os.environ, "BENCH_VARIANT": variant, "BENCH_OUTPUT": str(folder / f"{variant}.jsonl")}
        if variant.startswith("whywait"):
            output = str(folder / variant)
            command = [sys.executable, "-m", "whywait", "run", "-o", output, "--", *command]
            environment["WHYWAIT_KEEP"] = "slow" if "slow" in variant else "all"
            environment["WHYWAIT_CORE"] = "native" if NATIVE in variant else "python"
        elif variant == "ddtrace":
            command = [str(Path(sys.executable).with_name("ddtrace-run")), *command]
            environment |= {"DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_TRACE_STARTUP_LOGS": "false"}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        self.output = folder / variant
        self.took_ns: list[int] = []  # by the client's clock, of all requests
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.latency_ns("/trivial")
                return
            except OSError:
                self.connection.close()
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.1)

    def latency_ns(self, path: str) -> int:
        start = time.perf_counter_ns()
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        self.took_ns.append(time.perf_counter_ns() - start)
        return self.took_ns[-1]

    def cpu_s(self) -> float:
        """CPU time of the service and of its children so far, such as the sampler; in ticks of the kernel."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sum(map(_cpu_s, (str(pid), *children)))

    def stop(self) -> None:
        self.connection.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)


def felt_text(service: Service) -> str:
    """What a traced service's requests felt like by its traces, against their client's clock: there is one client, so
    that both are in the same order."""
    told_ns = analyze(service.output).requests.sort_values("start_ns")["wall_ns"].to_numpy()
    if len(told_ns) != len(service.took_ns):
        return f"{len(told_ns)} of {len(service.took_ns)} requests are in the traces"
    p50, p95 = np.percentile(np.abs(told_ns - np.array(service.took_ns)) / 1e6, (50, 95))
    return f"what whywait says that the client felt differs from its clock by {p50:.2f} ms at p50, {p95:.2f} ms at p95"


def measure(path: str, turns: int, block: int) -> tuple[dict[str, tuple[float, float, float]], str]:
    """Median latency in ms, median ratio to "untraced", and the ratio of all CPU time, per variant that can run here; and
    how far felt time is from the client's clock."""
    variants = [
        one for one in VARIANTS if (one not in NEEDS or _installed(NEEDS[one])) and (NATIVE not in one or _built())
    ]
    medians: dict[str, list[float]] = {variant: [] for variant in variants}
    with tempfile.TemporaryDirectory() as folder:
        services = {variant: Service(variant, Path(folder)) for variant in variants}
        try:
            for service in services.values():
                for _ in range(block):
                    service.latency_ns(path)
            before_s = {variant: service.cpu_s() for variant, service in services.items()}
            for _ in range(turns):
                for variant, service in services.items():
                    medians[variant].append(statistics.median(service.latency_ns(path) for _ in range(block)) / 1e6)
            time.sleep(2)  # what is exported after the last request counts, too
            used_s = {variant: service.cpu_s() - before_s[variant] for variant, service in services.items()}
        finally:
            for service in services.values():
                service.stop()
        felt = felt_text(services[ALL_KEPT])
    return {
        variant: (
            statistics.median(times),
            statistics.median(ours / bare for ours, bare in zip(times, medians[UNTRACED], strict=True)),
            used_s[variant] / used_s[UNTRACED],
        )
        for variant, times in medians.items()
    }, felt


def page(turns: int, block: int) -> str:
    """The result as Markdown, with its conditions."""
    lines = [
        "# What tracing costs a request",
        "",
        "Made by `python -m benchmarks.overhead`; see its docstring for the method.",
        "",
        f"- when: {datetime.now(UTC):%Y-%m-%d}; Python {platform.python_version()}, {os.cpu_count()} CPUs, "
        f"{platform.machine()}; xgboost {_xgboost()}, fastapi {version('fastapi')}, "
        f"opentelemetry-sdk {version('opentelemetry-sdk')}"
        + "".join(f", {name} {version(name)}" for name in ("aiocop", "ddtrace") if _installed(name)),
        f"- {turns} turns of {block} requests per variant, one client",
        "",
    ]
    for path, what in (("/trivial", "8 trivial pool jobs"), ("/predict", "8 XGBoost predicts of 64 rows")):
        lines += [f"## A request of {what}", "", "| variant | | median ms | ratio | CPU |", "|---|---|---|---|---|"]
        found, felt = measure(path, turns, block)
        for variant, (milliseconds, ratio, cpu) in found.items():
            lines.append(f"| {variant} | {VARIANTS[variant]} | {milliseconds:.3f} | {ratio:.2f} | {cpu:.2f} |")
        lines += ["", f"With {ALL_KEPT.partition(', ')[2]}, {felt}.", ""]
    lines += [
        "## What is added to each piece",
        "",
        "In one process, tracer on and off in turns, nothing kept (`python -m benchmarks.hot_path`).",
        "",
        hot_path.table(),
        "",
    ]
    return "\n".join(lines)


def _installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def _built() -> bool:
    return any((ROOT / "tracer/host").glob("_core.*"))


def _cpu_s(pid: str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _xgboost() -> str:
    import xgboost

    return str(xgboost.__version__)


if __name__ == "__main__":
    run(__doc__, page, turns=40, block=50)
