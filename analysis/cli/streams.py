"""Where the commands' words go: a terminal, a pipe, a reader that has left."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import typer
from rich.console import Console

_NARROWEST: Final = 118  # a pipe has no width of its own


class ReaderGone(Exception):
    """Whoever read our output, such as `head`, has seen enough."""


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        raise ReaderGone


def say(text: str) -> None:
    """Prints one text; raises ReaderGone where nobody reads any more."""
    try:
        typer.echo(text)
    except BrokenPipeError as error:  # typer would end the process with 1
        raise ReaderGone from error


def console() -> Console:
    """A console on standard output: with colours on a terminal only, and not under NO_COLOR."""
    made = _Console()
    return made if made.is_terminal else _Console(width=max(made.width, _NARROWEST))


@contextmanager
def working(what: str) -> Iterator[None]:
    """Says on standard error, if that is a terminal, what takes so long; leaves no trace of it."""
    errors = Console(stderr=True)
    if not errors.is_terminal or not sys.stderr.isatty():
        yield
        return
    with errors.status(what, spinner="line"):
        yield


def examples(*lines: str) -> str:
    """The last part of a command's help: one example a line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
