"""The command line on a terminal: colours, NO_COLOR, progress; and for a shell: completion and help."""

import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.analysis.cli.test_cli import GOOD, ROOT, whywait

COMMANDS = ("report", "causes", "demo", "run", "doctor", "annotate", "export", "logs")


def on_terminal(*words: str, **environ: str) -> tuple[int, str, str]:
    """Exit code, what came on standard output and on standard error, both terminals."""
    ends = {name: pty.openpty() for name in ("stdout", "stderr")}
    said = {name: bytearray() for name in ends}
    keep = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}

    def listen(name: str) -> None:
        while True:
            try:
                some = os.read(ends[name][0], 65_536)
            except OSError:  # the other end is closed
                return
            if not some:
                return
            said[name] += some

    process = subprocess.Popen(
        [sys.executable, "-m", "whywait", *words], stdin=subprocess.DEVNULL, stdout=ends["stdout"][1],
        stderr=ends["stderr"][1], cwd=ROOT, env={**keep, "TERM": "xterm-256color", **environ},
    )  # fmt: skip
    listeners = [threading.Thread(target=listen, args=(name,)) for name in ends]
    for _, child in ends.values():
        os.close(child)
    for one in listeners:
        one.start()
    code = process.wait(120)
    for one in listeners:
        one.join()
    for ours, _ in ends.values():
        os.close(ours)
    return code, said["stdout"].decode(errors="replace"), said["stderr"].decode(errors="replace")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "traces.jsonl"
    path.write_text(GOOD + "\n")
    return path


def test_colours_on_a_terminal_and_none_with_no_color(good: Path) -> None:
    code, out, _ = on_terminal("report", str(good))
    assert code == 0
    assert "\x1b[1m" in out
    code, out, _ = on_terminal("report", str(good), NO_COLOR="1")
    assert code == 0
    assert not any(f"\x1b[{number}m" in out for number in range(30, 38))


def test_progress_is_said_on_a_terminals_standard_error_only(good: Path) -> None:
    _, out, err = on_terminal("report", str(good))
    assert "reading" in err
    assert "reading" not in out
    assert whywait("report", str(good)).stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = whywait(command, "--help")
    assert done.returncode == 0, done.stderr
    if command not in {"causes", "demo"}:
        assert f"whywait {command}" in done.stdout.lower().rpartition("example")[2]


def test_help_lists_the_commands_and_documents_the_exit_codes() -> None:
    said = whywait("--help").stdout
    assert all(f"  {command} " in said for command in COMMANDS)
    assert "Exit codes: 0" in said
    assert "130" in said


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("whywait an", "annotate"),
        ("whywait do", "doctor"),
        ("whywait annotate --sl", "--slowest"),
        ("whywait lo", "logs"),
    ],
)
def test_a_shell_completes_commands_and_options(words: str, completed: str) -> None:
    environ = {
        **os.environ, "_WHYWAIT_COMPLETE": "complete_bash", "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "whywait"], capture_output=True, text=True, cwd=ROOT, env=environ, timeout=60,
        check=False,
    )  # fmt: skip
    assert completed in done.stdout.split()


def test_a_path_with_square_brackets_is_no_markup(tmp_path: Path) -> None:
    path = tmp_path / "[" / "x].jsonl"
    path.parent.mkdir()
    path.write_text(GOOD + "\n")
    code, out, errors = on_terminal("report", str(path))
    assert (code, "Traceback" in out + errors) == (0, False)
