"""Pages of the reference, from the code itself: the command line, its JSON, and what `import whywait` gives.

`python -m benchmarks.derived` writes them; a test says when they no longer fit.
"""

import argparse
import inspect
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import typer

import whywait
from whywait import analysis, commands
from whywait.analysis.cli import application
from whywait.tracer import cli as run
from whywait.tracer.doctor import cli as doctor

_MODULES: Final = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Z])")
_WIDEST: Final = 100


def command_line() -> str:
    """Return the page of all commands: what each does, its arguments and options, examples."""
    parts = [_of_parser("run", run.parser()), _of_parser("doctor", doctor.parser())]
    parts += [_of_command(name) for name in commands.ANALYSIS]
    return "\n".join(("# Command line\n", *parts, f"## Exit codes\n\n{_sentence(commands.EXIT_CODES)}\n"))


def python_api() -> str:
    """Return the page of the names that `whywait` and `whywait.analysis` give."""
    parts = [
        "# Python\n",
        "## `import whywait`\n",
        *_entries(whywait),
        "## `from whywait import analysis`\n",
        *_entries(analysis),
    ]
    return "\n".join(parts)


def json_output(*schemas: Path) -> str:
    """Return the page of what `--json` prints, by these schemas."""
    parts = ["# JSON\n"]
    for path in schemas:
        schema = json.loads(path.read_text())
        rows = "".join(f"| `{_cell(name)}` | {kind} | {_cell(said)} |\n" for name, kind, said in _keys(schema))
        parts.append(
            f"## {schema['title']}\n\n{schema.get('description', '')}\n\n| key | is | |\n|---|---|---|\n{rows}"
        )
    parts.append("`key[].inner` is a key of each element of `key`; a key with `?` may be missing.\n")
    return "\n".join(parts)


def _keys(schema: dict[str, Any], before: str = "") -> Iterator[tuple[str, str, str]]:
    for key, one in schema.get("properties", {}).items():
        name = f"{before}{key}{'' if key in schema.get('required', ()) else '?'}"
        kinds = one.get("type", "text" if "enum" in one else json.dumps(one["const"]) if "const" in one else "")
        yield name, " or ".join([kinds] if isinstance(kinds, str) else kinds), one.get("description", "")
        yield from _keys(one, f"{name}.")
        yield from _keys(one.get("items", {}), f"{name}[].")


def _of_parser(name: str, parser: argparse.ArgumentParser) -> str:
    rows = [
        (", ".join(one.option_strings) or str(one.metavar), one.help or "")
        for one in parser._actions
        if not isinstance(one, argparse._HelpAction)
    ]
    return _section(name, parser.description or "", rows, parser.epilog or "")


def _of_command(name: str) -> str:
    group = typer.main.get_group(application.application([name]))
    command = group.commands[name]
    context = typer.Context(command, info_name=name)
    rows = [
        row for one in command.get_params(context) if (row := one.get_help_record(context)) and "--help" not in row[0]
    ]
    return _section(name, command.help or "", rows, command.epilog or "")


def _section(name: str, said: str, rows: Iterable[tuple[str, str]], epilog: str) -> str:
    table = "".join(f"| `{_cell(what)}` | {_cell(meaning)} |\n" for what, meaning in rows)
    head = f"| argument, option | |\n|---|---|\n{table}\n" if table else ""
    shown = f"```text\n{epilog.replace(chr(8), '').strip()}\n```\n" if epilog else ""
    return f"## `whywait {name}`\n\n{_sentence(said)}\n\n{head}{shown}"


def _entries(module: Any) -> Iterator[str]:
    for name in module.__all__:
        thing = getattr(module, name)
        if name.startswith("__") or inspect.ismodule(thing):
            continue
        signature = _signature(thing)
        shown = f"```python\n{name}{signature}\n```\n\n" if signature else ""
        yield f"### {name}\n\n{shown}{inspect.cleandoc(thing.__doc__ or '')}\n"


def _signature(thing: Any) -> str:
    if isinstance(thing, type) and thing is not whywait.Config:
        return ""  # made by whywait, not by its user
    whole = inspect.signature(thing)
    said = _MODULES.sub("", str(whole))
    if len(said) < _WIDEST:
        return said
    lines = [f"    {_MODULES.sub('', str(one))}," for one in whole.parameters.values()]
    named = [one.kind is inspect.Parameter.KEYWORD_ONLY for one in whole.parameters.values()]
    if True in named:
        lines.insert(named.index(True), "    *,")
    return "\n".join(("(", *lines, f") -> {said.rpartition(' -> ')[2]}"))


def _sentence(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _sentence(text).replace("|", "\\|")
