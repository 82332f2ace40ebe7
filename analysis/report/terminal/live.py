"""The screen of `whywait top`: the last seconds of a service."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from whywait.analysis.causes import CAUSES, NO_CULPRIT, Cause
from whywait.analysis.live.counting import Culprit
from whywait.analysis.live.window import BUCKET, Endpoint, View
from whywait.analysis.measure.felt import differ
from whywait.analysis.report.terminal.parts import number
from whywait.analysis.situations.thresholds import significant
from whywait.analysis.text import counted, in_brackets, milliseconds, place, safe
from whywait.analysis.verdicts.remedies import remedy

TOP_CAUSES: Final = 3
_WORST: Final = 3
_WIDEST_NAME: Final = 26
_WIDE: Final = 110  # columns: from this width on culprits and their places fit into a table
_NARROW: Final = 60
_SMALL: Final = 16  # lines: a lower screen shows only who waits for what
_LINES_OF_TABLE: Final = 4  # its head, a rule, an empty line before and after
# causes that are shown without a culprit: there is none, or it needs a sentence
_NAMELESS: Final = NO_CULPRIT | {cause for cause in CAUSES if not cause.info.says_culprit}
_LEAST_SHARE: Final = 0.005


_Causes = tuple[Endpoint, list[str]]  # and its causes, one line each


class Told(NamedTuple):
    """The text above and below the table."""

    source: str
    lost: Mapping[str, int]
    lost_by_service: str
    files: int
    keys: str  # how to leave; "" in a pipe
    as_of: str  # the time
    service_missing: str = ""  # a message; "" without a problem


class Size(NamedTuple):
    """The size of the output, in characters."""

    columns: int
    lines: int | None  # None: unlimited, nothing is cut

    @property
    def wide(self) -> bool:
        return self.columns >= _WIDE


def screen(view: View, told: Told, size: Size) -> RenderableType:
    """Return the view. On a screen each line is cut to its width, and lines that do not fit are left out."""
    parts: list[RenderableType] = [_head(view, told, size), *_warnings(view, told)]
    if not view.endpoints:
        waiting = (
            "no trace file yet"
            if told.files == 0
            else f"no request yet in {counted(told.files, 'followed file')}; requests appear some seconds after they end"
        )
        parts.append(Text(f"waiting: {safe(told.service_missing) or waiting}", style="yellow"))
    else:
        parts += _endpoints(view, size, len(parts))
    if size.lines is not None:
        for part in parts:
            if isinstance(part, Text):
                part.no_wrap, part.overflow = True, "ellipsis"
    return Group(*parts)


def _endpoints(view: View, size: Size, used: int) -> list[RenderableType]:
    """Return a short view for a small screen: one endpoint, its causes, the worst request."""
    about, most_worst = [_loop_line(view), _gil_line(view), _pool_line(view)], _WORST
    if size.lines is not None and size.lines < _SMALL:
        about, most_worst = [], 1
    every = shown = [(one, _cause_lines(one)) for one in view.endpoints]
    if size.lines is not None:
        taken = used + len(about) + min(most_worst, len(every)) + 1 + _LINES_OF_TABLE * size.wide
        shown = _fitting(every, size.lines - taken, not size.wide)
    below = [line for one, causes in shown for line in _stacked(one, causes)]
    listed = [_table(shown, cut=size.lines is not None)] if size.wide else below
    parts = [*about, *listed, *_worst([one for one, _ in shown], most_worst)]
    if size.lines is None:
        parts += _to_change(view.endpoints[0])
    if left_out := len(every) - len(shown):
        parts.append(Text(f"and {counted(left_out, 'more endpoint')}", style="dim"))
    return parts


def _fitting(every: Sequence[_Causes], room: int, heading: int) -> list[_Causes]:
    """Return the first endpoints, with their first causes, that fit into the lines; at least one."""
    shown: list[_Causes] = []
    for one, causes in every:
        causes = causes[: max(room - heading, 0)]
        if shown and (not causes or room < 2):
            break
        shown.append((one, causes))
        room -= max(heading + len(causes), 1)
    return shown


def _stacked(one: Endpoint, causes: Sequence[str]) -> list[Text]:
    name = Text(safe(one.name, 100), style="bold")
    name.append(f"  p50 {milliseconds(one.p50_ns)}, p95 {milliseconds(one.p95_ns)} ms", style="not bold")
    if inner := _in_handler(one):
        name.append(f" felt by clients, {inner} in the handler", style="not bold")
    name.append(f"  {counted(one.requests, 'request')}", style="not bold dim")
    return [name, *(Text(f"  {line}") for line in causes)]


def _head(view: View, told: Told, size: Size) -> Text:
    requests = sum(one.requests for one in view.endpoints)
    traced = sum(one.traced for one in view.endpoints)
    ours = "" if size.columns < _NARROW else f"whywait top  {safe(told.source, 60)}  "
    head = Text(f"{ours}{told.as_of}", style="bold")
    if view.seconds:
        head.append(f"  last {view.seconds:.0f} s: {requests / view.seconds:,.1f} requests/s")
        if round(requests) != traced:
            head.append(f" (estimated from {counted(traced, 'trace')})")
    if told.keys:
        head.append(f"  {told.keys}", style="dim")
    return head


def _warnings(view: View, told: Told) -> list[Text]:
    found = []
    if told.lost:
        kinds = ", ".join(f"{count} × {safe(kind)}" for kind, count in sorted(told.lost.items()))
        found.append(f"lost since the beginning: {kinds}")
    if told.lost_by_service:
        found.append(safe(told.lost_by_service))
    return [Text(one, style="yellow") for one in found]


def _loop_line(view: View) -> Text:
    busy, wakeup = view.mean_ns(Cause.LOOP_BUSY), view.mean_ns(Cause.LOOP_WAKEUP)
    said = (
        f"loop lag {milliseconds(busy + wakeup)} ms per request "
        f"(busy {milliseconds(busy)}, wake-up {milliseconds(wakeup)})"
    )
    return Text(said + _chief(view, Cause.LOOP_BUSY, ", blocked by "))


def _gil_line(view: View) -> Text:
    waited, cpu = view.mean_ns(Cause.GIL_WAIT), view.mean_ns(Cause.CPU_WAIT)
    said = f"GIL wait {milliseconds(waited)} ms per request{_chief(view, Cause.GIL_WAIT, ', blocked by ')}"
    return Text(f"{said}; CPU wait {milliseconds(cpu)} ms")


def _pool_line(view: View) -> Text:
    queued = view.mean_ns(Cause.POOL_QUEUE)
    pools = [
        f"{safe(one.name or '?', 40)} {one.busy:.1f} of {one.size or '?'} busy"
        + (f" in each of {one.processes} processes" if one.processes > 1 else "")
        for one in view.pools[:4]
    ]
    said = "; ".join(pools) if pools else "no pool was used"
    return Text(f"pools: {said}; queued {milliseconds(queued)} ms per request")


def _chief(view: View, cause: Cause, words: str) -> str:
    by_culprit: dict[Culprit, float] = {}
    for endpoint in view.endpoints:
        for culprit, ns in endpoint.culprits.items():
            if culprit.cause == cause:
                by_culprit[culprit] = by_culprit.get(culprit, 0.0) + ns
    if not by_culprit:
        return ""
    return words + _named(max(by_culprit, key=lambda one: by_culprit[one]))


def _named(culprit: Culprit) -> str:
    return safe(culprit.name, 80) + in_brackets(safe(place(culprit.file, culprit.line), 80))


def _table(endpoints: Sequence[_Causes], *, cut: bool) -> Table:
    overflow: Literal["ellipsis", "fold"] = "ellipsis" if cut else "fold"
    both = any(_in_handler(one) for one, _ in endpoints)
    table = Table(
        Column("endpoint", overflow=overflow, no_wrap=cut, max_width=_WIDEST_NAME if cut else None),
        *map(number, ("requests", *(("p50, p95 ms felt", "in the handler") if both else ("p50, p95 ms",)))),
        Column("waited for: ms per request, share, blocked by", overflow=overflow, no_wrap=cut, ratio=1),
        box=SIMPLE_HEAD, pad_edge=False, expand=cut,
    )  # fmt: skip
    for one, causes in endpoints:
        table.add_row(
            Text(safe(one.name, 100)),
            f"{one.requests:,.0f}",
            f"{milliseconds(one.p50_ns)}, {milliseconds(one.p95_ns)}",
            *([_in_handler(one)] if both else []),
            Text("\n".join(causes)),
        )
    return table


def _in_handler(one: Endpoint) -> str:
    """p50 and p95 in the handler; "" where clients felt the same."""
    nearest = (ns * BUCKET for ns in one.handler_ns)  # two times that are one may be in neighbouring buckets
    same = not any(map(differ, (one.p50_ns, one.p95_ns), nearest))
    return "" if same else ", ".join(map(milliseconds, one.handler_ns))


def _cause_lines(endpoint: Endpoint) -> list[str]:
    """The chief causes, then the unexplained time, which is always shown."""
    wall_ns = endpoint.wall_ns or 1.0
    known = [cause for cause in endpoint.by_cause if cause != Cause.UNEXPLAINED][:TOP_CAUSES]
    shown = {cause: endpoint.by_cause.get(cause, 0.0) for cause in (*known, Cause.UNEXPLAINED.value)}
    return [
        f"{cause} {milliseconds(ns / endpoint.requests)} {ns / wall_ns:.0%}{_by_whom(endpoint, cause)}"
        for cause, ns in shown.items()
        if ns / wall_ns >= _LEAST_SHARE
    ]


def _by_whom(endpoint: Endpoint, cause: str) -> str:
    chief = next((one for one in endpoint.culprits if one.cause == cause), None)
    return f"  by {_named(chief)}" if chief is not None and cause not in _NAMELESS else ""


def _to_change(endpoint: Endpoint) -> list[Text]:
    """What to change: the remedy for the chief significant cause of the endpoint that cost most time."""
    wall_ns = endpoint.wall_ns or 1.0
    for cause, ns in endpoint.by_cause.items():
        if significant(Cause(cause), ns / endpoint.requests, ns / wall_ns):
            said = f"what to change in {safe(endpoint.name, 60)}: {cause}: {remedy(Cause(cause)).text}"
            return [Text(said, style="green")]
    return []


def _worst(endpoints: Sequence[Endpoint], most: int) -> list[Text]:
    lines = []
    for one in sorted(endpoints, key=lambda one: -one.worst.wall_ns)[:most]:
        causes = sorted(one.worst.by_cause.items(), key=lambda item: -item[1])[:TOP_CAUSES]
        told = ", ".join(f"{cause} {milliseconds(ns)}" for cause, ns in causes)
        lines.append(
            Text(f"worst {milliseconds(one.worst.wall_ns)} ms  {safe(one.name, 60)}: {told}  "
                 f"trace {safe(one.worst.trace_id, 32)}")
        )  # fmt: skip
    return lines
