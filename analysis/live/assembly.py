"""Assembles arriving spans into traces. Pure: the caller passes the time. A trace is complete when each root and its
parent have come and nothing new came for a moment; one that many requests share after a fixed time; one that names
another waits for that one. Counted traces stay a while, for late spans."""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Final

from whywait.analysis.live.gathered import (
    ATTRIBUTES,
    END,
    KIND,
    PARENT,
    SERVICE,
    SPAN,
    START,
    TRACE,
    Gathered,
    Patience,
    Whole,
)
from whywait.analysis.load.otlp import Row
from whywait.tracer import schema

_MOST_SERVICES: Final = 1_000
_MOST_DONE: Final = 50_000  # ids of traces that were removed
LOST_TRACE: Final = "trace"
LATE: Final = "late span"
REPEATED: Final = "span with repeated ids"
INCOMPLETE: Final = "request not recorded whole"


class Assembly:
    """Takes rows of SPAN_COLUMNS, returns complete traces. `lost` counts the incomplete ones, by kind."""

    def __init__(self, patience: Patience | None = None, *, mid_stream: bool = False) -> None:
        self._mid_stream = mid_stream  # earlier spans were skipped on purpose
        self._begun_s: float | None = None
        self.services: set[str] = set()  # with traced requests so far
        self.lost: Counter[str] = Counter()
        self._patience = patience or Patience()
        self._traces: dict[str, Gathered] = {}
        self._done: OrderedDict[str, None] = OrderedDict()
        self.spans = 0  # in memory

    def add(self, rows: Iterable[Row], source: int, now_s: float) -> None:
        """Add spans that arrived now."""
        self._begun_s = now_s if self._begun_s is None else self._begun_s
        for row in rows:
            trace_id, attributes = row[TRACE], row[ATTRIBUTES]
            if schema.PROVISIONAL in attributes:  # its request counts once, when it has ended
                continue
            is_root = attributes.get(schema.ROOT) is True
            trace = self._traces.get(trace_id)
            if trace is None:
                if trace_id in self._done and not is_root:
                    self.lost[LATE] += 1
                    continue
                trace = self._traces[trace_id] = Gathered(trace_id, source, now_s)
            known = trace.times.get(row[SPAN])
            if known is None:
                self._take(trace, row, is_root, now_s)
            elif known != (row[START], row[END]):  # else delivered twice
                self.lost[REPEATED] += 1
        self._bound()

    def _take(self, trace: Gathered, row: Row, is_root: bool, now_s: float) -> None:
        if len(trace.rows) >= self._patience.most_of_one:
            trace.too_large = True
            self.lost["span"] += 1
            return
        trace.take(row, now_s)
        self.spans += 1
        is_server = row[KIND] == "server"
        if is_root or is_server:
            trace.begin(row, is_root, is_server, now_s)
        elif trace.counted_s >= 0 and not trace.is_open:
            self.lost[LATE] += 1
        if is_root and len(self.services) < _MOST_SERVICES:
            self.services.add(row[SERVICE])

    def due(self, now_s: float, *, final: bool = False) -> list[Whole]:
        """Return the traces that are due for analysis; `final`: all with a request."""
        found: list[Whole] = []
        for trace in list(self._traces.values()):
            if not trace.is_open:
                self._forget_in_time(trace, now_s)
                continue
            given_up = self._is_given_up(trace, now_s, final=final)
            if not given_up and (final or not self._is_whole(trace, now_s)):
                continue
            if trace.too_large:
                self.lost[LOST_TRACE] += 1
                self._drop(trace)
                continue
            found.append(Whole(trace, given_up))
        return found

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
        """Record that a trace was analysed; return its requests that count now, each once. A root without its parent
        has no name and a server span without a root no causes: neither counts."""
        trace = whole.gathered
        open_roots = trace.open_roots()
        bare = self._bare(trace, given_up=whole.given_up)
        new = [one for one in request_ids if one not in trace.counted | open_roots | bare]
        trace.counted.update(new)
        if whole.given_up:
            if open_roots | bare and not self._is_cut_off(trace):
                self.lost[INCOMPLETE] += len(open_roots) + len(bare)
            open_roots, bare = set(), set()
        trace.roots = {root: trace.roots[root] for root in open_roots}
        trace.servers = {one: trace.servers[one] for one in bare}
        trace.fresh_s = now_s
        trace.counted_s = now_s
        self._prune(trace, now_s)
        trace.new_from = len(trace.rows)
        return new

    def _bare(self, trace: Gathered, *, given_up: bool) -> set[str]:
        """Servers without the root that is still to come."""
        bare = trace.servers.keys() - self._answered(trace)
        return {one for one in bare if not given_up or trace.servers[one] in self.services}

    def _is_cut_off(self, trace: Gathered) -> bool:
        """Whether its other spans may be among those that were skipped at the beginning."""
        began_s = self._begun_s or 0.0
        return self._mid_stream and trace.fresh_s - began_s < self._patience.began_s

    def _answered(self, trace: Gathered) -> set[str]:
        """Servers with a root below them: walk up from each root."""
        parents = {row[SPAN]: row[PARENT] for row in trace.rows}
        found = set()
        for at in trace.roots:
            for _ in range(200):
                if at in trace.servers or not at:
                    break
                at = parents.get(at, "")
            found.add(at)
        return found & trace.servers.keys()

    def _is_whole(self, trace: Gathered, now_s: float) -> bool:
        quiet_s = now_s - trace.last_s
        settle_s = self._patience.settle_s
        if self.spans > 0.8 * self._patience.most_spans:
            settle_s = 0.0  # early analysis rather than loss
        waited_s = now_s - trace.fresh_s
        if not trace.roots or not (quiet_s >= settle_s or waited_s >= self._patience.hurry_s):
            return False
        if len(trace.open_roots()) == len(trace.roots):
            return False
        if waited_s >= settle_s + self._patience.named_s:
            return True
        return all(self._has_come(name, now_s, settle_s) for name in trace.names)

    def _is_given_up(self, trace: Gathered, now_s: float, *, final: bool) -> bool:
        if final:
            return bool(trace.roots) or not self.services.issuperset(trace.servers.values())
        waited_s = min(now_s - trace.last_s, now_s - trace.fresh_s)
        comes_late = not trace.roots and any(one in self.services for one in trace.servers.values())
        return waited_s >= (self._patience.abandon_s if comes_late else self._patience.give_up_s)

    def _has_come(self, trace_id: str, now_s: float, settle_s: float) -> bool:
        trace = self._traces.get(trace_id)
        if trace is None:
            return trace_id in self._done
        if trace.counted_s >= 0:
            return True
        return bool(trace.roots) and not trace.open_roots() and now_s - trace.last_s >= settle_s

    def _prune(self, trace: Gathered, now_s: float) -> None:
        """Of a trace that goes on and on, what came long ago belongs to requests that were counted."""
        since_s = now_s - self._patience.give_up_s
        old = next((before for at_s, before in trace.arrivals if at_s > since_s), 0)
        gone = trace.rows[:old]
        ids = [row[SPAN] for row in gone]
        if trace.roots.keys().isdisjoint(ids):
            trace.arrivals = [(at_s, before - old) for at_s, before in trace.arrivals if before >= old]
            trace.rows = trace.rows[old:]
            for one in ids:  # it may come again
                trace.times.pop(one, None)
            self.spans -= len(gone)

    def _forget_in_time(self, trace: Gathered, now_s: float) -> None:
        if trace.counted_s >= 0:
            if now_s - max(trace.counted_s, trace.last_s) >= self._patience.retain_s:
                self._drop(trace)
            return
        patience_s = self._patience.give_up_s if trace.ours else self._patience.abandon_s
        if now_s - trace.last_s >= patience_s:
            self._drop(trace)

    def _bound(self) -> None:
        if self.spans <= self._patience.most_spans:
            return
        # first counted traces, then traces without a request, then the oldest
        order = sorted(self._traces.values(), key=lambda one: (one.counted_s < 0, bool(one.roots), one.last_s))
        for trace in order:
            if self.spans <= 0.9 * self._patience.most_spans:
                return
            if trace.is_open or trace.counted_s < 0:
                self.lost[LOST_TRACE] += 1
            self._drop(trace)

    def _drop(self, trace: Gathered) -> None:
        del self._traces[trace.trace_id]
        self.spans -= len(trace.rows)
        self._done[trace.trace_id] = None
        while len(self._done) > _MOST_DONE:
            self._done.popitem(last=False)
