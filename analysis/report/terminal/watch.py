"""The screen of `whywait top`: redrawn in a terminal, one view after another in a pipe, or shown once."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from rich.console import Console, RenderableType
from rich.live import Live

from whywait.analysis.errors import InputError
from whywait.analysis.live.gathered import Patience
from whywait.analysis.live.pace import LONGEST_WINDOW_S, rest_s, yield_to_others
from whywait.analysis.live.reader import Reader, last_seconds
from whywait.analysis.live.tail import LOST_LINE
from whywait.analysis.live.window import Window
from whywait.analysis.report.terminal.live import Size, Told, screen
from whywait.analysis.text import counted

_TURN_S: Final = 2.0
_BACK: Final = 32 << 20  # bytes that are read at the end of each file, to show it once
_MOST_AT_ONCE: Final = 500_000  # spans


def watch(path: Path, seconds: float, service: str | None, paper: Console) -> None:
    """Show what happens until the user or a signal ends it: on a terminal redrawn, else one view after another."""
    yield_to_others()
    reader = Reader(path, service=service)
    terminal = Console()
    try:
        with _sigterm_interrupts():
            if terminal.is_terminal and not terminal.is_dumb_terminal:
                _redraw(reader, path, seconds, terminal)
            else:
                _print_on(reader, path, seconds, paper)
    except KeyboardInterrupt:
        return
    finally:
        reader.close()


def show_once(path: Path, seconds: float, service: str | None, made: Console) -> None:
    """Print the end of the files. Raises InputError where it has no request."""
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
    window = Window(LONGEST_WINDOW_S)
    chosen, covered_s = last_seconds(turn.requests, seconds)
    end_ns = max(one.end_ns for one in chosen)
    busy = [one for one in turn.busy if end_ns - round(covered_s * 1e9) < one.end_ns <= end_ns]
    window.add(covered_s, chosen, busy)
    as_of = datetime.fromtimestamp(end_ns / 1e9).astimezone().strftime("until %Y-%m-%d %H:%M:%S")
    made.print(screen(window.view(), _told(reader, path, "", as_of), Size(made.width, None)), "")


def _redraw(reader: Reader, path: Path, seconds: float, terminal: Console) -> None:
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


def _print_on(reader: Reader, path: Path, seconds: float, paper: Console) -> None:
    """Print one view per `seconds`; no request is in two of them."""
    last_s = time.monotonic()
    turn_s = min(_TURN_S, seconds)
    while True:
        window, begun_s = Window(LONGEST_WINDOW_S), time.monotonic()
        while time.monotonic() - begun_s < seconds:
            time.sleep(rest_s(turn_s, 0.0))
            now_s = time.monotonic()
            window.add(now_s - last_s, *reader.turn(now_s))
            last_s = now_s
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
