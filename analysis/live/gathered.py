"""What is known of one trace while its spans arrive, and how long is waited for what is missing."""

from dataclasses import dataclass, field
from typing import NamedTuple

from whywait.analysis.load.otlp import Row
from whywait.analysis.model import SPAN_COLUMNS
from whywait.tracer import schema

# columns of a row
TRACE, SPAN, PARENT, SERVICE, KIND, START, END, ATTRIBUTES = map(
    SPAN_COLUMNS.index, ("trace_id", "span_id", "parent_id", "service", "span_kind", "start_ns", "end_ns", "attributes")
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited for what, in seconds, and how much is held meanwhile."""

    settle_s: float = 1.0  # nothing new for so long: a trace whose roots are there is whole
    hurry_s: float = 5.0  # a root is taken up after so long though more keeps coming
    named_s: float = 3.0  # for a trace that this one names
    give_up_s: float = 10.0  # for the span above a root, or for a root in a service that has none so far
    # for the root of a service that has some, or for the request of spans that have none: a service under
    # load writes its own spans at once and whywait's when it finds time
    abandon_s: float = 120.0
    began_s: float = 60.0  # in the middle of things, what began before is no loss for so long
    retain_s: float = 10.0  # after it was counted
    most_spans: int = 60_000
    most_of_one: int = 20_000


class Whole(NamedTuple):
    """A trace to be analysed now."""

    gathered: "Gathered"
    given_up: bool  # what is missing will not come any more: count what is there


@dataclass(slots=True)
class Gathered:
    """What is known of one trace."""

    trace_id: str
    source: int  # the file it came from
    last_s: float
    rows: list[Row] = field(default_factory=list)
    arrivals: list[tuple[float, int]] = field(default_factory=list)  # time, rows there were before
    times: dict[str, tuple[int, int]] = field(default_factory=dict)  # start and end, by span id
    names: set[str] = field(default_factory=set)  # ids of other traces that it waited for
    roots: dict[str, str] = field(default_factory=dict)  # not yet counted: id → parent's id
    servers: dict[str, str] = field(default_factory=dict)  # not yet counted: id → service
    fresh_s: float = 0.0  # when the first of those roots came; without one, the first of those servers
    counted: set[str] = field(default_factory=set)  # request ids
    counted_s: float = -1.0
    new_from: int = 0  # rows before this were there when it was analysed last
    too_large: bool = False
    ours: bool = False  # holds spans of whywait: they come when their request has ended

    @property
    def is_open(self) -> bool:
        """Whether it holds a request that was not counted."""
        return bool(self.roots or self.servers)

    def take(self, row: Row, now_s: float) -> None:
        """Keep a span that arrived now."""
        if not self.arrivals or self.arrivals[-1][0] != now_s:
            self.arrivals.append((now_s, len(self.rows)))
        self.rows.append(row)
        self.times[row[SPAN]] = row[START], row[END]
        self.last_s = now_s
        self.ours = self.ours or schema.KIND in row[ATTRIBUTES]
        named = (row[ATTRIBUTES].get(key) for key in (schema.WAKER_TRACE_ID, schema.SPAWNED_BY_TRACE))
        self.names.update(name for name in named if isinstance(name, str) and name)

    def begin(self, row: Row, is_root: bool, is_server: bool, now_s: float) -> None:
        """Note that a request is to be counted."""
        if not self.roots and (is_root or not self.servers):
            self.fresh_s = now_s
        if is_root:
            self.roots[row[SPAN]] = row[PARENT]
        if is_server and row[SPAN] not in self.counted:
            self.servers[row[SPAN]] = row[SERVICE]

    def open_roots(self) -> set[str]:
        """Ids of the roots whose parent was not seen."""
        return {root for root, parent in self.roots.items() if parent and parent not in self.times}
