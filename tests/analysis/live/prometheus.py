"""A real Prometheus that scrapes what a meter provider has, named as an OpenTelemetry collector names it."""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from opentelemetry.sdk.metrics.export import Histogram, InMemoryMetricReader, Metric, Sum

from testbed.service import free_port

UNITS = {"s": "_seconds", "By": "_bytes"}
PATIENCE_S = 30.0


def program() -> str | None:
    """The server, as Debian's package names it; None where it is not installed."""
    return shutil.which("prometheus")


def base_name(metric: Metric) -> str:
    """The name of a metric in Prometheus, without what its kind adds."""
    return metric.name.replace(".", "_") + UNITS.get(metric.unit or "", "")


def exposition(reader: InMemoryMetricReader) -> str:
    """What the meter provider has now, in Prometheus's text format."""
    data = reader.get_metrics_data()
    lines = [
        line
        for resource in (data.resource_metrics if data is not None else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for line in _lines(metric)
    ]
    return "".join(f"{line}\n" for line in lines)


def _lines(metric: Metric) -> Iterator[str]:
    name = base_name(metric)
    if not isinstance(metric.data, Histogram):
        total = "_total" if isinstance(metric.data, Sum) and metric.data.is_monotonic else ""
        for point in metric.data.data_points:
            yield f"{name}{total}{_labels(point.attributes or {})} {point.value}"  # type: ignore[union-attr]
        return
    for point in metric.data.data_points:
        labels, count = dict(point.attributes or {}), 0
        for bound, found in zip((*point.explicit_bounds, "+Inf"), point.bucket_counts, strict=True):
            count += found
            yield f"{name}_bucket{_labels({**labels, 'le': str(bound)})} {count}"
        yield f"{name}_sum{_labels(labels)} {point.sum}"
        yield f"{name}_count{_labels(labels)} {point.count}"


def _labels(labels: Any) -> str:
    inside = ",".join(f"{key.replace('.', '_')}={json.dumps(str(value))}" for key, value in labels.items())
    return f"{{{inside}}}" if inside else ""


@contextmanager
def exposed(reader: InMemoryMetricReader) -> Iterator[int]:
    """Serves the metrics; yields the port."""

    class Scraped(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = exposition(reader).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Scraped)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def running(path: str, folder: Path, target: int) -> Iterator[str]:
    """A Prometheus that asks the port each second; yields its URL once it answers."""
    config = folder / "prometheus.yml"
    config.write_text(
        json.dumps({  # which is YAML
            "scrape_configs": [{
                "job_name": "collector", "scrape_interval": "1s", "scrape_timeout": "1s",
                "static_configs": [{"targets": [f"127.0.0.1:{target}"]}],
            }]
        })
    )  # fmt: skip
    url = f"127.0.0.1:{free_port()}"
    command = [
        path, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={url}",
        "--enable-feature=exemplar-storage",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait_until_ready(process, f"http://{url}")
            yield f"http://{url}"
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE_S)


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"prometheus ended with {process.returncode}")
        try:
            with urlopen(f"{url}/-/ready", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError("prometheus did not become ready")


def asked(url: str, path: str, **query: str) -> Any:
    """The data of an answer of the HTTP API; raises HTTPError for a query that it refuses."""
    with urlopen(f"{url}/api/v1/{path}?{urlencode(query)}", timeout=30) as answer:
        said = json.load(answer)
    assert said["status"] == "success", said
    return said["data"]
