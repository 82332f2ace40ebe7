"""Where the commands print: a console that survives pipes, and whoever stops reading them."""

from typing import Final, NoReturn

import typer
from rich.console import Console

_NARROWEST: Final = 118  # a pipe has no width of its own


class ReaderGone(Exception):
    """Whoever read our output, such as `head`, has seen enough."""


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        raise ReaderGone


def console() -> Console:
    """Return a console for standard output, wide enough for tables where it is no terminal."""
    made = _Console()
    return made if made.is_terminal else _Console(width=max(made.width, _NARROWEST))


def say(text: str) -> None:
    """Print a line; raises ReaderGone when nobody reads any more."""
    try:
        typer.echo(text)
    except BrokenPipeError as error:  # typer would end the process with 1
        raise ReaderGone from error
