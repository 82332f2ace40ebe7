"""Private names of other libraries: where they may be touched, that probes declare them, and one that is missing."""

import ast
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import _base
from pathlib import Path
from typing import Any

import pytest

from tests.tracer.conftest import Traced
from whywait.tracer.doctor import State
from whywait.tracer.doctor.private_names import private_name_checks
from whywait.tracer.hotpath import recorder
from whywait.tracer.probes.builtin import BUILTIN
from whywait.tracer.probes.private_names import missing_names
from whywait.tracer.probes.probe import Probe

TRACER = Path(__file__).resolve().parents[3] / "tracer"
# of named tuples; documented though they begin with an underscore
PUBLIC = {"_replace", "_asdict", "_fields", "_getframe", "_exit"}


def needed(probe: Probe) -> tuple[str, ...]:
    """The names that a probe needs, and those that it looks for when their library is imported."""
    return *probe.needs, *getattr(probe, "later", ())


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(TRACER.rglob("*.py")):
        yield path.relative_to(TRACER).as_posix(), ast.parse(path.read_text())


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def foreign(tree: ast.Module) -> dict[str, int]:
    """The private names that a file reads or sets on something other than its own instance; by line."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                found[node.attr] = node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr", "setattr", "own"):
            name = node.args[1] if len(node.args) > 1 else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str) and is_private(name.value):
                found[name.value] = node.lineno
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("whywait"):
            found |= {alias.name: node.lineno for alias in node.names if is_private(alias.name)}
    return found


def ours() -> set[str]:
    """The private names that our own classes and modules define."""
    found: set[str] = set()
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.AnnAssign | ast.Assign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if isinstance(target, ast.Name):
                        found.add(target.id)
                    elif isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
                        found.add(target.attr)
    return found


# what a probe can do without: it asks whether it is there
OPTIONAL = {
    "_CRLock",
    "_HEADERS_GETTER",
    "_PollLikeSelector",
    "_REQUEST_TELEMETRY_KEY",
    "_RequestTelemetry",
    "_WorkItem",
    "_call_func",
    "_coro",
    "_exception",
    "_exception_type",
    "_exceptions",
    "_get_tracer",
    "_task_handler",
    "_initializer",
    "_is_instrumented_by_opentelemetry",
    "_known_methods",
    "_maxsize",
    "_original_call",
    "_process_chunk",
    "_req",
    "_sock",
    "_run_coro",
    "_target",
    "_thread_name_prefix",
}


def test_probes_declare_every_private_name_that_they_cannot_do_without() -> None:
    known = ours() | OPTIONAL | {part for probe in BUILTIN for name in needed(probe) for part in name.split(".")}
    wrong = [
        f"{path}:{line} {name}"
        for path, tree in trees()
        if path.startswith("probes")
        for name, line in foreign(tree).items()
        if name not in known
    ]
    assert wrong == []


def test_what_is_declared_exists_here_and_names_are_unique() -> None:
    assert [name for probe in BUILTIN for name in missing_names(needed(probe))] == []
    assert len({probe.name for probe in BUILTIN}) == len(BUILTIN)


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("threading.Thread._target", True),  # set by __init__
        ("threading.Thread._no_such", False),
        ("threading._no_such.name", False),
        ("concurrent.futures.process._CallItem", True),  # a module that comes when asked for
        ("concurrent.futures.no_such_module._name", False),
        ("library_that_is_not_installed._name", True),
    ],
)
def test_what_counts_as_missing(name: str, there: bool) -> None:
    assert missing_names([name]) == ([] if there else [name])


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> str:
    """One private name is gone, as in a later Python."""
    monkeypatch.delattr(_base, "_create_and_install_waiters")
    return "concurrent.futures._base._create_and_install_waiters"


def test_the_doctor_says_which_probe_is_disabled(hidden: str) -> None:
    (found,) = private_name_checks()
    assert (found.name, found.state) == ("probes", State.NO)
    assert hidden in found.found
    assert "the futures probe is left out" in found.means


def test_the_doctor_counts_them_where_all_exist() -> None:
    (found,) = private_name_checks()
    assert found.state is State.YES
    assert found.found.startswith(f"{len(BUILTIN)} probes; all ")


@pytest.fixture
def session_without(hidden: str, traced_to: Callable[..., Traced]) -> Iterator[str]:
    session = traced_to()
    yield hidden
    session.stop()


def test_the_session_leaves_out_the_probe_with_one_line_and_goes_on(
    caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    with caplog.at_level(logging.WARNING, "whywait"):
        hidden = request.getfixturevalue("session_without")
    found: Any = recorder.active
    assert found.undo.keys() == {probe.name for probe in BUILTIN if probe.available()} - {"futures"} | {
        name for name in found.undo if name.startswith("adapter ")
    }
    (said,) = caplog.messages
    assert f"left out its futures probe: {hidden} does not exist here" in said
    assert found.lost["probe futures"] == 1
