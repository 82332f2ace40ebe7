"""Imports point one way: schema ← tracer; schema ← analysis ← its report ← its commands; demo on top."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("tracer", "analysis", "demo_service")
PLOTTING = {"plotly", "matplotlib", "jinja2", "rich"}
HEAVY = {"pandas", "numpy", "pyarrow", "typer"}


def imports_of(path: Path) -> set[str]:
    """Every module a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def within(modules: set[str], *packages: str) -> set[str]:
    return {name for name in modules if any(name == one or name.startswith(f"{one}.") for one in packages)}


def test_the_contract_imports_nothing_of_ours() -> None:
    assert within(imports_of(ROOT / "tracer/schema.py"), *OURS) == set()


@pytest.mark.parametrize("path", files("tracer"), ids=str)
def test_the_tracer_knows_no_reader_and_no_frames(path: Path) -> None:
    found = imports_of(path)
    assert within(found, "analysis", "demo_service") == set()
    assert {name.split(".")[0] for name in found} & (HEAVY | PLOTTING) == set()


@pytest.mark.parametrize("path", files("analysis"), ids=str)
def test_the_analysis_shares_only_the_contract(path: Path) -> None:
    found = imports_of(path)
    assert within(found, "tracer") <= {"tracer", "whywait.tracer.schema"} | within(
        found, "whywait.tracer.schema"
    )
    if "cli" not in path.parts:
        assert within(found, "demo_service", "whywait.analysis.cli") == set()
    if not {"report", "cli", "figures"} & set(path.parts):
        assert {name.split(".")[0] for name in found} & PLOTTING == set()
        assert within(found, "whywait.analysis.report", "whywait.analysis.figures") == set()


LOWER = ("schema", "config", "clock", "records", "places", "tiles", "keeping", "totals", "span_context")


@pytest.mark.parametrize(
    "path", [*(ROOT / "tracer" / f"{name}.py" for name in LOWER), *files("tracer/spans")], ids=str
)
def test_what_is_pure_knows_no_probe_and_no_session(path: Path) -> None:
    found = imports_of(path)
    assert (
        within(
            found,
            "whywait.tracer.probes",
            "whywait.tracer.session",
            "whywait.tracer.export.exporter_thread",
            "whywait.tracer.hotpath.recorder",
        )
        == set()
    )


def test_nothing_below_imports_the_session() -> None:
    users = {path.name for path in files("tracer") if within(imports_of(path), "whywait.tracer.session")}
    assert users <= {"__init__.py", "instrumentor.py"}


def test_no_cycle_among_modules() -> None:
    graph = {}
    for package in OURS:
        for path in files(package):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            graph[name] = path
    edges = {name: within(imports_of(path), *OURS) & set(graph) - {name} for name, path in graph.items()}
    # a package's front door names its rooms; they may not need the door
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail, name))
        if name not in done:
            for other in edges[name]:
                if not (name.startswith(f"{other}.") or other in OURS):
                    visit(other, (*trail, name))
            done.add(name)

    for name in edges:
        visit(name, ())


def test_importing_the_analysis_needs_no_frames() -> None:
    import subprocess

    code = "import sys, whywait; from whywait import analysis; sys.exit('pandas' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
