"""Starting and ending the real process: what it refuses, and whom it lets finish."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import demo_service.app
from demo_service.driver.server_process import ServerError, ServerPlan, free_port, running
from demo_service.settings import Settings, SettingsError, from_environment
from demo_service.web.schemas import example_request


def small_environment() -> dict[str, str]:
    return {
        "WHYWAIT_DEMO_TRAINING_ROWS": "200",
        "WHYWAIT_DEMO_TREES": "10",
        "WHYWAIT_DEMO_DEPTH": "3",
        "WHYWAIT_DEMO_POOL_SIZE": "3",
    }


def uvicorn(environment: Mapping[str, str], log: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "uvicorn", "demo_service.app:app", "--port", str(port), "--loop", "asyncio"]
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **environment})


@contextmanager
def served(environment: Mapping[str, str], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port(0)
    process = uvicorn(environment, log, port)
    try:
        deadline_s = time.monotonic() + 60
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline_s
            try:
                if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        yield process, port
    finally:
        process.kill()
        process.wait(10)


def test_a_request_in_flight_is_finished_before_the_service_ends(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    body = json.dumps(example_request()).encode()
    head = (
        "POST /predict/microbatch HTTP/1.1\r\nhost: demo\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode()
    with served(small_environment(), log) as (process, port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            client.sendall(head + body[:100])
            time.sleep(0.2)  # lets the server read the head: from then on the request is in flight
            process.send_signal(signal.SIGTERM)
            deadline_s = time.monotonic() + 20
            while "Shutting down" not in log.read_text():
                assert time.monotonic() < deadline_s
                time.sleep(0.02)
            client.sendall(body[100:])
            answer = client.makefile("rb").read()
        # uvicorn ends as the signal would have: by it, or with 0 in older versions
        assert process.wait(20) in {0, -signal.SIGTERM}
    assert answer.startswith(b"HTTP/1.1 200")
    assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["predictions"]) == 7
    assert "Application shutdown complete" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_device_that_is_not_there_is_one_line_and_exit_2(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    environment = {"WHYWAIT_DEMO_DEVICE": "cuda", "CUDA_VISIBLE_DEVICES": ""}
    assert uvicorn(environment, log, free_port(0)).wait(60) == 2
    lines = log.read_text().splitlines()
    assert len(lines) == 1
    assert "'cuda' was asked for" in lines[0]


@pytest.mark.parametrize(("name", "value"), [("TREES", "many"), ("DEVICE", "tpu"), ("POOL_SIZE", "0")])
def test_a_setting_that_cannot_be_used_is_one_line_and_exit_2(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"WHYWAIT_DEMO_{name}", value)
    with pytest.raises(SystemExit) as left:
        demo_service.app.__getattr__("app")
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"demo_service: WHYWAIT_DEMO_{name}={value!r} cannot be used: ")
    assert said.count("\n") == 1


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHYWAIT_DEMO_POOL_SIZE", "5")
    assert from_environment() == Settings(pool_size=5)
    monkeypatch.setenv("WHYWAIT_DEMO_POOL_SIZE", "0")
    with pytest.raises(SettingsError, match="greater than or equal to 1"):
        from_environment()


def plan(tmp_path: Path, environment: Mapping[str, str], port: int = 0) -> ServerPlan:
    return ServerPlan(port, "asyncio", tmp_path / "traces", tmp_path / "server.log", environment)


def test_a_busy_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(ServerError, match=f"port {port} cannot be used"),
            running(plan(tmp_path, {}, port), lambda: None),
        ):
            raise AssertionError("it started")
    assert not (tmp_path / "server.log").exists()


def test_a_service_that_dies_at_its_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    started = running(plan(tmp_path, {"WHYWAIT_DEMO_TREES": "many"}), lambda: None)
    with pytest.raises(ServerError, match=r"(?s)ended with code 2.*WHYWAIT_DEMO_TREES='many'"), started:
        raise AssertionError("it started")


def test_a_service_that_dies_under_load_is_told_with_its_last_words(tmp_path: Path) -> None:
    def kill_under_load() -> None:
        with running(plan(tmp_path, small_environment()), lambda: None) as url:
            server = _listener(int(url.rpartition(":")[2]))
            os.kill(server, signal.SIGKILL)
            while _alive(server):
                time.sleep(0.02)
            httpx.get(f"{url}/healthz", trust_env=False)  # refused: what the driver would meet

    with pytest.raises(ServerError, match="ended with code -9"):
        kill_under_load()


def _alive(process_id: int) -> bool:
    """Whether the process still runs; a killed one stays as a zombie until its parent asks for it."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process_id}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # asked for meanwhile
        return False


def _listener(port: int) -> int:
    wanted = f"--port\0{port}\0".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "cmdline").read_bytes():
                return int(folder.name)
        except OSError:
            continue
    raise AssertionError(f"nobody serves {port}")
