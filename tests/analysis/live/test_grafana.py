"""The dashboard asks for nothing that does not exist: names and labels as an OpenTelemetry collector gives them
to Prometheus."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry import metrics as otel
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Gauge, Histogram, InMemoryMetricReader, Sum

import analysis.live
import tracer
from analysis.live.counting import Counted
from analysis.live.labels import Labels
from analysis.live.metrics import Instruments
from analysis.live.totals import Totals
from tracer import metrics as tracer_metrics
from tracer import recorder
from tracer.config import Config

DASHBOARD = json.loads((Path(analysis.live.__file__).parent / "grafana.json").read_text())
UNITS = {"s": "_seconds", "By": "_bytes"}


def prometheus_names(reader: InMemoryMetricReader) -> dict[str, set[str]]:
    """The names that Prometheus shows, with the labels of each."""
    data = reader.get_metrics_data()
    found: dict[str, set[str]] = {}
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                labels = {key for point in metric.data.data_points for key in point.attributes or {}}
                base = metric.name.replace(".", "_") + UNITS.get(metric.unit or "", "")
                if isinstance(metric.data, Histogram):
                    found |= {
                        f"{base}_sum": labels,
                        f"{base}_count": labels,
                        f"{base}_bucket": labels | {"le"},
                    }
                elif isinstance(metric.data, Sum):
                    found[base + ("_total" if metric.data.is_monotonic else "")] = labels
                elif isinstance(metric.data, Gauge):
                    found[base] = labels
    return found


def of_the_follower() -> dict[str, set[str]]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    instruments = Instruments(
        provider.get_meter("whywait.live"), Totals(Labels()), lambda: {"line": 1}, lambda: 0
    )
    instruments.add(Counted("GET /", "t", 0, 9, 1.0, {"compute": 9}, {}))
    found = prometheus_names(reader)
    provider.shutdown()
    return found


def of_the_tracer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(otel._internal, "_METER_PROVIDER", provider)
    monkeypatch.setattr(tracer_metrics, "_made", False)
    app = FastAPI()

    @app.get("/")
    async def idle() -> str:
        return ""

    async def ask() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.get("/")

    tracer.start(output=tmp_path, config=Config(sampler=False))
    try:
        asyncio.run(ask())
        assert recorder.active is not None
        recorder.active.lost["record"] += 1
        found = prometheus_names(reader)
    finally:
        tracer.stop()
        provider.shutdown()
    return found


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    return of_the_follower() | of_the_tracer(tmp_path, monkeypatch)


def test_every_metric_and_label_that_it_asks_for_exists(known: dict[str, set[str]]) -> None:
    variable = next(one for one in DASHBOARD["templating"]["list"] if one["name"] == "endpoint")
    asked = [*expressions(), variable["definition"]]
    names = {name for one in asked for name in re.findall(r"\bwhywait_\w+", one)}
    assert names <= set(known), names - set(known)
    # and shows what there is: each metric stands somewhere, but for the parts of the histogram
    assert {one for one in known if one.startswith("whywait_")} - names == {
        "whywait_wall_time_seconds_sum", "whywait_wall_time_seconds_count",
    }  # fmt: skip
    for one in asked:
        for name, selector in re.findall(r"\b(whywait_\w+)\{([^}]*)\}", one):
            for label in re.findall(r"(\w+)\s*=~?", selector):
                assert label in known[name], (name, label)
        for grouped in re.findall(r"\bby \(([^)]*)\) \(rate\((whywait_\w+)", one):
            assert set(grouped[0].split(", ")) <= known[grouped[1]], one


def test_the_causes_it_names_are_causes() -> None:
    from analysis.causes import Cause

    named = {
        cause for one in expressions() for text in re.findall(r'cause=~?"([^"]*)"', one) for cause in text.split("|")
    }  # fmt: skip
    assert named
    assert named <= {str(cause) for cause in Cause}


def test_panels_stand_apart_and_are_told_apart() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({one["id"] for one in panels}) == len({one["title"] for one in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for one in panels:
        place = one["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, one["title"]
        taken |= cells
        assert one["description"]


def test_it_is_shipped_with_the_package() -> None:
    """Hatch takes all files of the package; what git ignores would be left out."""
    import subprocess

    path = Path(analysis.live.__file__).parent / "grafana.json"
    done = subprocess.run(["git", "check-ignore", str(path)], cwd=path.parent, check=False)
    assert done.returncode != 0
