"""Imports point one way: the contract ← tracer; the contract ← analysis; within each, from room to lower room.

The plan itself stands in testbed/rooms.py. What does not hold yet is listed in KNOWN, with its reason.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from testbed import rooms

ROOT = Path(__file__).resolve().parents[1]
PLOTTING = {"plotly", "matplotlib", "jinja2", "rich"}
HEAVY = {"pandas", "numpy", "pyarrow", "msgspec", "typer"}

PURE = (
    "tracer/records",
    "tracer/offcpu",
    "tracer/spans",
    "analysis/spans",
    "analysis/path",
    "analysis/attribution",
    "analysis/situations",
)
"""Rooms that take values and return values."""

OUTSIDE = {
    "asyncio", "concurrent", "fcntl", "io", "logging", "mmap", "multiprocessing", "opentelemetry", "os", "pathlib",
    "select", "selectors", "shutil", "signal", "socket", "subprocess", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
"""Modules by which a program touches what is outside it: files, threads, clocks, the SDK."""

DOCUMENTED = {"_", "_asdict", "_exit", "_fields", "_getframe", "_is_gil_enabled", "_replace"}
"""Names with an underscore that Python's documentation offers: of a named tuple, of `os` and of `sys`."""

TOUCHES_PRIVATE_NAMES = ("tracer/probes/", "tracer/host/", "tracer/export/sdk_internals.py")

BARE = re.compile(r"(?<!from whywait )\bimport (?:tracer|analysis)\b|\bfrom (?:tracer|analysis)[.\w]* import\b")

KNOWN = {
    "tracer/records/current.py: threading.Thread": "a type only: whose current record it is",
    "analysis/live/metrics.py: _preferred_temporality": "an exporter's choice, offered to subclasses only",
    "analysis/live/metrics.py: _preferred_aggregation": "an exporter's choice, offered to subclasses only",
}
"""Exceptions from what is tested below, each with its reason; to be emptied."""


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def within(modules: Iterable[str], *packages: str) -> set[str]:
    return {name for name in modules if any(name == one or name.startswith(f"{one}.") for one in packages)}


def tops(modules: Iterable[str]) -> set[str]:
    return {name.split(".")[0] for name in modules}


def new(found: set[str]) -> set[str]:
    """What is found and not known."""
    return found - set(KNOWN)


DECIDING = [
    path
    for path in rooms.files(
        ROOT,
        "analysis/path",
        "analysis/attribution",
        "analysis/capacity",
        "analysis/situations",
        "analysis/verdicts",
        "analysis/prediction",
    )
    if path.name
    not in {
        "details.py",
        "culprit_names.py",
        "what_helps.py",
        "sentences.py",
        "remedies.py",
        "reason_words.py",
    }  # the words
]

TRACER, ANALYSIS = rooms.files(ROOT, "tracer"), rooms.files(ROOT, "analysis")


def test_the_contract_imports_nothing_of_ours() -> None:
    assert within(rooms.imports_of(ROOT / "tracer/schema.py"), *rooms.PACKAGES, "whywait") == set()


def test_the_tracer_knows_no_reader_and_no_frames() -> None:
    for path in TRACER:
        found = rooms.imports_of(path)
        assert within(found, "analysis", "demo_service") == set(), path
        assert tops(found) & (HEAVY | PLOTTING) == set(), path


def test_the_analysis_shares_only_the_contract() -> None:
    for path in ANALYSIS:
        found = rooms.imports_of(path)
        assert within(found, "tracer") <= within(found, "tracer.schema"), path
        assert "cli" in path.parts or within(found, "demo_service") == set(), path
        assert {"report", "cli", "figures"} & set(path.parts) or tops(found) & PLOTTING == set(), path


def test_each_room_uses_only_lower_rooms() -> None:
    assert new(upward_arrows()) == set()


def upward_arrows() -> set[str]:
    return {f"{one} → {other}" for one, other in rooms.upward(rooms.graph(ROOT))}


def test_each_room_has_its_place_in_the_order() -> None:
    for package, order in rooms.ORDER.items():
        there = {rooms.room_of(name).partition(".")[2] for name in rooms.graph(ROOT, [package])} - {""}
        assert there == set(order)


def test_no_circle_among_modules() -> None:
    assert rooms.circles(rooms.graph(ROOT)) == []


def test_nothing_below_imports_the_session() -> None:
    users = {name for name, imported in rooms.graph(ROOT).items() if "tracer.session" in imported}
    assert users <= {"tracer.instrumentor"}


def outside_of(path: Path) -> Iterator[str]:
    """What a file does that is not computing. A thread-local and a thread's number are values."""
    yield from tops(rooms.imports_of(path)) & OUTSIDE - {"threading"}
    for node in rooms.nodes_of(path):
        match node:
            case ast.Call(func=ast.Name(id="open" | "print" | "input" as name)):
                yield name
            case ast.Attribute(value=ast.Name(id="threading"), attr=name) if name not in {"local", "get_ident"}:
                yield f"threading.{name}"
            case ast.ImportFrom(module="threading"):
                yield "threading"


