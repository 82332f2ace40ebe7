"""A program of the street: a plain file, whose head says in TOML what is true of it."""

import ast
import re
import tomllib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

PROGRAMS: Final = Path(__file__).parent / "programs"
MARK: Final = "# CULPRIT"
LOOPS: Final = ("asyncio", "uvloop")


@dataclass(frozen=True, slots=True)
class Load:
    """Requests for one path: `n` of them by `clients` at once, each `pause` seconds after its answer."""

    path: str
    n: int
    clients: int = 1
    pause: float = 0.0
    after: float = 0.0
    """Seconds from the start of the load until the first."""
    kind: Literal["http", "websocket"] = "http"
    """A websocket sends n messages on one connection and awaits an answer to each."""

    def fewer(self) -> "Load":
        """A third of the requests, but one of each client at least."""
        return replace(self, n=max(self.clients, self.n // 3))


@dataclass(frozen=True)
class Program:
    """What is declared of a program, and where its culprit stands."""

    path: Path
    title: str
    endpoint: str
    cause: str
    """Of analysis.causes, or "none": nothing is to be accused."""
    culprit: str
    """The user's function; "" where no code of the user's is to blame."""
    remedy: str
    """A regular expression: matches from the start of the remedy's key, or anywhere in its words."""
    load: tuple[Load, ...]
    """The requests; those of the first are judged."""
    amount: Literal["each", "overlap"] = "each"
    """each: the stamped time per request. overlap: what of its client's window the stamped stretches cover."""
    server: str = "uvicorn"
    """"uvicorn", "hypercorn", or "own": the program listens on STREET_PORT."""
    options: tuple[str, ...] = ()
    """More arguments of the server."""
    needs: tuple[str, ...] = ()
    """"postgres" (STREET_POSTGRES), "redis" (STREET_REDIS), "upstream" (STREET_UPSTREAM; answers /MS after MS ms);
    "far_postgres" (STREET_FAR_POSTGRES) and "far_redis" (STREET_FAR_REDIS) are some milliseconds away. Any other is a
    package that can be imported."""
    environment: dict[str, str] = field(default_factory=dict)
    loops: tuple[str, ...] = LOOPS
    """Those on which it is true: uvloop asks for names in threads of libuv's own, asyncio in its default executor."""

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def kind(self) -> str:
        return self.path.parent.name

    @cached_property
    def source(self) -> list[str]:
        return self.path.read_text().splitlines()

    @cached_property
    def lines(self) -> frozenset[int]:
        """The lines that name the culprit: those marked, and where its function begins."""
        marked = {number for number, line in enumerate(self.source, 1) if MARK in line}
        begins = {
            line
            for node in ast.walk(ast.parse("\n".join(self.source)))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == self.culprit.split(".")[-1]
            for line in (node.lineno, *(one.lineno for one in node.decorator_list))
        }
        return frozenset(marked | begins)


def read(path: Path) -> Program:
    """The program of a file; ValueError where its head does not say what it must."""
    head = ast.get_docstring(ast.parse(path.read_text())) or ""
    title, found, table = head.partition("[street]")
    if not found:
        raise ValueError(f"{path}: no [street] in its head")
    told: dict[str, Any] = tomllib.loads(table)
    load = tuple(Load(**one) for one in told.pop("load"))
    lists = {key: tuple(told.pop(key)) for key in ("options", "needs", "loops") if key in told}
    program = Program(path=path, title=title.strip(), load=load, **lists, **told)
    re.compile(program.remedy)
    if program.culprit and not program.lines:
        raise ValueError(f"{path}: no line is marked {MARK}, and there is no function {program.culprit}")
    return program


def programs(names: tuple[str, ...] = ()) -> list[Program]:
    """The programs named, or all, by kind and name."""
    found = [read(path) for path in sorted(PROGRAMS.glob("*/*.py"))]
    if unknown := set(names) - {one.name for one in found}:
        raise ValueError(f"no such program: {', '.join(sorted(unknown))}")
    return [one for one in found if not names or one.name in names]
