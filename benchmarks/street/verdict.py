"""Whether an answer is right, partly right or wrong: cause, culprit, amount and remedy against the declared truth."""

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from benchmarks.street.contract import Program
from benchmarks.street.perform import Performance
from whywait.tracer.schema import PICKLING, UNPICKLING

WITHIN: Final = 0.10
AT_LEAST_MS: Final = 1.0
"""A difference less than this is none: the program's own stamps cost as much."""
DISTURBED: Final = 0.1
"""Of a run, in which the program's main thread was runnable and had no CPU."""
Grade = Literal["right", "partly", "wrong"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was told of a program, and which of it was right."""

    grade: Grade
    faults: tuple[str, ...]
    """Of "cause", "culprit", "amount", "remedy": what was not right."""
    told: str
    """Cause, amount, culprit and remedy, as whywait says them."""
    truth_ms: float
    wall_ms: float
    cpu_wait_share: float

    @property
    def is_disturbed(self) -> bool:
        """Whether the program's main thread lacked a CPU for so long that its truth may be another."""
        return self.cpu_wait_share > DISTURBED


def judge(program: Program, run: Performance) -> Verdict:
    """The first reason of the judged endpoint against the truth.

    What other processes took of the CPUs is set aside, unless it is the truth: it is true on a busy machine.
    """
    reasons = [one for one in _reasons(program, run) if program.cause == "cpu_wait" or not _machine(one)]
    if program.cause == "none":
        faults: tuple[str, ...] = ("cause",) if reasons else ()
        return _verdict("wrong" if faults else "right", faults, reasons, run)
    first = reasons[0] if reasons else None
    faults = _faults(program, first, run.truth_ms)
    if not faults:
        return _verdict("right", (), reasons, run)
    if "cause" in faults:
        among = any(not {"cause", "culprit"} & set(_faults(program, one, run.truth_ms)) for one in reasons[1:])
        return _verdict("partly" if among else "wrong", faults, reasons, run)
    return _verdict("partly", faults, reasons, run)


def _reasons(program: Program, run: Performance) -> list[dict[str, Any]]:
    found = [one for one in run.report["endpoints"] if one["endpoint"] == program.endpoint]
    return list(found[0]["reasons"]) if found else []


def _machine(reason: dict[str, Any]) -> bool:
    return reason["cause"] == "cpu_wait" and reason["remedy"]["key"] == "cpu_wait/cpu_other_processes"


def _faults(program: Program, reason: dict[str, Any] | None, truth_ms: float) -> tuple[str, ...]:
    if reason is None:
        return ("cause", "culprit", "amount", "remedy")
    told_ms = reason["amount_ns"] / 1e6
    right = {
        "cause": reason["cause"] == program.cause,
        "culprit": _culprit(program, reason),
        "amount": abs(told_ms - truth_ms) <= max(WITHIN * truth_ms, AT_LEAST_MS),
        "remedy": _remedy(program.remedy, reason["remedy"]),
    }
    return tuple(name for name, so in right.items() if not so)


def _culprit(program: Program, reason: dict[str, Any]) -> bool:
    """The user's function by its name, or what is done for it, and a line that leads there; where none is to blame, no code
    of the user's."""
    if not program.culprit:
        return not str(reason["file"]).endswith(program.path.name)
    name = str(reason["culprit"]).removesuffix("()").removeprefix(UNPICKLING).removeprefix(PICKLING)
    return (
        (name == program.culprit or name.endswith(f".{program.culprit}"))
        and str(reason["file"]).endswith(program.path.name)
        and reason["line"] in program.lines
    )


def _remedy(wanted: str, told: dict[str, str]) -> bool:
    return re.match(wanted, told["key"]) is not None or re.search(wanted, told["text"]) is not None


def _verdict(grade: Grade, faults: tuple[str, ...], reasons: list[dict[str, Any]], run: Performance) -> Verdict:
    told = "; ".join(
        f"{one['cause']} {one['amount_ns'] / 1e6:.0f} ms: {one['detail']}; culprit {one['culprit']}"
        f" ({str(one['file']).rpartition('/')[2]}:{one['line']}); {one['remedy']['key']}"
        for one in reasons[:2]
    )
    return Verdict(
        grade, faults, told or "nothing", round(run.truth_ms, 1), round(run.wall_ms, 1), round(run.cpu_wait_share, 3)
    )