def test_pure_rooms_only_compute() -> None:
    above = ("tracer.hotpath", "tracer.probes", "tracer.export", "tracer.session")
    for path in rooms.files(ROOT, *PURE):
        assert new({f"{short(path)}: {what}" for what in outside_of(path)}) == set()
        assert within(rooms.imports_of(path), *above) == set(), path


def test_decisions_compare_with_no_literal_of_their_own() -> None:
    """The contract declares the values and the kinds of names by which causes, culprits and situations are decided."""
    for path in DECIDING:
        assert new({f"{short(path)}: {what}" for what in own_literals(rooms.nodes_of(path))}) == set()


def test_literals_by_which_something_is_decided_are_found() -> None:
    found = own_literals(ast.walk(ast.parse(DECIDES)))
    assert sorted(found) == ["'asyncio'", "'gil'", "'task '", "'timer'", "'x|'", "'y'"]


DECIDES = """
NAMES = ("gil", "")
PATTERN = f"x|{schema.FOR_HELD}"
if kind == "timer" or cause in NAMES or kind != "" or name == schema.KIND:
    re.match(PATTERN, name), names.str.contains("y"), re.match(schema.FOR_SIGNAL, name), words.split(" ")
    name.startswith("task "), module.startswith(("asyncio", schema.PREFIX)), text.startswith("")
"""


def own_literals(nodes: Iterable[ast.AST]) -> set[str]:
    """The texts, empty ones aside, that a module's code compares with or searches for, and that stand in it."""
    nodes = list(nodes)
    named = {
        target.id: node.value
        for node in nodes
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    return {found for node in nodes for one in compared(node) for found in texts_in(one, named)}


def compared(node: ast.AST) -> Iterator[ast.expr]:
    """What is compared with, or searched for."""
    match node:
        case ast.Compare():
            yield from (node.left, *node.comparators)
        case ast.Call(func=ast.Attribute(attr=name), args=[first, *_]) if name in SEARCHES:
            yield first


SEARCHES = {
    "compile", "contains", "endswith", "extract", "findall", "finditer", "fullmatch", "isin", "match", "search",
    "startswith", "sub",
}  # fmt: skip


def texts_in(one: ast.expr, named: dict[str, ast.expr]) -> Iterator[str]:
    match one:
        case ast.Constant(value=str(text)) if text:
            yield repr(text)
        case ast.Tuple() | ast.List() | ast.Set():
            for part in one.elts:
                yield from texts_in(part, named)
        case ast.JoinedStr():
            for part in one.values:
                yield from texts_in(part, named)
        case ast.Name(id=name) if name in named:
            yield from texts_in(named[name], {})


def test_private_names_of_other_libraries_are_touched_in_few_places() -> None:
    assert new(foreign_private_names()) == set()


@cache
def foreign_private_names() -> set[str]:
    trees = {path: rooms.nodes_of(path) for path in (*TRACER, *ANALYSIS)}
    own = {name for tree in trees.values() for name in defined(tree)}
    return {
        f"{short(path)}: {name}"
        for path, tree in trees.items()
        if not short(path).startswith(TOUCHES_PRIVATE_NAMES)
        for name in {*private_attributes(tree)} - own | {*private_imports(tree)}
    }


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in DOCUMENTED


def defined(tree: Iterable[ast.AST]) -> Iterator[str]:
    """Each private name that a file of ours gives to something."""
    for node in tree:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                yield name


def private_attributes(tree: Iterable[ast.AST]) -> Iterator[str]:
    for node in tree:
        match node:
            case ast.Attribute(attr=name) if is_private(name):
                yield name
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr" | "hasattr"), args=[_, ast.Constant(str(name)), *_]
            ) if is_private(name):
                yield name


def private_imports(tree: Iterable[ast.AST]) -> Iterator[str]:
    for node in tree:
        if isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("whywait"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names if is_private(alias.name))


def test_tests_and_benchmarks_do_not_use_each_other() -> None:
    """They share testbed/, which uses neither; tests/benchmarks/ tests the benchmarks."""
    forbidden = {"tests": ("benchmarks",), "benchmarks": ("tests",), "testbed": ("tests", "benchmarks")}
    for home, others in forbidden.items():
        for path in rooms.files(ROOT, home):
            if not path.is_relative_to(ROOT / "tests" / "benchmarks"):
                assert within(rooms.imports_of(path), *others) == set(), path


def test_ours_is_imported_by_its_one_name() -> None:
    """Also in programs that stand in strings. A service's own `tracer`, of the test of installing, is not ours."""
    everything = rooms.files(ROOT, "whywait", *rooms.PACKAGES, "benchmarks", "tests", "testbed")
    for path in {*everything, *ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")}:
        if path.name not in {"test_install.py", "test_layers.py"}:
            assert BARE.findall(path.read_text()) == [], path


def test_known_exceptions_are_real() -> None:
    """So that the list shrinks: what holds by now does not stay in it. Prints how many there are."""
    found = (
        upward_arrows()
        | foreign_private_names()
        | {f"{short(path)}: {what}" for path in rooms.files(ROOT, *PURE) for what in outside_of(path)}
    )
    gone = set(KNOWN) - found
    print(f"{len(KNOWN)} known exceptions from the plan")
    assert gone == set()


def test_importing_the_analysis_needs_no_frames() -> None:
    code = (
        "import sys, whywait; from whywait import analysis; sys.exit('pandas' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
