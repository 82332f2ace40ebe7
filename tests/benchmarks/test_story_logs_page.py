"""The page of the logs' story says what the commands print today."""

import os

import pytest

from benchmarks.story_logs_page import FOLDER, PAGE, rewritten


def test_the_page_is_what_the_commands_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER.parents[1])
    monkeypatch.setitem(os.environ, "NO_COLOR", "1")
    assert rewritten(PAGE.read_text()) == PAGE.read_text(), "run: python -m benchmarks.story_logs_page"
