"""What differs between two runs of a suite, and which differences are explained. Pure: no I/O."""

import fnmatch
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

UNFINISHED = "started"  # its process ended in the middle of it


@dataclass
class Run:
    """One run of one suite in one mode: outcome by test id, and what the tracer said of itself."""

    outcomes: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    ended: str = "ok"  # "ok", "timeout", "exit N"
    faults: tuple[str, ...] = ()
    spans: int = 0
    core: str = ""  # which of the tracer's two cores recorded
    seconds: float = 0.0

    def counts(self) -> Counter[str]:
        """How many tests had each outcome."""
        return Counter(self.outcomes.values())


@dataclass(frozen=True)
class Difference:
    """One test's outcome with the tracer is not what it is without."""

    python: str
    suite: str
    mode: str
    test: str
    plain: tuple[str, ...]  # each outcome seen without the tracer, in the order of the runs
    traced: tuple[str, ...]
    detail: str

    def is_real(self) -> bool:
        """Whether an outcome came back with the tracer on that was never seen without it.

        The first of each side is the run that showed the difference, the others are the runs after it.
        """
        return bool(set(self.traced[1:]) - set(self.plain))


@dataclass(frozen=True)
class Explanation:
    """A committed reason for a difference; the fields other than `reason` are shell patterns."""

    test: str
    reason: str
    python: str = "*"
    suite: str = "*"
    mode: str = "*"

    def covers(self, one: Difference) -> bool:
        """Whether this is the reason for that difference."""
        pairs = ((one.test, self.test), (one.python, self.python), (one.suite, self.suite), (one.mode, self.mode))
        return all(fnmatch.fnmatchcase(value, pattern) for value, pattern in pairs)


def differing(plain: Run, traced: Run) -> list[str]:
    """Ids of the tests whose outcomes are not the same in both runs, those only one of them has included.

    Where only one of the processes ended well, that is the difference, not all that it left undone.
    """
    if plain.ended != traced.ended:  # what did not come to run says nothing beyond that
        names = {"(process)"} | _finished(plain) & _finished(traced)
    else:
        names = plain.outcomes.keys() | traced.outcomes.keys()
    return sorted(name for name in names if plain.outcomes.get(name) != traced.outcomes.get(name))


def _finished(run: Run) -> set[str]:
    return {name for name, outcome in run.outcomes.items() if outcome != UNFINISHED}


def reason_for(one: Difference, explanations: Sequence[Explanation]) -> str | None:
    """The first committed reason that covers the difference; None if there is none."""
    return next((known.reason for known in explanations if known.covers(one)), None)


def parse_run(lines: Sequence[Mapping[str, object]], ended: str, seconds: float) -> Run:
    """A run from the lines its process wrote. A test that has no end line keeps the outcome `started`."""
    run = Run(ended=ended, seconds=seconds)
    reported = False
    for line in lines:
        report = line.get("report")
        if isinstance(report, Mapping):
            reported = True
            run.faults = tuple(report.get("faults", ()))
            run.spans = int(report.get("spans", 0))
            run.core = str(report.get("core", ""))
            continue
        name, outcome = str(line["id"]), str(line["outcome"])
        if outcome == "fail" or run.outcomes.get(name) != "fail":
            run.outcomes[name] = outcome
            run.details[name] = str(line["detail"])
    run.outcomes["(process)"] = ended if reported or ended != "ok" else "ended without a report"
    for fault in run.faults:
        run.outcomes[f"(fault) {fault}"] = "fail"
    return run
