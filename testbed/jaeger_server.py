"""Runs the Jaeger binary that `make jaeger` built, on free ports, in memory, for one test session."""

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.ended import ended

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "jaeger"
UI_CONFIG = ROOT / "analysis" / "jaeger" / "ui.js"

_CONFIG = """
service:
  extensions: [jaeger_storage, jaeger_query, healthcheckv2]
  pipelines:
    traces: {{receivers: [otlp], processors: [batch], exporters: [jaeger_storage_exporter]}}
  telemetry:
    metrics: {{level: none}}
    logs: {{level: warn}}
extensions:
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: "127.0.0.1:{query}"}}
    grpc: {{endpoint: "127.0.0.1:{query_grpc}"}}
  jaeger_storage:
    backends: {{memory: {{memory: {{max_traces: 100000}}}}}}
  healthcheckv2:
    use_v2: true
    http: {{endpoint: "127.0.0.1:{health}"}}
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{otlp}"}}}}}}
processors: {{batch: {{timeout: 100ms}}}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"""


@dataclass(frozen=True)
class Jaeger:
    """Where the running Jaeger listens."""

    query_url: str
    otlp_url: str


def binary() -> Path | None:
    """The newest Jaeger in the cache; None if none was built."""
    built = sorted(path for path in CACHE.glob("jaeger-*") if path.suffix != ".part")
    return built[-1] if built else None


@contextmanager
def running(program: Path, folder: Path, assets: Path | None = None) -> Iterator[Jaeger]:
    """Starts Jaeger with our UI configuration and waits until it is healthy; ends it afterwards.

    `assets` is a built UI; without one the UI is the page that the binary brings.
    """
    ports = dict(zip(("query", "query_grpc", "health", "otlp"), _free_ports(4), strict=True))
    config = folder / "jaeger.yaml"
    config.write_text(_CONFIG.format(**ports))
    ui = {"config_file": UI_CONFIG} | ({"assets_path": assets} if assets is not None else {})
    flags = [f"--set=extensions.jaeger_query.ui.{name}={path}" for name, path in ui.items()]
    with (folder / "jaeger.log").open("wb") as log:
        process = subprocess.Popen([program, "--config", config, *flags], stdout=log, stderr=subprocess.STDOUT)
        with ended(process, 20):  # it waits for connections that a busy machine still holds
            _wait_until_healthy(process, f"http://127.0.0.1:{ports['health']}/status", folder / "jaeger.log")
            yield Jaeger(f"http://127.0.0.1:{ports['query']}", f"http://127.0.0.1:{ports['otlp']}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"Jaeger ended at start:\n{log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.1)
    raise RuntimeError(f"Jaeger was not healthy within a minute:\n{log.read_text()[-2000:]}")
