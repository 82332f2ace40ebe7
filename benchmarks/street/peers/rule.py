"""The one written rule: what of a program's truth a tool's output tells. Pure; the page quotes its numbers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from benchmarks.street.contract import Program
from benchmarks.street.peers.evidence import AWAITS, RUNS, Frame, Stretch
from benchmarks.street.peers.routes import handlers
from benchmarks.street.peers.words import CAUSES, CLIENT_SILENT, is_blocked, server_frame

SHARE: Final = 0.25
"""Of the true delay per request, that the stretches must hold together to count."""
NOTHING_MS: Final = 5.0
"""Per request of a program without a fault: less is no accusation."""


@dataclass(frozen=True, slots=True)
class Score:
    """2, 1 or 0, and what it rests on."""

    points: int
    evidence: str


@dataclass(frozen=True)
class Case:
    """A program, and what its own stamps and clients said of this run."""

    program: Program
    truth_ms: float
    wall_ms: float
    is_disturbed: bool = False
    """Whether its main thread lacked a CPU for so long that its delay may be another than declared."""

    @cached_property
    def handlers(self) -> dict[str, str]:
        return handlers("\n".join(self.program.source))


def score(case: Case, shown: Sequence[Stretch]) -> Score:
    """What a tool's output is worth for this program.

    2: the culprit's function and the cause, each on stretches of the judged request that hold SHARE of the delay.
    1: either of them, of whichever request; or where in code or in which call the judged request's time went.
    0: none of these. A program without a fault: 2 where nothing is accused, else 0.
    """
    if case.program.cause == "none":
        return _innocent(case, shown)
    linked = [one for one in shown if _is_linked(case, one)]
    by, why = _culprit(case.program), _cause(case.program)
    both = [one for one in linked if by(one) and why(one)]
    if _enough(case, filter(by, linked)) and _enough(case, filter(why, linked)):
        return Score(2, _line(case, both or [*filter(by, linked), *filter(why, linked)], "culprit and cause"))
    for found, what in (
        ([one for one in shown if by(one) and why(one)], "culprit and cause, not of the delayed request"),
        ([*filter(by, linked)], "culprit, not the cause"),
        ([*filter(by, shown)], "culprit, not of the delayed request"),
        ([*filter(why, linked)], "cause, not the culprit"),
        ([one for one in linked if one.words or _own(case.program, one)], "where the request's time went"),
    ):
        if _enough(case, found):
            return Score(1, _line(case, found, what))
    return Score(0, _line(case, shown, "silent: most is") if shown else "silent")


def _innocent(case: Case, shown: Sequence[Stretch]) -> Score:
    """Waits whose words say that they are for the client accuse nobody."""
    accused = [
        one
        for one in shown
        if (one.words or _own(case.program, one)) and not CLIENT_SILENT.search(_text(case.program, one))
    ]
    if _total(accused) <= max(NOTHING_MS, 2 * case.wall_ms):
        return Score(2, "accuses nothing")
    return Score(0, _line(case, accused, "accuses"))


def _enough(case: Case, found: Iterable[Stretch]) -> bool:
    return _total(found) >= SHARE * case.truth_ms


def _total(found: Iterable[Stretch]) -> float:
    return sum(one.ms for one in found)


def _culprit(program: Program) -> Callable[[Stretch], bool]:
    return lambda one: any(_is_culprit(program, frame) for frame in one.frames)


def _is_culprit(program: Program, frame: Frame) -> bool:
    """By its last name, since not every tool tells the class."""
    return _is_own(program, frame) and frame.function.split(".")[-1] == program.culprit.split(".")[-1]


def _is_own(program: Program, frame: Frame) -> bool:
    """A function of the program; its import is no part of a request."""
    return frame.file.endswith(program.path.name) and frame.function != "<module>"


def _own(program: Program, one: Stretch) -> bool:
    return any(_is_own(program, frame) for frame in one.frames)


def _cause(program: Program) -> Callable[[Stretch], bool]:
    """The tool's words for the cause; of a tool that names causes, the name."""
    told = CAUSES[program.cause]

    def so(one: Stretch) -> bool:
        if one.cause:
            return one.cause == program.cause
        if not (one.words or _own(program, one)):
            return False  # a thread that idles in a library
        text = _text(program, one)
        if told.computing and (one.state != RUNS or is_blocked(_leaf(program, one))):
            return False
        return one.state in told.states and told.pattern.search(text) is not None

    return so


def _text(program: Program, one: Stretch) -> str:
    """Names from the user's first function inwards, the source of the user's lines, and the tool's words.

    Without the program's own name, which tells the cause by the author's wit.
    """
    first = next((at for at, frame in enumerate(one.frames) if _is_own(program, frame)), len(one.frames))
    inner = one.frames[first:]
    source = program.source
    lines = (source[frame.line - 1] for frame in inner if _is_own(program, frame) and 0 < frame.line <= len(source))
    text = " ".join([*(f"{_stem(frame.file)}:{frame.function}" for frame in inner), *lines, one.words])
    return text.replace(program.name, "")


def _leaf(program: Program, one: Stretch) -> str:
    if not one.frames:
        return one.words
    return _text(program, Stretch(0, one.frames[-1:], one.words)) or one.frames[-1].function


def _stem(file: str) -> str:
    return file.rpartition("/")[2].removesuffix(".py")


def _is_linked(case: Case, one: Stretch) -> bool:
    """Filed under the request by the tool; or the stack itself leads through the endpoint's handler, or through the
    server into no other endpoint's. Whose computing delays *another* request is not linked to that by its own stack."""
    if one.of_request:
        return True
    program = case.program
    if program.cause == "loop_busy":
        return False
    path = program.endpoint.partition(" ")[2]
    own = [frame.function.split(".")[-1] for frame in one.frames if _is_own(program, frame)]
    if any(case.handlers.get(name) == path for name in own):
        return True
    return any(map(server_frame, one.frames)) and not any(name in case.handlers for name in own)


def _line(case: Case, found: Sequence[Stretch], what: str) -> str:
    """The largest stretch: the user's functions and the innermost frame, its words, and how long."""
    most = max(found, key=lambda one: one.ms)
    own = [frame.function for frame in most.frames if _is_own(case.program, frame)]
    inner = [frame.function for frame in most.frames[-1:] if not _is_own(case.program, frame)]
    state = "awaits" if most.state == AWAITS else ""
    told = " ".join(filter(None, [" > ".join([*own[-3:], *inner]), state, most.words]))
    return f"{what}: {told[:140] or 'a request without parts'}; {_total(found):.0f} of {case.truth_ms:.0f} ms"
