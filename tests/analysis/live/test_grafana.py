"""The dashboard asks for nothing that does not exist: names and labels as an OpenTelemetry collector gives them
to Prometheus."""

import asyncio
import functools
import json
import math
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from fastapi import FastAPI
from opentelemetry import metrics as otel
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Gauge, Histogram, InMemoryMetricReader, Sum

import whywait
from tests.analysis.live.prometheus import asked, base_name, exposed, program, running
from whywait.analysis import live
from whywait.analysis.causes import CAUSES
from whywait.analysis.live.counting import Counted
from whywait.analysis.live.labels import Labels
from whywait.analysis.live.metrics import Instruments
from whywait.tracer.config import Config
from whywait.tracer.export import metrics as tracer_metrics
from whywait.tracer.hotpath import recorder

SERVICE = "job"  # the label of each metric that a collector makes of `service.name`
ALERTS = Path(live.__file__).parent / "alerts.yaml"
DASHBOARD = json.loads((Path(live.__file__).parent / "grafana.json").read_text())


def prometheus_names(reader: InMemoryMetricReader) -> dict[str, set[str]]:
    """The names that Prometheus shows, with the labels of each."""
    data = reader.get_metrics_data()
    found: dict[str, set[str]] = {}
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                labels = {key for point in metric.data.data_points for key in point.attributes or {}}
                base = base_name(metric)
                if isinstance(metric.data, Histogram):
                    found |= {f"{base}_sum": labels, f"{base}_count": labels, f"{base}_bucket": labels | {"le"}}
                elif isinstance(metric.data, Sum):
                    found[base + ("_total" if metric.data.is_monotonic else "")] = labels
                elif isinstance(metric.data, Gauge):
                    found[base] = labels
    return found


def of_the_follower() -> dict[str, set[str]]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    instruments = Instruments(provider.get_meter("whywait.live"), Labels(), lambda: {"line": 1}, lambda: 0)
    instruments.add(Counted("GET /", "t", 0, 9, 9, 1.0, {"compute": 9}, {}))
    found = prometheus_names(reader)
    provider.shutdown()
    return found


@contextmanager
def traced_app(
    reader: InMemoryMetricReader, output: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[MeterProvider, Callable[[], None]]]:
    """The provider that the tracer counts to, and what sends the traced application one more request."""
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(otel._internal, "_METER_PROVIDER", provider)
    monkeypatch.setattr(tracer_metrics, "_make_once", functools.cache(tracer_metrics._make_once.__wrapped__))
    app = FastAPI()

    @app.get("/")
    async def idle() -> str:
        return ""

    async def ask() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.get("/")

    whywait.start(output=output, config=Config(sampler=False))
    try:
        yield provider, lambda: asyncio.run(ask())
    finally:
        whywait.stop()
        provider.shutdown()


def of_the_tracer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    reader = InMemoryMetricReader()
    with traced_app(reader, tmp_path, monkeypatch) as (_, ask):
        ask()
        assert recorder.active is not None
        recorder.active.lost["record"] += 1
        return prometheus_names(reader)


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    return of_the_follower() | of_the_tracer(tmp_path, monkeypatch)


def test_every_metric_and_label_that_it_asks_for_exists(known: dict[str, set[str]]) -> None:
    asked = [*expressions(), *(one["definition"] for one in DASHBOARD["templating"]["list"] if "definition" in one)]
    names = {name for one in asked for name in re.findall(r"\bwhywait_\w+", one)}
    assert names <= set(known), names - set(known)
    # and shows what there is: each metric stands somewhere, but for the parts of the histogram
    assert {one for one in known if one.startswith("whywait_")} - names == {
        "whywait_wall_time_seconds_sum", "whywait_wall_time_seconds_count", "whywait_handler_time_seconds_sum",
        "whywait_handler_time_seconds_count",
    }  # fmt: skip
    for one in asked:
        for name, selector in re.findall(r"\b(whywait_\w+)\{([^}]*)\}", one):
            for label in re.findall(r"(\w+)\s*=~?", selector):
                assert label in known[name] | {SERVICE}, (name, label)
        for grouped in re.findall(r"\bby \(([^)]*)\) \(rate\((whywait_\w+)", one):
            assert set(grouped[0].split(", ")) <= known[grouped[1]], one


