"""Places of culprits in a terminal lead to their files: where a terminal shows them, and where the files are there."""

import io
import os
from pathlib import Path
from urllib.parse import unquote

import pytest
from rich.console import Console

from tests.analysis.fabricate import Culprit, analysis_of
from whywait import analysis
from whywait.analysis.report.terminal.report import render


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a service, older than what was traced, in the working folder."""
    path = tmp_path / "my app" / "naps.py"
    path.parent.mkdir()
    path.write_text("import time\n\ntime.sleep(0.2)\n")
    os.utime(path, (0, 0))
    monkeypatch.chdir(tmp_path)
    return path


def told(file: Path, screen: io.StringIO, **environment: str) -> str:
    given = analysis_of({"GET /a": [{"loop_busy": 30}]}, culprits={"loop_busy": Culprit("naps", str(file), 3)})
    assert isinstance(given, analysis.Analysis)
    render(given, Console(file=screen, width=200, _environ={"TERM": "xterm-256color", **environment}))
    return screen.getvalue()


def test_each_mention_of_a_culprits_place_leads_to_its_file(source: Path) -> None:
    text = told(source, Screen())
    links = [part.partition("\x1b\\")[0] for part in text.split("\x1b]8;id=")[1:]]
    assert len(links) == 2  # in the verdict, and in the table
    assert all(unquote(one).endswith(str(source)) and ";file://" in one and " " not in one for one in links)
    assert text.count("naps.py:3\x1b") == 2  # the place alone is the link


@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1"}], ids=["plain", "colours forced"])
def test_a_pipe_gets_none(source: Path, environment: dict[str, str]) -> None:
    assert "naps.py:3" in (text := told(source, io.StringIO(), **environment))
    assert "\x1b]8" not in text


def test_a_terminal_that_knows_no_escapes_gets_none(source: Path) -> None:
    assert "\x1b" not in told(source, Screen(), TERM="dumb")


def test_a_file_that_is_gone_changed_or_elsewhere_gets_none(
    source: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "naps.py"
    elsewhere.write_text(source.read_text())
    os.utime(elsewhere, (0, 0))
    assert "\x1b]8" not in told(elsewhere, Screen())
    os.utime(source, (2**40, 2**40))
    assert "\x1b]8" not in told(source, Screen())
    source.unlink()
    assert "\x1b]8" not in told(source, Screen())
