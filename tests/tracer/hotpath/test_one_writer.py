"""Each record of the hot path has one writer, so that a second implementation can take its place."""

import ast
import re
from functools import cache
from pathlib import Path

from whywait.tracer import hotpath

TRACER = Path(__file__).resolve().parents[3] / "tracer"
STATE = "hotpath/thread_state.py"


@cache
def nodes() -> tuple[tuple[str, ast.AST], ...]:
    """Every node of the tracer, by its file."""
    return tuple(
        (path.relative_to(TRACER).as_posix(), node)
        for path in sorted(TRACER.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
    )


def is_here(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "here"


def shared_here() -> set[str]:
    """The files whose `here` is the tracer's."""
    return {
        name
        for name, node in nodes()
        if isinstance(node, ast.ImportFrom)
        and node.module == "whywait.tracer.records.current"
        and "here" in {alias.name for alias in node.names}
    }


def test_one_module_writes_what_a_thread_does_now() -> None:
    """Attributes are stored there only, and nobody else gets hold of their dict to store into it."""
    users = shared_here()
    assert STATE in users
    assert len(users) > 5
    storing = {name for name, node in nodes() if is_item_store(node)}
    writers = set()
    for name, node in nodes():
        if name not in users or not isinstance(node, ast.Attribute) or not is_here(node.value):
            continue
        if isinstance(node.ctx, ast.Store | ast.Del) or (node.attr == "__dict__" and name in storing):
            writers.add(name)
    calls = {
        name
        for name, node in nodes()
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"setattr", "delattr"}
        and node.args
        and is_here(node.args[0])
    }
    assert writers | calls == {STATE}


def is_item_store(node: ast.AST) -> bool:
    """Whether it is `mine["..."] = ...`, `mine.pop(...)` or the like."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name) and node.value.id == "mine"
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"pop", "update", "setdefault", "clear"}
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "mine"
    )


def test_waits_are_appended_in_one_place() -> None:
    found = {
        name for name, node in nodes() if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("waits.append")
    }
    assert found == {"hotpath/waits.py"}
    made = {name for name, node in nodes() if isinstance(node, ast.Call) and ast.unparse(node.func) == "Wait"}
    assert not made


def test_one_meter_reads_the_cpu_time_of_steps_and_jobs() -> None:
    readers = {
        name
        for name, node in nodes()
        if isinstance(node, ast.ImportFrom) and "thread_time_ns" in {alias.name for alias in node.names}
    }
    assert not {name for name in readers if name.startswith("hotpath/")}
    estimates = {name for name, node in nodes() if isinstance(node, ast.Name) and node.id == "ESTIMATED_NS"}
    assert estimates == {"host/cpu_meter.py"}


def test_the_guard_against_waits_inside_waits_is_one_pair() -> None:
    """Who begins a timed wait ends it."""
    begins = sorted(name for name, node in nodes() if is_call(node, "begin_wait"))
    ends = sorted(name for name, node in nodes() if is_call(node, "end_wait"))
    assert begins == ends
    assert len(begins) >= 8


def is_call(node: ast.AST, function: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function


def test_probes_use_what_the_hot_path_offers_and_no_more() -> None:
    """What its docstring lists is what a second implementation has to offer."""
    prefix = "whywait.tracer.hotpath."
    used = {
        alias.name
        for name, node in nodes()
        if name.startswith(("probes/", "adapters/")) and isinstance(node, ast.ImportFrom)
        if (node.module or "").startswith(prefix)
        for alias in node.names
    }
    offered = set(re.findall(r"`(\w+)`", hotpath.__doc__ or ""))
    assert used - offered == {"AppliedTables"}  # a type
