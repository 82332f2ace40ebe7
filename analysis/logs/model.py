"""The values that the steps from lines to stretches exchange. All times are integer nanoseconds."""

from dataclasses import dataclass
from typing import Final

from whywait.analysis.logs.clock_text import Moment
from whywait.analysis.model import Finding

NAMED: Final = "named"  # inside BEFORE_X ... AFTER_X: the log names what ran
SINCE: Final = "since"  # from the previous marker to an AFTER_X whose beginning was not logged
BETWEEN: Final = "between"  # between two markers that do not belong together: no name


@dataclass(frozen=True, slots=True)
class Sighting:
    """One line that belongs to a request."""

    request: str
    time_ns: int  # since the epoch, as far as the line has it (see `clock_text`)
    line: int  # number in the input, from 1
    text: str  # the beginning of the line
    marker: str = ""  # "" for a plain line
    delta: Moment | None = None  # time since the previous marker, as the line states it
    total: Moment | None = None  # time of the whole request, as the line states it
    step_ns: int = 1  # the value of its time's last digit


@dataclass(frozen=True, slots=True)
class Phase:
    """BEFORE_X ... AFTER_X of one request: phases nest, and overlap where several threads log."""

    start_ns: int
    end_ns: int
    label: str

    @property
    def ns(self) -> int:
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class Stretch(Phase):
    """The time between two neighbouring markers; its label joins them where the log has no name."""

    kind: str  # NAMED, SINCE or BETWEEN


@dataclass(frozen=True, slots=True)
class Silence:
    """The time between two neighbouring lines of a request, in which it logged nothing."""

    start_ns: int
    end_ns: int
    before: str  # the line at its beginning
    after: str
    before_line: int
    after_line: int
    within: str  # label of the stretch around it

    @property
    def ns(self) -> int:
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request: its stretches touch, never overlap, and sum to `clocked_ns`."""

    request: str
    start_ns: int  # first marker
    end_ns: int  # last marker
    stretches: tuple[Stretch, ...]
    silences: tuple[Silence, ...]  # longest first
    phases: tuple[Phase, ...]
    lines: int
    step_ns: int  # the coarsest resolution of its lines: shorter stretches cannot be resolved
    stated_ns: int | None = None  # the longest stated total
    stated_step_ns: int = 0
    others: int = 0  # requests that were open at the same time

    @property
    def clocked_ns(self) -> int:
        return self.end_ns - self.start_ns

    @property
    def untimed_ns(self) -> int:
        """The stated total less the sum of all timers, ns; 0 where they agree within their resolution."""
        if self.stated_ns is None or self.stated_ns - self.clocked_ns < max(self.stated_step_ns, self.step_ns):
            return 0
        return self.stated_ns - self.clocked_ns

    @property
    def wall_ns(self) -> int:
        """The request's time, ns: what its timers measured, and what no timer measured."""
        return self.clocked_ns + self.untimed_ns

    def of_kind_ns(self, *kinds: str) -> int:
        """The sum of the stretches of these kinds."""
        return sum(one.ns for one in self.stretches if one.kind in kinds)


@dataclass(frozen=True, slots=True)
class LogReading:
    """All requests of a log in the order in which they began, and what was odd."""

    requests: tuple[LoggedRequest, ...]
    findings: tuple[Finding, ...]
    lines: int  # all lines of the input
