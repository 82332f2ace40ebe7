"""From the sidecar through an OpenTelemetry collector into a Prometheus that keeps exemplars, as in compose, all real. The
collector is Jaeger's program, which is one."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.ended import ended
from testbed.jaeger_server import binary
from testbed.service import free_port
from tests.analysis.live.prometheus import asked, program, running
from tests.analysis.live.test_metrics_command import sidecar
from tests.analysis.live.test_top import wait_for
from tests.analysis.live.traces import BUSY, QUEUED, lines_of, one


@contextmanager
def collector(path: Path, folder: Path) -> Iterator[tuple[int, int]]:
    """Yields the ports at which it takes OTLP and is scraped."""
    takes, scraped = free_port(), free_port()
    config = {
        "service": {
            "pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["prometheus"]}},
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
        },
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{takes}"}}}},
        "exporters": {"prometheus": {"endpoint": f"127.0.0.1:{scraped}", "enable_open_metrics": True}},
    }
    (folder / "collector.yml").write_text(json.dumps(config))  # which is YAML
    with (folder / "collector.log").open("wb") as log:
        process = subprocess.Popen([path, "--config", folder / "collector.yml"], stdout=log, stderr=log)
        with ended(process, 20):
            yield takes, scraped


def test_an_example_of_a_bucket_reaches_a_prometheus(tmp_path: Path) -> None:
    prometheus, jaeger = program(), binary()
    if prometheus is None or jaeger is None:
        pytest.skip("no Prometheus (Debian's package is called prometheus), or no collector (`make jaeger`)")
    busy, queued = one(BUSY, "GET /", 1), one(QUEUED, "GET /slow", 99)
    path = tmp_path / "traces.jsonl"
    path.write_bytes(b"".join((*lines_of(busy), *lines_of(queued))))
    found: dict[str, str] = {}

    def arrived() -> bool:
        now = time.time()
        series = asked(
            url, "query_exemplars", query="whywait_wall_time_seconds_bucket", start=f"{now - 600}", end=f"{now}"
        )
        for each in series:
            found[each["seriesLabels"]["endpoint"]] = each["exemplars"][-1]["labels"]["trace_id"]
        return len(found) == 2

    # an example is in one export alone, which is there to be scraped until the next
    with (
        collector(jaeger, tmp_path) as (takes, scraped),
        running(prometheus, tmp_path, scraped) as url,
        sidecar(str(path), "--from-start", "--seconds", "4", "--send", f"http://127.0.0.1:{takes}"),
    ):
        wait_for(arrived)
    assert found["GET /"] in set(busy["trace_id"])
    assert found["GET /slow"] in set(queued["trace_id"])
