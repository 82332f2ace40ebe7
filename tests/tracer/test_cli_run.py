"""`whywait run`: the command is what it was, in every process of it, and is traced."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testbed.service import free_port, get
from tests.tracer.conftest import read
from whywait.tracer.cli import main
from whywait.tracer.config import Config, ConfigError, from_environment, output_file

ROOT = Path(__file__).resolve().parents[2]


def run(
    *words: str, output: Path | None = None, cwd: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "whywait", "run"]
    command += ["--output", str(output)] if output is not None else []
    return subprocess.run(
        [*command, *words], capture_output=True, text=True, cwd=cwd, timeout=60, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


WORK = "import whywait\nwith whywait.phase('work'): pass\n"


def test_a_script_is_traced_into_a_folder(tmp_path: Path) -> None:
    done = run("--", sys.executable, "-c", WORK, output=tmp_path / "out")
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "out").iterdir()
    assert {span.name for span in read(file)} >= {"work"}


def test_a_script_is_traced_into_a_file(tmp_path: Path) -> None:
    done = run("--", sys.executable, "-c", WORK, output=tmp_path / "t.jsonl")
    assert done.returncode == 0, done.stderr
    assert {span.name for span in read(tmp_path / "t.jsonl")} >= {"work"}


def test_streams_and_exit_code_are_the_commands_own(tmp_path: Path) -> None:
    done = run("--", sys.executable, "-c", "import sys; print(input()); sys.exit(7)", output=tmp_path)
    assert done.returncode == 7 or "EOFError" in done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "whywait", "run", "-o", str(tmp_path), "--", sys.executable, "-c",
         "import sys; print(input()); sys.exit(7)"],
        input="hello\n", capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (7, "hello\n")


def test_no_library_is_imported_that_the_program_does_not_use(tmp_path: Path) -> None:
    """They would cost its start, and pytest's plugins must be imported by pytest."""
    libraries = "{'anyio', 'starlette', 'uvloop', 'fastapi', 'uvicorn', 'httpx', 'sqlalchemy', 'xgboost'}"
    done = run(
        "--", sys.executable, "-c", f"import sys; {WORK}print(sorted({libraries} & {{*sys.modules}}))", output=tmp_path
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_pytest_runs_as_strictly_as_without(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n")
    words = ("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "test_it.py")
    done = run("--", sys.executable, *words, output=tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_sigterm_still_kills_and_the_last_spans_are_kept(tmp_path: Path) -> None:
    code = WORK + "import time\nprint('up', flush=True)\ntime.sleep(60)\n"
    process = subprocess.Popen(
        [sys.executable, "-m", "whywait", "run", "-o", str(tmp_path), "--", sys.executable, "-c", code],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == -signal.SIGTERM
    process.stdout.close()
    (file,) = tmp_path.iterdir()
    assert "work" in {span.name for span in read(file)}


def test_the_environments_own_sitecustomize_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os\nif 'WHYWAIT_AUTOSTART' in os.environ: print('mine')\n")
    done = run(
        "--", sys.executable, "-c", "import whywait; print(whywait.is_active())", output=tmp_path / "out",
        PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}",
    )  # fmt: skip
    assert done.stdout.splitlines() == ["mine", "True"]


@pytest.mark.parametrize(("words", "said"), [([], "no command given"), (["--", "no-such-command-here"], "not found")])
def test_what_cannot_be_done_is_said_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_a_word_of_the_analysis_extra_says_what_works_without_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "whywait.analysis.cli", None)
    assert main(["reprot"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("whywait: there is no command 'reprot'. Did you mean report?")
    assert "pip install 'whywait[analysis]'" in said
    assert "`whywait run` and `whywait doctor` work without it" in said
    assert len(said.splitlines()) == 1


def test_where_the_demo_service_is_missing_its_command_says_to_run_it_from_a_clone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "demo_service.story", None)
    assert main(["demo"]) == 2
    assert "Clone the repository" in " ".join(capsys.readouterr().err.split())


def test_a_bad_setting_leaves_the_service_running(tmp_path: Path) -> None:
    done = run("--", sys.executable, "-c", "print('served')", output=tmp_path, WHYWAIT_RESOLUTION_MS="soon")
    assert done.returncode == 0
    assert done.stdout == "served\n"
    assert "WHYWAIT_RESOLUTION_MS is 'soon'" in done.stderr


def test_settings_from_the_environment() -> None:
    config = from_environment({"WHYWAIT_RESOLUTION_MS": "2.5", "WHYWAIT_OUTPUT": "x", "WHYWAIT_SERVICE_NAME": "s"})
    assert config == Config(service_name="s", output=Path("x"), max_resolution_ns=2_500_000)
    for bad in ("-1", "0", "soon", "inf", "nan"):
        with pytest.raises(ConfigError, match="WHYWAIT_RESOLUTION_MS"):
            from_environment({"WHYWAIT_RESOLUTION_MS": bad})
    assert output_file(Path("a/b.jsonl"), 7) == Path("a/b.jsonl")
    assert output_file(Path("a/b"), 7) == Path("a/b/traces-7.jsonl")


def test_each_worker_writes_its_own_file(tmp_path: Path) -> None:
    port = free_port()
    command = [
        sys.executable, "-m", "whywait", "run", "-o", str(tmp_path), "--", sys.executable, "-m", "uvicorn",
        "tests.truth.app:app", "--port", str(port), "--workers", "2", "--log-level", "warning",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        answered = 0
        while answered < 30 and time.monotonic() < deadline:
            try:
                get(f"http://127.0.0.1:{port}/idle")
                answered += 1
            except OSError:
                time.sleep(0.1)
    finally:
        process.terminate()
        process.wait(timeout=30)
    traces = [span for file in tmp_path.iterdir() for span in read(file)]
    roots = [span for span in traces if span["root"]]
    assert len(roots) == answered == 30
    assert len({span.trace_id for span in roots}) == 30


def test_a_forked_child_traces_into_its_own_file(tmp_path: Path) -> None:
    code = (
        "import os, whywait\n"
        "with whywait.phase('parent before'): pass\n"
        "child = os.fork()\n"
        "with whywait.phase('child' if child == 0 else 'parent after'): pass\n"
        "whywait.stop()\n"
        "os._exit(0) if child == 0 else os.waitpid(child, 0)\n"
    )
    done = run("--", sys.executable, "-W", "ignore", "-c", code, output=tmp_path)
    assert done.returncode == 0, done.stderr
    by_file = [{span.name for span in read(file) if span["kind"] == "phase"} for file in tmp_path.iterdir()]
    assert sorted(by_file, key=len) == [{"child"}, {"parent before", "parent after"}]
