"""One input through a reader and everything that shows its analysis."""

import io
import json
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from testbed.fuzz.inputs import made, made_log
from whywait import analysis
from whywait.analysis.changes.comparison import compare
from whywait.analysis.errors import InputError
from whywait.analysis.logs import read_logs
from whywait.analysis.model import Analysis
from whywait.analysis.report.annotation import cause_spans
from whywait.analysis.report.annotation.copied_traces import copied, hosts_of
from whywait.analysis.report.html.report import page
from whywait.analysis.report.json.diff import diff_as_json
from whywait.analysis.report.json.logs import logs_as_json
from whywait.analysis.report.json.report import as_json
from whywait.analysis.report.perfetto import write_perfetto
from whywait.analysis.report.terminal.diff import render_diff
from whywait.analysis.report.terminal.logs import render_logs
from whywait.analysis.report.terminal.report import render
from whywait.analysis.write.otlp_file import write_spans

HANGS_S = 5.0


class Hang(Exception):
    """It took longer than HANGS_S."""


@contextmanager
def limited() -> Iterator[None]:
    """Raise Hang when the block, in the main thread, takes too much CPU time: a busy machine is no hang."""

    def late(*_: object) -> None:
        raise Hang(f"over {HANGS_S:g} s")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, HANGS_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def strict(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def shown(found: Analysis, source: Path, dice: random.Random) -> None:
    """Draw the analysis in every form, or in one."""
    sink, terminal = (
        io.StringIO(),
        Console(file=io.StringIO(), width=dice.choice((40, 80, 118, 300)), force_terminal=True),
    )
    spans = list(cause_spans(found, 100_000, hosts_of(source, set())))
    ways = (
        lambda: render(found, terminal),
        lambda: strict(as_json(found)),
        lambda: page(found, "[/x]"),
        lambda: write_perfetto(found, sink),
        lambda: write_spans(spans, "s", sink) + copied(source, sink),
        lambda: differences(found, terminal),
    )
    for way in (dice.choice(ways), dice.choice(ways)):
        way()


def differences(found: Analysis, terminal: Console) -> None:
    change = compare(found, found)
    render_diff(change, (found, found), ("[/x]", "b"), terminal)
    strict(diff_as_json(change, (found, found)))


def trial(number: int, folder: Path) -> str:
    """Try the input of this number; return "shown", or "refused" when it was refused in words. Whatever else is
    raised is what is looked for."""
    dice = random.Random(number)
    if number % 20 == 0:
        return log_trial(dice, folder)
    end, data = made(dice)
    source = folder / f"input{end}"
    source.write_bytes(data)
    with limited():
        try:
            shown(analysis.analyze(str(source), skip_bad_lines=dice.random() < 0.5), source, dice)
        except InputError as error:
            if not 0 < len(str(error)) < 2_000:
                raise AssertionError(f"a refusal of {len(str(error)):,} characters") from error
            return "refused"
    return "shown"


def log_trial(dice: random.Random, folder: Path) -> str:
    source = folder / "input.log"
    source.write_bytes(made_log(dice))
    with limited():
        try:
            reading = read_logs(str(source))
        except InputError:
            return "refused"
        strict(logs_as_json(reading))
        render_logs(reading, Console(file=io.StringIO(), width=80, force_terminal=True))
    return "shown"