def test_the_alerts_ask_for_what_exists_and_fire_where_it_is_so(tmp_path: Path, known: dict[str, set[str]]) -> None:
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    asked = " ".join(rule["expr"] for rule in rules)
    assert set(re.findall(r"\bwhywait_\w+", asked)) <= set(known)
    assert {one for text in re.findall(r'cause=~?"([^"]*)"', asked) for one in text.split("|")} <= set(CAUSES)
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool: Debian's package is called prometheus")
    # 10 requests a second, of which each waits for the loop for 100 ms and for a CPU for 10 ms; a record lost each second
    of = '{job="shop", endpoint="GET /"'
    series = {
        f"whywait_requests_analysed_total{of}}}": "0+600x30",
        f'whywait_cause_time_seconds_total{of}, cause="loop_busy"}}': "0+60x30",
        f'whywait_cause_time_seconds_total{of}, cause="cpu_wait"}}': "0+6x30",
        'whywait_lost_total{job="shop", kind="record"}': "0+60x30",
    }
    test = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [{
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": "20m",
                "exp_samples": [
                    {"labels": f'{{alertname="{name}"}}', "value": 1}
                    for name in ("WhywaitEventLoopBusy", "WhywaitRecordsLost")
                ],
            }],
        }],
    }  # fmt: skip
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    done = subprocess.run([promtool, "test", "rules", str(tmp_path / "test.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_causes_it_names_are_causes() -> None:
    from whywait.analysis.causes import Cause

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
    for path in (ALERTS.with_name("grafana.json"), ALERTS):
        done = subprocess.run(["git", "check-ignore", str(path)], cwd=path.parent, check=False)
        assert done.returncode != 0


def test_a_real_prometheus_answers_every_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each panel has a line for each thing that was counted, by the labels that its legend names."""
    path = program()
    if path is None:
        pytest.skip("no Prometheus: Debian's package is called prometheus")
    reader = InMemoryMetricReader()
    causes = {"compute": 10_000_000, "gil_wait": 20_000_000, "loop_busy": 30_000_000, "cpu_wait": 40_000_000,
              "pool_queue": 50_000_000, "unexplained": 1_000_000}  # fmt: skip
    lost: dict[str, int] = {}
    with traced_app(reader, tmp_path / "traces", monkeypatch) as (provider, ask):
        instruments = Instruments(provider.get_meter("whywait.live"), Labels(), lambda: lost, lambda: 7)
        with exposed(reader) as port, running(path, tmp_path, port) as url:
            deadline = time.monotonic() + 60
            unanswered = [target for panel in DASHBOARD["panels"] for target in panel["targets"]]
            answers: dict[str, list[dict[str, Any]]] = {}
            while unanswered and time.monotonic() < deadline:
                ask()
                instruments.add(Counted("GET /", "t", 0, 151_000_000, 120_000_000, 1.0, causes, {}))
                assert recorder.active is not None
                recorder.active.lost["record"] += 1
                lost["line"] = lost.get("line", 0) + 1
                time.sleep(0.2)
                for target in list(unanswered):
                    expression = target["expr"].replace("$endpoint", ".*").replace("$job", "collector")
                    expression = expression.replace("$__rate_interval", "10s")
                    found = asked(url, "query", query=expression)["result"]
                    if found and all(math.isfinite(float(one["value"][1])) for one in found):
                        unanswered.remove(target)
                        answers[target["expr"]] = found
                        labels = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
                        assert all(set(one["metric"]) == labels for one in found), target
            assert unanswered == []
            endpoints = asked(url, "label/endpoint/values", **{"match[]": "whywait_requests_analysed_total"})
    assert endpoints == ["GET /"]
    first, *_ = expressions()
    seen = {one["metric"]["cause"]: float(one["value"][1]) for one in answers[first]}
    assert seen == pytest.approx({cause: ns / 1e9 for cause, ns in causes.items()})


def test_grafanas_own_models_keep_all_of_it() -> None:
    """What they do not know they drop, and what has the wrong form they refuse or change."""
    dashboard = pytest.importorskip("grafana_foundation_sdk.models.dashboard")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins

    register_default_plugins()
    read = dashboard.Dashboard.from_json(DASHBOARD)
    again = json.loads(JSONEncoder().encode(read))
    ours = json.loads(json.dumps(DASHBOARD))
    for variable in ours["templating"]["list"]:
        if "definition" in variable:
            assert variable.pop("definition") == variable["query"]["query"], "what its editor shows of the query"
    assert list(_dropped(ours, again)) == []
    for panel in read.panels:
        assert type(panel.options).__module__ == "grafana_foundation_sdk.models.timeseries"
        assert all(type(one).__module__ == "grafana_foundation_sdk.models.prometheus" for one in panel.targets)
    assert {panel["fieldConfig"]["defaults"]["unit"] for panel in DASHBOARD["panels"]} <= _units()


def _dropped(ours: Any, theirs: Any, at: str = "") -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from _dropped(value, theirs[key], f"{at}/{key}") if key in theirs else [f"{at}/{key}"]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _dropped(one, other, f"{at}/{index}")
    elif ours != theirs:
        yield at


def _units() -> set[str]:
    from grafana_foundation_sdk.models import units

    return {value for value in vars(units).values() if isinstance(value, str)}
