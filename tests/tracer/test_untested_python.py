"""An interpreter with which whywait is not tested: said at the start and at the top of the report, and harmless."""

import sysconfig
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.tracer.conftest import Traced
from whywait import analysis, phase
from whywait.tracer.doctor import State
from whywait.tracer.doctor.interpreter import interpreter_checks
from whywait.tracer.host import interpreter
from whywait.tracer.probes.stacks import watchdog
from whywait.tracer.sampler.gil_address import gil_address

Begin = Callable[..., Traced]
MEANS = "with which whywait is not tested"


@pytest.fixture
def free_threaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What whywait reads of a build without a GIL; the interpreter itself is the usual one."""
    plain = sysconfig.get_config_var

    def get_config_var(name: str) -> Any:
        return 1 if name == "Py_GIL_DISABLED" else plain(name)

    monkeypatch.setattr(sysconfig, "get_config_var", get_config_var)


def test_a_tested_python_is_said_nowhere(traced_to: Begin, caplog: pytest.LogCaptureFixture) -> None:
    assert said(traced_to()) == []
    assert MEANS not in caplog.text


def test_a_later_python_is_said_at_the_start_and_in_the_report(
    traced_to: Begin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(interpreter, "TESTED", ((3, 2), (3, 3)))
    (finding,) = said(traced_to())
    assert interpreter.untested() in finding
    (line,) = [record.message for record in caplog.records if MEANS in record.message]
    assert interpreter.untested() in line
    assert "CPython 3.2 to 3.3" in line
    (check,) = [one for one in interpreter_checks({}) if one.name == "python"]
    assert check.state is State.NO


def test_a_free_threaded_build_is_said_and_its_probes_keep_to_what_is_safe(
    free_threaded: None, traced_to: Begin
) -> None:
    plain = threading.Lock, threading.Condition.wait
    spans = traced_to()
    # no traced locks, no frames of running threads, no reading of the GIL
    assert (threading.Lock, threading.Condition.wait) == plain
    ident = threading.get_ident()
    assert watchdog.places_of_threads((ident,))[ident] is None
    assert gil_address.__wrapped__() is None
    (finding,) = said(spans)
    assert "a free-threaded CPython" in finding


def said(spans: Traced) -> list[str]:
    with phase("root"):
        pass
    spans.stop()
    found = analysis.analyze(spans.output).findings
    return [one.message for one in found if one.code == "untested-python"]
