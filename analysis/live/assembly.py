"""Assembles arriving spans into traces until a trace is complete. Pure: the caller passes the time.

A trace is complete when the root of each request and its parent span have arrived and no new span came for a
moment. A trace that many requests share (a client with one trace for all its calls) always gets new spans: its
roots are analysed after a fixed time. A wait for another trace is analysed with that trace, so a trace that
names another one is delayed for it. Traces are kept for a while after they were counted, for traces that name
them and for late spans.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from whywait.analysis.load.otlp import Row
from whywait.analysis.model import SPAN_COLUMNS
from whywait.tracer import schema

_TRACE, _SPAN, _PARENT, _SERVICE, _KIND, _ATTRIBUTES = (
    SPAN_COLUMNS.index(name)
    for name in ("trace_id", "span_id", "parent_id", "service", "span_kind", "attributes")
)
_MOST_SERVICES: Final = 1_000
_MOST_DONE: Final = 50_000  # ids of traces that were removed
LOST_TRACE: Final = "trace"
LATE: Final = "late span"
INCOMPLETE: Final = "request not recorded whole"


@dataclass(frozen=True, slots=True)
class Patience:
    """Time-outs in seconds, and how much is kept in memory meanwhile."""

    settle_s: float = 1.0  # no new span for this time: a trace with all its roots is complete
    hurry_s: float = 5.0  # a root is analysed after this time even if new spans keep coming
    named_s: float = 3.0  # for a trace that this one names
    give_up_s: float = 10.0  # for the parent span of a root, or for a root in a service without roots so far
    # for the root of a service with roots, or for the request of spans without one: a service under
    # load writes its own spans at once and whywait's spans later
    abandon_s: float = 120.0
    began_s: float = 60.0  # when following begins mid-stream, older requests are no loss for this time
    retain_s: float = 10.0  # after it was counted
    most_spans: int = 60_000
    most_of_one: int = 20_000


class Whole(NamedTuple):
    """A trace that is due for analysis."""

    gathered: "Gathered"
    given_up: bool  # the missing spans will not come: count what arrived


@dataclass(slots=True)
class Gathered:
    """What is known of one trace."""

    trace_id: str
    source: int  # the file it came from
    last_s: float
    rows: list[Row] = field(default_factory=list)
    arrivals: list[tuple[float, int]] = field(default_factory=list)  # time, rows before it
    span_ids: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)  # ids of other traces that it waited for
    roots: dict[str, str] = field(default_factory=dict)  # not yet counted: id → parent's id
    servers: dict[str, str] = field(default_factory=dict)  # not yet counted: id → service
    fresh_s: float = 0.0  # arrival of the first of those roots; without one, of the first of those servers
    counted: set[str] = field(default_factory=set)  # request ids
    counted_s: float = -1.0
    new_from: int = 0  # rows before this were part of the last analysis
    too_large: bool = False
    ours: bool = False  # contains spans of whywait, which arrive after the request has ended

    def open_roots(self) -> set[str]:
        """Ids of the roots whose parent has not arrived."""
        return {root for root, parent in self.roots.items() if parent and parent not in self.span_ids}


class Assembly:
    """Takes rows of SPAN_COLUMNS, returns complete traces. `lost` counts the incomplete ones, by kind."""

    def __init__(self, patience: Patience | None = None, *, mid_stream: bool = False) -> None:
        self._mid_stream = mid_stream  # earlier spans were skipped on purpose
        self._begun_s: float | None = None
        self._traced_services: set[str] = set()
        self.lost: Counter[str] = Counter()
        self._patience = patience or Patience()
        self._traces: dict[str, Gathered] = {}
        self._done: OrderedDict[str, None] = OrderedDict()
        self._spans = 0

    @property
    def services(self) -> frozenset[str]:
        """The services with traced requests so far."""
        return frozenset(self._traced_services)

    @property
    def spans(self) -> int:
        """The number of spans in memory."""
        return self._spans

    def add(self, rows: Iterable[Row], source: int, now_s: float) -> None:
        """Add spans that arrived now."""
        self._begun_s = now_s if self._begun_s is None else self._begun_s
        for row in rows:
            trace_id, attributes = row[_TRACE], row[_ATTRIBUTES]
            is_root = attributes.get(schema.ROOT) is True
            trace = self._traces.get(trace_id)
            if trace is None:
                if trace_id in self._done and not is_root:
                    self.lost[LATE] += 1
                    continue
                trace = self._traces[trace_id] = Gathered(trace_id, source, now_s)
            if row[_SPAN] in trace.span_ids:  # delivered twice
                continue
            self._take(trace, row, is_root, now_s)
        self._bound()

    def _take(self, trace: Gathered, row: Row, is_root: bool, now_s: float) -> None:
        if len(trace.rows) >= self._patience.most_of_one:
            trace.too_large = True
            self.lost["span"] += 1
            return
        if not trace.arrivals or trace.arrivals[-1][0] != now_s:
            trace.arrivals.append((now_s, len(trace.rows)))
        trace.rows.append(row)
        trace.span_ids.add(row[_SPAN])
        trace.last_s = now_s
        self._spans += 1
        attributes = row[_ATTRIBUTES]
        trace.ours = trace.ours or schema.KIND in attributes
        for key in (schema.WAKER_TRACE_ID, schema.SPAWNED_BY_TRACE):
            name = attributes.get(key)
            if isinstance(name, str) and name:
                trace.names.add(name)
        is_server = row[_KIND] == "server"
        if is_root or is_server:
            if not trace.roots and (is_root or not trace.servers):
                trace.fresh_s = now_s
            if is_root:
                trace.roots[row[_SPAN]] = row[_PARENT]
                if len(self._traced_services) < _MOST_SERVICES:
                    self._traced_services.add(row[_SERVICE])
            if is_server and row[_SPAN] not in trace.counted:
                trace.servers[row[_SPAN]] = row[_SERVICE]
        elif trace.counted_s >= 0 and not trace.roots and not trace.servers:
            self.lost[LATE] += 1

    def due(self, now_s: float, *, final: bool = False) -> list[Whole]:
        """Return the traces that are due for analysis; `final`: all with a request."""
        found: list[Whole] = []
        for trace in list(self._traces.values()):
            if not trace.roots and not trace.servers:
                self._forget_in_time(trace, now_s)
            elif final:
                if trace.roots or not self._traced_services.issuperset(trace.servers.values()):
                    found.append(Whole(trace, True))
            elif (given_up := self._is_given_up(trace, now_s)) or self._is_whole(trace, now_s):
                found.append(Whole(trace, given_up))
        for whole in [one for one in found if one.gathered.too_large]:
            self.lost[LOST_TRACE] += 1
            self._drop(whole.gathered)
        return [one for one in found if not one.gathered.too_large]

    def context(self, wholes: Iterable[Whole]) -> list[Row]:
        """Return the rows of the traces that these traces name, directly or not, as far as they are in memory."""
        chosen = {one.gathered.trace_id for one in wholes}
        rows: list[Row] = []
        open_ids = [name for one in wholes for name in one.gathered.names]
        while open_ids:
            trace = self._traces.get(open_ids.pop())
            if trace is not None and trace.trace_id not in chosen:
                chosen.add(trace.trace_id)
                rows += trace.rows
                open_ids += trace.names
        return rows

    def settled(self, whole: Whole, request_ids: Iterable[str], now_s: float) -> list[str]:
        """Record that a trace was analysed, and return its requests that count now, each only once.

        A root without its parent span has no name, and a server span without a root of its service has no
        causes: neither counts.
        """
        trace = whole.gathered
        open_roots = trace.open_roots()
        bare = trace.servers.keys() - self._answered(trace)
        if whole.given_up:
            bare = {one for one in bare if trace.servers[one] in self._traced_services}
        new = [one for one in request_ids if one not in trace.counted | open_roots | bare]
        trace.counted.update(new)
        if whole.given_up:
            if (open_roots or bare) and not self._is_cut_off(trace):
                self.lost[INCOMPLETE] += len(open_roots) + len(bare)
            open_roots, bare = set(), set()
        trace.roots = {root: trace.roots[root] for root in open_roots}
        trace.servers = {one: trace.servers[one] for one in bare}
        trace.fresh_s = now_s
        trace.counted_s = now_s
        self._prune(trace, now_s)
        trace.new_from = len(trace.rows)
        return new

    def _is_cut_off(self, trace: Gathered) -> bool:
        """Whether its other spans may be among those that were skipped at the beginning."""
        began_s = self._begun_s or 0.0
        return self._mid_stream and trace.fresh_s - began_s < self._patience.began_s

    def _answered(self, trace: Gathered) -> set[str]:
        """Servers with a root below them: walk up from each root."""
        parents = {row[_SPAN]: row[_PARENT] for row in trace.rows}
        found = set()
        for root in trace.roots:
            at = root
            for _ in range(200):
                if at in trace.servers:
                    found.add(at)
                    break
                at = parents.get(at, "")
                if not at:
                    break
        return found

    def _is_whole(self, trace: Gathered, now_s: float) -> bool:
        quiet_s = now_s - trace.last_s
        settle_s = self._patience.settle_s
        if self._spans > 0.8 * self._patience.most_spans:
            settle_s = 0.0  # early analysis rather than loss
        waited_s = now_s - trace.fresh_s
        if not trace.roots or not (quiet_s >= settle_s or waited_s >= self._patience.hurry_s):
            return False
        if len(trace.open_roots()) == len(trace.roots):
            return False
        if waited_s >= settle_s + self._patience.named_s:
            return True
        return all(self._has_come(name, now_s, settle_s) for name in trace.names)

    def _is_given_up(self, trace: Gathered, now_s: float) -> bool:
        waited_s = min(now_s - trace.last_s, now_s - trace.fresh_s)
        comes_late = not trace.roots and any(one in self._traced_services for one in trace.servers.values())
        return waited_s >= (self._patience.abandon_s if comes_late else self._patience.give_up_s)

    def _has_come(self, trace_id: str, now_s: float, settle_s: float) -> bool:
        trace = self._traces.get(trace_id)
        if trace is None:
            return trace_id in self._done
        if trace.counted_s >= 0:
            return True
        return bool(trace.roots) and not trace.open_roots() and now_s - trace.last_s >= settle_s

    def _prune(self, trace: Gathered, now_s: float) -> None:
        """Drop old rows of a trace that never ends: they belong to requests that were counted."""
        old = 0
        for at_s, before in trace.arrivals:
            if at_s > now_s - self._patience.give_up_s:
                old = before
                break
        if old and trace.roots.keys().isdisjoint(row[_SPAN] for row in trace.rows[:old]):
            trace.arrivals = [(at_s, before - old) for at_s, before in trace.arrivals if before >= old]
            gone, trace.rows = trace.rows[:old], trace.rows[old:]
            trace.span_ids.difference_update(row[_SPAN] for row in gone)
            self._spans -= len(gone)

    def _forget_in_time(self, trace: Gathered, now_s: float) -> None:
        if trace.counted_s >= 0:
            if now_s - max(trace.counted_s, trace.last_s) >= self._patience.retain_s:
                self._drop(trace)
            return
        patience_s = self._patience.give_up_s if trace.ours else self._patience.abandon_s
        if now_s - trace.last_s >= patience_s:
            self._drop(trace)

    def _bound(self) -> None:
        if self._spans <= self._patience.most_spans:
            return
        # first counted traces, then traces without a request, then the oldest
        order = sorted(
            self._traces.values(), key=lambda one: (one.counted_s < 0, bool(one.roots), one.last_s)
        )
        for trace in order:
            if self._spans <= 0.9 * self._patience.most_spans:
                return
            if trace.roots or trace.servers or trace.counted_s < 0:
                self.lost[LOST_TRACE] += 1
            self._drop(trace)

    def _drop(self, trace: Gathered) -> None:
        del self._traces[trace.trace_id]
        self._spans -= len(trace.rows)
        self._done[trace.trace_id] = None
        while len(self._done) > _MOST_DONE:
            self._done.popitem(last=False)
