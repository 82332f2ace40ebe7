"""Servers of several processes: traces come from all of them, whole, and none is mixed up with another."""

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from testbed.service import free_port, unusual
from tests.tracer.conftest import Span, read
from tests.unharmed.serving import ask_all_workers, serving, traced
from whywait import analysis

APP = "tests.unharmed.app:app"
UVICORN = (sys.executable, "-m", "uvicorn", "--workers", "2", "--log-level", "warning", "--port")
GUNICORN = (
    sys.executable, "-m", "gunicorn", "-w", "2", "-k", "uvicorn_worker.UvicornWorker", "--no-control-socket", "-b",
)  # fmt: skip


def command_of(server: str, port: int, app: str = APP) -> list[str]:
    if server == "uvicorn":
        return [*UVICORN, str(port), app]
    preload = ["--preload"] if server == "gunicorn preload" else []
    return [*GUNICORN, f"127.0.0.1:{port}", *preload, app]


def spans_in(output: Path) -> list[Span]:
    return [span for path in sorted(output.iterdir()) for span in read(path)]


def check(answers: Sequence[dict[str, Any]], spans: Sequence[Span]) -> None:
    """Each answer has its trace, of the process that gave it, with all that was done for it and no more."""
    by_trace = defaultdict(list)
    for span in spans:
        by_trace[span.trace_id].append(span)
    assert len({one["trace_id"] for one in answers}) == len(answers)
    for answer in answers:
        (process_id,) = set(answer["processes"])
        own = by_trace[answer["trace_id"]]
        assert {span.process_id for span in own} == {process_id}
        marks = [span.name for span in own if span["kind"] == "phase"]
        assert sorted(marks) == [f"in thread {answer['asked']}", f"on loop {answer['asked']}"]
        (root,) = [span for span in own if span["root"]]
        assert root["incomplete"] is None
        assert root["lost"] is None
        assert root["ingress.from"] == "kernel", "each worker reads its own sockets"
        assert [span.name for span in own if span["kind"] == "run"] == ["in_thread"]
    assert len({span.span_id for span in spans}) == len(spans)


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn", "gunicorn preload"])
def test_every_worker_is_traced_and_none_mixed_up(server: str, tmp_path: Path) -> None:
    port, output = free_port(), tmp_path / "traces"
    command = traced(output, *command_of(server, port))
    with serving(command, port, tmp_path / "log") as served:
        answers = ask_all_workers(served.url)
    check(answers, spans_in(output))
    # no file of a parent, which serves nobody
    assert {int(path.stem.rpartition("-")[2]) for path in output.iterdir()} == {one["processes"][0] for one in answers}
    found = analysis.analyze(output)
    assert not found.requests["incomplete"].any()
    asked = found.requests[found.requests["endpoint"] == "GET /ask/{asked}"]
    assert set(asked["trace_id"]) == {answer["trace_id"] for answer in answers}
    assert not any("whywait" in line for line in unusual(served.said))


def states_of_children(process_id: int) -> list[str]:
    """The kernel's letter of each child: "Z" for one that ended, and for which nobody waited."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found += [state] if int(parent) == process_id else []
    return found


def test_the_process_that_a_reloader_starts_is_traced(tmp_path: Path) -> None:
    port, output = free_port(), tmp_path / "traces"
    command = [
        sys.executable, "-m", "uvicorn", "--reload", "--reload-dir", str(Path(__file__).parent), "--log-level", "warning",
        "--port", str(port), APP,
    ]  # fmt: skip
    with serving(traced(output, *command), port, tmp_path / "log") as served:
        answers = ask_all_workers(served.url, workers=1)
        states = states_of_children(served.process.pid)
    check(answers, spans_in(output))
    assert len(states) >= 1
    assert "Z" not in states


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn", "gunicorn preload"])
def test_an_app_that_starts_the_tracer_itself(server: str, tmp_path: Path) -> None:
    """With --preload it does so in the parent of the workers."""
    port, output = free_port(), tmp_path / "traces"
    command = command_of(server, port, "tests.unharmed.started_app:app")
    environment = {"WHYWAIT_OUTPUT": str(output)}
    with serving(command, port, tmp_path / "log", environment=environment) as served:
        answers = ask_all_workers(served.url)
    check(answers, spans_in(output))


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn preload"])
def test_workers_may_write_one_file(server: str, tmp_path: Path) -> None:
    port, output = free_port(), tmp_path / "traces.jsonl"
    with serving(traced(output, *command_of(server, port)), port, tmp_path / "log") as served:
        answers = ask_all_workers(served.url)
    check(answers, read(output))
