"""The last line of `whywait run`: where nothing was traced, it says what was seen, and what to mark."""

import sys
from types import ModuleType

import pytest

from whywait.tracer import run_summary


@pytest.mark.parametrize(("imported", "said"), [
    (["robyn"], "imported robyn, whose work whywait does not know: put @whywait.traced on the function"),
    (["uvicorn", "celery"], "imported celery, whose work whywait does not know"),
    (["uvicorn", "grpc.aio"], "imported uvicorn, grpc.aio: if it answered some, run `whywait doctor`"),
    ([], "no server that whywait knows and ran no event loop in its first process: put @whywait.traced"),
])  # fmt: skip
def test_nothing_traced_says_what_was_seen(monkeypatch: pytest.MonkeyPatch, imported: list[str], said: str) -> None:
    for name in (*run_summary._OBSERVED, *run_summary._NOT_OBSERVED):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in imported:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(run_summary, "_here", run_summary._Count())
    line = run_summary._line(0, 0, {})
    assert line.startswith("whywait: no requests were traced. It imported ")
    assert said in line
    assert "\n" not in line
