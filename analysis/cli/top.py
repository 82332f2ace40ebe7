"""`whywait top`: what the requests of a running service wait for, now."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console, RenderableType
from rich.live import Live

from whywait.analysis.cli.sources import Followed, Service
from whywait.analysis.cli.streams import console, examples
from whywait.analysis.errors import InputError
from whywait.analysis.live.gathered import Patience
from whywait.analysis.live.pace import rest_s, yield_to_others
from whywait.analysis.live.reader import Reader, checked_path, last_seconds
from whywait.analysis.live.tail import LOST_LINE
from whywait.analysis.live.window import LONGEST_S, Window
from whywait.analysis.report.terminal.live import Size, Told, screen
from whywait.analysis.text import counted

_TURN_S: Final = 2.0
_BACK: Final = 32 << 20  # bytes that --once reads at the end of each file
_MOST_AT_ONCE: Final = 500_000  # spans
EPILOG: Final = examples(
    "whywait top traces                  Ctrl-C ends it",
    "whywait top traces --seconds 60",
    "whywait top traces --once           the end of the files, as text",
    "whywait top traces | tee seen.txt   in a pipe: one plain view for each span of --seconds",
)


def top(
    traces: Followed,
    seconds: Annotated[float, typer.Option(help="Length of the window, in seconds.", min=1, max=LONGEST_S)] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="Show the end of the files once, and exit.")] = False,
    service: Service = None,
) -> int:
    """Shows live what each endpoint's requests wait for, what delays them, and the slowest of them."""
    path = checked_path(traces, must_exist=once)
    if once:
        _show_once(path, seconds, service)
        return 0
    yield_to_others()
    reader = Reader(path, service=service)
    terminal = Console()
    try:
        with _sigterm_interrupts():
            if terminal.is_terminal and not terminal.is_dumb_terminal:
                _watch(reader, path, seconds, terminal)
            else:
                _print_on(reader, path, seconds)
    except KeyboardInterrupt:
        return 0
    finally:
        reader.close()
    return 0


def _show_once(path: Path, seconds: float, service: str | None) -> None:
    patience = Patience(most_spans=_MOST_AT_ONCE, most_of_one=_MOST_AT_ONCE)
    reader = Reader(path, back=_BACK, service=service, patience=patience)
    try:
        turn = reader.turn(0.0, final=True)
    finally:
        reader.close()
    if not turn.requests:
        unread = reader.lost.get(LOST_LINE, 0)
        if reader.service_missing:
            raise InputError(reader.service_missing)
        why = "send the service some requests, or wait until it has exported them"
        if unread:
            why = f"{counted(unread, 'line')} of it are not OTLP JSON"
        raise InputError(f"{path} has no request at its end: {why}")
    window = Window(LONGEST_S)
    chosen, covered_s = last_seconds(turn.requests, seconds)
    end_ns = max(one.end_ns for one in chosen)
    busy = [one for one in turn.busy if end_ns - round(covered_s * 1e9) < one.end_ns <= end_ns]
    window.add(covered_s, chosen, busy)
    as_of = datetime.fromtimestamp(end_ns / 1e9).astimezone().strftime("until %Y-%m-%d %H:%M:%S")
    made = console()
    made.print(screen(window.view(), _told(reader, path, "", as_of), Size(made.width, None)), "")


def _watch(reader: Reader, path: Path, seconds: float, terminal: Console) -> None:
    """Redraw the screen until the user leaves; the last view stays in the terminal."""
    window = Window(seconds)
    shown: RenderableType = ""
    try:
        with Live(console=terminal, screen=True, auto_refresh=False) as live:
            last_s = time.monotonic() - _TURN_S
            while True:
                begun_s = time.monotonic()
                turn = reader.turn(begun_s)
                window.add(begun_s - last_s, *turn)
                last_s = begun_s
                size = Size(terminal.width, terminal.height)
                shown = screen(window.view(), _told(reader, path, "Ctrl-C ends", _now()), size)
                live.update(shown, refresh=True)
                time.sleep(rest_s(_TURN_S, time.monotonic() - begun_s))
    finally:
        terminal.print(shown)


def _print_on(reader: Reader, path: Path, seconds: float) -> None:
    """Print one view per `seconds`; no request is in two of them."""
    last_s = time.monotonic()
    turn_s = min(_TURN_S, seconds)
    while True:
        window, begun_s = Window(LONGEST_S), time.monotonic()
        while time.monotonic() - begun_s < seconds:
            time.sleep(rest_s(turn_s, 0.0))
            now_s = time.monotonic()
            window.add(now_s - last_s, *reader.turn(now_s))
            last_s = now_s
        paper = console()
        paper.print(screen(window.view(), _told(reader, path, "", _now()), Size(paper.width, None)), "")


def _told(reader: Reader, path: Path, keys: str, as_of: str) -> Told:
    followed = reader.follower.files
    return Told(str(path), reader.lost, reader.lost_by_service, followed, keys, as_of, reader.service_missing)


def _now() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S")


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Restore the terminal on SIGTERM too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
