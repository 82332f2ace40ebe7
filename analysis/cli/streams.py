"""The output of commands: a terminal, a pipe, or a pipe that its reader has closed. `--help` comes without rich."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

import typer

from whywait.analysis.text import safe

if TYPE_CHECKING:
    from rich.console import Console

_NARROWEST: Final = 118  # a pipe has no width of its own


class ReaderGone(Exception):
    """The reader of the output, such as `head`, closed the pipe."""


def say(text: str) -> None:
    """Print one text. Raises ReaderGone when the pipe is closed."""
    try:
        typer.echo(text)
    except BrokenPipeError as error:  # typer would end the process with 1
        raise ReaderGone from error


def console() -> "Console":
    """Return a console on standard output: colours on a terminal only, and none under NO_COLOR."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> NoReturn:
            raise ReaderGone

    made = Output()
    return made if made.is_terminal else Output(width=max(made.width, _NARROWEST))


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show a message about the current step on standard error, if that is a terminal; erase it afterwards."""
    from rich.console import Console
    from rich.text import Text

    errors = Console(stderr=True)
    if not errors.is_terminal or not sys.stderr.isatty():
        yield
        return
    with errors.status(Text(safe(what)), spinner="line"):
        yield


def examples(*lines: str) -> str:
    """Return the last part of a command's help: one example per line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
