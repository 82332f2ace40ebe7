"""`whywait top`: what the requests of a running service wait for, now."""

from typing import Annotated, Final

import typer

from whywait.analysis.cli.sources import Followed, Service
from whywait.analysis.cli.streams import console, examples
from whywait.analysis.live.pace import LONGEST_WINDOW_S

EPILOG: Final = examples(
    "whywait top traces                  Ctrl-C ends it",
    "whywait top traces --seconds 60",
    "whywait top traces --once           the end of the files, as text",
    "whywait top traces | tee seen.txt   in a pipe: one plain view for each span of --seconds",
)


def top(
    traces: Followed,
    seconds: Annotated[
        float, typer.Option(help="Length of the window, in seconds.", min=1, max=LONGEST_WINDOW_S)
    ] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="Show the end of the files once, and exit.")] = False,
    service: Service = None,
) -> int:
    """Shows live what each endpoint's requests wait for, what delays them, and the slowest of them."""
    # its help needs nothing of what it does
    from whywait.analysis.live.reader import checked_path
    from whywait.analysis.report.terminal.watch import show_once, watch

    path = checked_path(traces, must_exist=once)
    (show_once if once else watch)(path, seconds, service, console())
    return 0
