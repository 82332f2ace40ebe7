"""The plan of the code: its modules, who imports whom, and in which order the rooms stand.

host ── records ── sampler ── keeping ── hotpath ── probes          tracer: a room may use those before it
                      └── offcpu ── spans ── export
load ── spans ── path ── attribution ── measure          analysis
                            └── capacity ── situations ── verdicts ── prediction ── changes ── report ── cli
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

PACKAGES = ("tracer", "analysis", "demo_service")

ORDER: Mapping[str, tuple[str, ...]] = {
    "tracer": (
        "schema", "config", "run_summary", "redaction", "waking", "host", "records", "sampler", "keeping", "hotpath", "decorators", "adapters", "probes", "offcpu",
        "spans", "export", "doctor", "session", "instrumentor", "autostart", "cli",
    ),
    "analysis": (
        "errors", "text", "grouped", "attributes", "model", "causes", "write", "load", "spans", "path", "attribution", "measure",
        "capacity", "situations", "verdicts", "prediction", "changes", "pipeline", "live", "logs", "report", "figures", "cli",
    ),
}  # fmt: skip
"""The rooms of each package, lowest first. What is not named here stands on top of all."""

Graph = dict[str, set[str]]
"""Each module, without `whywait.`, and the modules of ours that it imports."""


def files(root: Path, *folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (root / folder).rglob("*.py"))


def module_name(root: Path, path: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Every name a file imports, wherever in the file, without `whywait.`."""
    return frozenset(name.removeprefix("whywait.") for name in _written_imports(nodes_of(path)))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file's syntax tree: several tests walk over the same files."""
    return tuple(ast.walk(ast.parse(path.read_text())))


def _written_imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph(root: Path, packages: Iterable[str] = PACKAGES) -> Graph:
    paths = {module_name(root, path): path for path in files(root, *packages)}
    return {name: set(_ours(imports_of(path), paths)) - {name} for name, path in paths.items()}


def _ours(imported: Iterable[str], known: Mapping[str, Path]) -> Iterator[str]:
    """An imported name is a module, or stands in one: the nearest that exists."""
    for name in imported:
        while name and name not in known:
            name = name.rpartition(".")[0]
        if name:
            yield name


def room_of(module: str) -> str:
    """`tracer.spans.jaeger.nesting` stands in `tracer.spans`; a package's own front door in no room."""
    return ".".join(module.split(".")[:2])


def floor_of(module: str) -> int:
    package, _, room = room_of(module).partition(".")
    order = ORDER.get(package, ())
    return order.index(room) if room in order else len(order)


def arrows(found: Graph) -> Iterator[tuple[str, str]]:
    """Each import from one room into another room of the same package."""
    for module, imported in sorted(found.items()):
        for other in sorted(imported):
            package = module.split(".")[0]
            if package in ORDER and other.startswith(f"{package}.") and room_of(module) != room_of(other):
                yield module, other


def upward(found: Graph) -> list[tuple[str, str]]:
    """The arrows that do not lead to a lower room."""
    return [(one, other) for one, other in arrows(found) if floor_of(one) <= floor_of(other)]


def circles(found: Graph) -> list[list[str]]:
    """Sets of modules of which each needs, in the end, each other."""
    reach = {name: _reachable(found, name) for name in found}
    sets = {frozenset(other for other in reach[name] if name in reach[other]) for name in found}
    return sorted(sorted(one) for one in sets if one)


def _reachable(found: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    left = list(found[start])
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            left += found[name]
    return seen
