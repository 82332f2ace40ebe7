"""How the code is laid out, in numbers: python -m benchmarks.structure [--base REVISION]

Counted over tracer/, analysis/ and demo_service/:

    modules in one folder   files of Python in the fullest folder, `__init__.py` aside
    rooms                   folders and single modules at the top of tracer/ and analysis/
    arrows                  imports from one room into another; upward: not into a lower one (testbed/rooms.py)
    circles                 sets of modules of which each needs, in the end, each other
    cyclomatic              of a function: 1, and 1 for each branch, loop, handler, `and`/`or`, comprehension and case
    length                  of a function: its lines, decorators and docstring included
    module globals          names of a module that change while it runs: containers that the module itself changes,
                            thread-locals, context variables, locks, counters and objects with state of their own;
                            rebound: named by a `global` statement
    files per cause         files that name it, as a member of `Cause` or as its string
    lines of an answer      lines of the modules that serve nothing else: ANSWERS; before, of those that did the same then
"""

import argparse
import ast
import io
import math
import subprocess
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from testbed import rooms

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "benchmarks" / "results" / "structure.md"
BEFORE = "9cfb6c1"

CHANGES = {
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "remove",
    "setdefault", "update",
}  # fmt: skip
STATEFUL = {
    "ContextVar",
    "Lock",
    "RLock",
    "WeakKeyDictionary",
    "WeakSet",
    "WeakValueDictionary",
    "count",
    "deque",
    "local",
}
WITHOUT_STATE = {"Console", "Environment", "NewType", "ParamSpec", "Path", "Random", "Struct", "TypeVar", "Typer"}
BRANCHES = (
    ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.comprehension, ast.match_case,
)  # fmt: skip
Function = ast.FunctionDef | ast.AsyncFunctionDef
# what each answer takes: modules and folders that serve nothing else, at the revision before, and now
ANSWERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "process pools": (
        "≤ 866",
        (
            "tracer/probes/process_pool.py", "tracer/probes/process_transfer.py", "tracer/process_line.py",
            "tracer/process_senders.py", "tracer/process_slots.py", "tracer/worker_clocks.py",
            "tracer/observed_workers.py", "tracer/sampler/pool_sweeps.py", "tracer/spans/process_jobs.py",
            "tracer/probes/process_pool", "tracer/records/process_job.py", "tracer/host/process_clocks.py",
            "tracer/sampler/child/pool_sweeps.py",
            "tracer/sampler/shared/pool_table.py", "tracer/spans/pools/process_job_spans.py",
        ),
    ),
    "names of CPU rivals": (
        "≤ 542",
        (
            "tracer/cpu_mix.py", "tracer/cpu_names.py", "tracer/cpu_rivals.py", "tracer/sampler/cpu_layout.py",
            "tracer/sampler/cpu_use.py", "analysis/cpu_rivals.py",
            "tracer/sampler/child/cpu_usage.py", "tracer/offcpu/cpu_contention.py",
            "analysis/attribution/cpu_rivals.py", "analysis/situations/running/cpu_competition.py",
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Structure:
    """The numbers of one tree."""

    modules: int
    fullest: tuple[int, str]
    rooms: int
    arrows: int
    upward: int
    circles: int
    cyclomatic_p95: int
    length_p95: int
    globals_: int
    rebound: int
    files_per_cause: tuple[float, int]
    readme_lines: int
    lines: dict[str, int]
    answers: dict[str, int]


def main() -> int:
    """Prints the page of this tree beside the earlier one, and writes it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.structure")
    parser.add_argument("--base", default=BEFORE, help="the revision to compare with (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _extract(options.base, Path(folder))
        text = page(options.base, structure_of(Path(folder)), structure_of(ROOT))
    PAGE.write_text(text)
    print(text, end="")
    return 0


def _extract(revision: str, folder: Path) -> None:
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")


def structure_of(root: Path) -> Structure:
    paths = rooms.files(root, *rooms.PACKAGES)
    trees = [ast.parse(path.read_text()) for path in paths]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, Function)]
    graph = rooms.graph(root)
    changing = [set(globals_of(tree)) for tree in trees]
    lines = {one: sum(_lines(path) for path in rooms.files(root, one)) for one in rooms.PACKAGES}
    return Structure(
        len(paths),
        _fullest(root, paths),
        len({rooms.room_of(name) for name in graph if name.split(".")[0] in rooms.ORDER and "." in name}),
        len(list(rooms.arrows(graph))),
        len(rooms.upward(graph)),
        len(rooms.circles(graph)),
        _p95([cyclomatic(one) for one in functions]),
        _p95([_length(one) for one in functions]),
        sum(len(names) for names in changing),
        sum(len(set(rebound_of(tree))) for tree in trees),
        _files_per_cause(trees),
        _lines(root / "README.md"),
        lines,
        {name: sum(map(_lines, _modules(root, paths))) for name, (_, paths) in ANSWERS.items()},
    )


def _modules(root: Path, names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        yield from (root / name).rglob("*.py") if not name.endswith(".py") else filter(Path.exists, [root / name])


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def _fullest(root: Path, paths: Iterable[Path]) -> tuple[int, str]:
    counted = Counter(str(path.parent.relative_to(root)) for path in paths if path.name != "__init__.py")
    folder, number = counted.most_common(1)[0]
    return number, folder


def _p95(values: list[int]) -> int:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def _length(function: Function) -> int:
    first = min([function.lineno, *(one.lineno for one in function.decorator_list)])
    return (function.end_lineno or first) - first + 1


def cyclomatic(function: Function) -> int:
    """Of the function alone: what is defined within it is counted by itself."""
    return 1 + sum(_branches(node) for node in _own_nodes(function))


def _branches(node: ast.AST) -> int:
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    return isinstance(node, BRANCHES) + len(node.ifs if isinstance(node, ast.comprehension) else ())


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Function | ast.ClassDef):
            yield child
            yield from _own_nodes(child)


def rebound_of(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from node.names


def globals_of(tree: ast.Module) -> Iterator[str]:
    """The names of a module that change while it runs, as the docstring defines them."""
    yield from rebound_of(tree)
    changed = set(_changed_names(tree))
    for name, value in _assigned(tree):
        if name in changed or (isinstance(value, ast.Call) and _has_state(name, value)):
            yield name


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value


def _has_state(name: str, call: ast.Call) -> bool:
    made = ast.unparse(call.func).split("[")[0].rpartition(".")[2]
    is_object = name.lower() == name and made[:1].isupper() and made not in WITHOUT_STATE
    return made in STATEFUL or is_object


def _changed_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if method in CHANGES:
                yield name
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
                yield name


def _files_per_cause(trees: list[ast.Module]) -> tuple[float, int]:
    """The median and the most."""
    members = dict(member for tree in trees for member in _causes(tree))
    named = [set(_names_in(tree)) for tree in trees]
    counted = [sum(bool(names & {f"Cause.{member}", value}) for names in named) for member, value in members.items()]
    return median(counted), max(counted)


def _causes(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == "Cause":
            for name, value in _assigned(ast.Module(node.body, [])):
                yield name, str(ast.literal_eval(value))


def _names_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="Cause"), attr=member):
                yield f"Cause.{member}"
            case ast.Constant(value=str(text)):
                yield text


ROWS: dict[str, tuple[str, Callable[[Structure], str]]] = {
    "modules": ("", lambda one: str(one.modules)),
    "modules in the fullest folder": ("≤ 12", lambda one: f"{one.fullest[0]} ({one.fullest[1]})"),
    "rooms of tracer/ and analysis/": ("", lambda one: str(one.rooms)),
    "arrows between rooms": ("", lambda one: str(one.arrows)),
    "arrows upward": ("0", lambda one: str(one.upward)),
    "circles": ("0", lambda one: str(one.circles)),
    "cyclomatic complexity of functions, p95": ("≤ 8", lambda one: str(one.cyclomatic_p95)),
    "length of functions, p95": ("≤ 30", lambda one: str(one.length_p95)),
    "module globals, of them rebound": ("≤ 15, 0", lambda one: f"{one.globals_}, {one.rebound}"),
    "files per cause, median and most": ("", lambda one: "{:g}, {}".format(*one.files_per_cause)),
    "lines of the README": ("", lambda one: str(one.readme_lines)),
    **{
        f"lines of an answer: {name}": (goal, lambda one, name=name: f"{one.answers[name]:,}")
        for name, (goal, _) in ANSWERS.items()
    },  # type: ignore[misc]
    **{f"lines of {name}/": ("", lambda one, name=name: f"{one.lines[name]:,}") for name in rooms.PACKAGES},  # type: ignore[misc]
}


def page(base: str, before: Structure, after: Structure) -> str:
    rows = [f"| {name} | {goal} | {of(before)} | {of(after)} |" for name, (goal, of) in ROWS.items()]
    if not before.upward or before.rooms > 2 * after.rooms:  # no rooms yet: no order among them either
        rows = [row.replace(f"| {before.upward} |", "| no order yet |", 1) if "upward" in row else row for row in rows]
    head = [
        "# Structure", "", f"`python -m benchmarks.structure`; before: revision `{base}`. What is counted, and how:", "",
        "```", *(__doc__ or "").strip().splitlines()[4:], "```", "",
        "| | goal | before | after |", "|---|---|---|---|",
    ]  # fmt: skip
    return "\n".join([*head, *rows, ""])


if __name__ == "__main__":
    raise SystemExit(main())
