"""The sentences of a judgement: cause, amount, share; where; by whom; what to change. Nothing is decided here."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from string import Formatter
from types import SimpleNamespace
from typing import Any, Final

from whywait.analysis.causes import Cause
from whywait.analysis.model import Analysis
from whywait.analysis.situations.situation import Pattern, Situation, numbers
from whywait.analysis.text import amount, counted, in_brackets, place
from whywait.analysis.verdicts.judgement import Judgement, Reason, judge
from whywait.analysis.verdicts.reason_words import of_holders, those_ahead
from whywait.analysis.verdicts.remedies import remedy

NOTHING_SIGNIFICANT: Final = "No wait reached 5% of its time and 1 ms."
BUT_UNSEEN: Final = "But clients may have waited where no request shows it."
UNSEEN: Final = {Situation.LOOP_HELD: Cause.LOOP_BUSY, Situation.NAGLE: Cause.REQUEST_IO}  # and whose remedy is theirs
MOST_REASONS: Final = 3  # in `text`
MOST_OF_IT: Final = 0.9  # of a cause's time: from this part on, where it passed is told as where all of it did
_IN_TURN: Final = (Situation.CONSUMER, Situation.BATCHES)
_AT_PLACES: Final = (Cause.AWAIT_IO, Cause.BLOCKING_IO, Cause.REQUEST_IO)  # whose detail is a place
LEAST_CULPRIT: Final = 0.005  # of a cause's time: less is "0%" of it
NEARLY: Final = 0.5  # of the first cause's time: from this part on the second one's remedy is told, too
NOT_THE_CAUSE: Final = 0.1  # of the requests' time: less of the loop's is said to be none
_ABBREVIATIONS: Final = {"gil": "GIL", "cpu": "CPU", "gpu": "GPU", "gc": "GC", "io": "I/O"}
_CPU_USERS: Final = {
    Situation.CPU_OTHER_PROCESSES: "other processes",
    Situation.CPU_SIBLING_PROCESSES: "processes of its own service",
    Situation.CPU_OWN_THREADS: "other threads of its own",
    Situation.CPU_NATIVE_THREADS: "native threads of its own",
    Situation.CPU_QUOTA: "",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement with its sentences."""

    judgement: Judgement
    headline: str  # without the endpoint's name
    reasons: tuple[str, ...]  # longest first
    situations: tuple[str, ...]  # those that no reason mentions
    remedy: str  # of the first reason, "" without one

    @property
    def endpoint(self) -> str:
        """The endpoint that was judged."""
        return self.judgement.endpoint

    @property
    def text(self) -> str:
        """The verdict in a few sentences."""
        parts = [f"{self.endpoint}: {self.headline}", *self.reasons[:MOST_REASONS], *self.situations]
        if self.remedy:
            parts.append(f"What to change: {self.remedy}")
        return " ".join(parts)


def verdict(analysis: Analysis) -> list[Verdict]:
    """Return one verdict per endpoint, the endpoint that cost its clients most time first."""
    return [worded(one) for one in judge(analysis)]


def worded(one: Judgement) -> Verdict:
    """Return a judgement with its sentences."""
    first = one.reasons[0] if one.reasons else None
    felt = None if first else unseen(one)
    dark = [found.numbers for found in one.situations if found.kind is Situation.UNEXPLAINED]
    less = "".join(found["less"] for found in dark if first is None or found["mean_ns"] > first.mean_ns)
    reasons = tuple(_reason(reason, one.situations) + _as_well(reason, one.reasons) for reason in one.reasons)
    told = " ".join((*reasons, first.remedy.text)) if first else ""
    again = [str(found.numbers.get("remedy") or "") for found in one.situations]  # told once
    situations = [
        situation(found).removesuffix(f" {words}" if words in told else "")
        for found, words in zip(one.situations, again, strict=True)
    ]
    return Verdict(
        one,
        _headline(one),
        reasons,
        tuple(filter(None, dict.fromkeys(situations))),
        less or (first.remedy.text if first else remedy(UNSEEN[felt.kind], [felt]).text if felt else ""),
    )


def unseen(one: Judgement) -> Pattern | None:
    """Return the first situation that clients may feel and no request's waits show; None without any."""
    return next((found for found in one.situations if found.kind in UNSEEN), None)


def cause_name(cause: Cause) -> str:
    """Return a cause's name as a sentence begins with it: "Lock wait", "GIL wait"."""
    words = " ".join(_ABBREVIATIONS.get(word, word) for word in cause.split("_"))
    return words[0].upper() + words[1:]


def culprit_share(one: Reason, wait: str = "it") -> str:
    """Return the chief culprit's share of the wait, where it is not all of it, and the share of other requests."""
    said = f" for {one.culprit_share:.0%} of {wait}" if one.culprit and one.culprit_share < 0.995 else ""
    if one.other_requests_share >= 0.005:
        of = f", most of it by {one.other_endpoint}" if one.other_endpoint else ""
        said += f"; {one.other_requests_share:.0%} of it by other requests{of}"
    return said


def situation(found: Pattern) -> str:
    """Return the sentence for a situation; "" where a reason or its remedy already mentions it."""
    if words := _SITUATIONS.get(found.kind):
        return words(SimpleNamespace(kind=found.kind, **found.numbers))
    return _Format().format(_PATTERNS.get(found.kind, ""), **numbers(found))


class _Format(Formatter):
    """With formats of its own: `ms` for nanoseconds, `phrase` for a cause, `of request` for how many, `or x` for x where
    there is nothing, `thing` for what a wait was for, `each` for names with their nanoseconds."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        kind, _, word = format_spec.partition(" ")
        own = _FORMATS.get(kind)
        return own(value, word) if own else super().format_field(value, format_spec)


_FORMATS: Final[dict[str, Callable[[Any, str], str]]] = {
    "phrase": lambda cause, _: Cause(cause).info.phrase,
    "of": counted,
    "or": lambda value, otherwise: str(value or otherwise),
    "ms": lambda ns, _: amount(ns),
    "each": lambda rows, _: ", ".join(f"{name} {amount(ns)}" for name, ns in rows),
    "thing": lambda wait, _: re.sub(r"^(?:waiting for|awaiting) ", "", wait),
}


def _headline(one: Judgement) -> str:
    many = counted(one.traced, "request")
    if one.requests != one.traced:
        many = f"about {counted(one.requests, 'request')}, {one.traced} of them traced"
    took = f"{many}, p50 {amount(one.p50_ns)}, p99 {amount(one.p99_ns)}"
    if one.handler_ns:
        took += f" felt by clients ({amount(one.handler_ns[0])} and {amount(one.handler_ns[-1])} in the handler)"
    took += "."
    by_phase = ", ".join(f"{amount(ns)} {name}" for name, ns in one.phases)
    turns = any(found.of is Cause.COMPUTE and found.kind in _IN_TURN for found in one.situations)
    own = f"{'computing, for it or those ahead' if turns else 'its own computing'}{in_brackets(by_phase)}"
    if one.reasons:
        return f"{took} On average {one.compute_share:.0%} of that was {own}."
    if Situation.UNEXPLAINED in map(attrgetter("kind"), one.situations):
        return f"{took} {one.compute_share:.0%} of that was {own}; no culprit can be named."
    if unseen(one):
        return f"{took} {NOTHING_SIGNIFICANT} {BUT_UNSEEN}"
    said = f"{took} Nothing significant: {NOTHING_SIGNIFICANT[0].lower()}{NOTHING_SIGNIFICANT[1:]}"
    return f"{said} Its own computing: {by_phase}." if by_phase else said


def _reason(one: Reason, situations: Sequence[Pattern]) -> str:
    is_part = one.detail and one.cause in _AT_PLACES and one.detail_share < MOST_OF_IT
    some = f" for {one.detail_share:.0%} of it" if is_part else ""
    parts = [(one.detail + some) * one.cause.info.detail_adds]
    if one.culprit and one.cause.info.says_culprit and one.culprit_share >= LEAST_CULPRIT:
        who = f"{one.culprit}{in_brackets(place(one.culprit_file, one.culprit_line))}"
        others = one.other_requests_share >= LEAST_CULPRIT
        if others or not one.detail.endswith(f" in {who}"):  # else it has been said
            parts.append(f"{one.cause.info.by} {who}{culprit_share(one)}")
    if one.cause is Cause.CPU_WAIT:
        rivals = [found for found in situations if found.kind in _CPU_USERS]
        parts.append("; ".join(map(_cpu_rivals, sorted(rivals, key=lambda found: -found.numbers["share"]))))
    where = ", ".join(filter(None, parts))
    for found in of_holders(one, situations):
        where += _Format().format("; they were {did:phrase} for {share:.0%} of it", **found.numbers)
        where += in_brackets(found.numbers["doing"])
    where += those_ahead(one, situations)
    return f"{cause_name(one.cause)} {amount(one.mean_ns)} ({one.share:.0%}){f': {where}' if where else ''}."


def _as_well(one: Reason, reasons: Sequence[Reason]) -> str:
    """What to change about the second of two causes that are nearly alike: to mend the first leaves nearly as much."""
    first = reasons[0]
    is_second = one is not first and one is reasons[1] and one.mean_ns >= NEARLY * first.mean_ns
    return f" What to change about it: {one.remedy.text}" if is_second and one.remedy.text != first.remedy.text else ""


def _cpu_rivals(found: Pattern) -> str:
    name, many, part = found.numbers["name"], found.numbers["processes"], f"for {found.numbers['share']:.0%} of it"
    if found.kind is Situation.CPU_QUOTA:
        return f"{part} {name} had run out"
    which = f" (process id {found.numbers['process_id']})" if many == 1 else f" ({many} of that name)" if many else ""
    waited = found.numbers["waited"].removeprefix(" in ")
    return f"{part} {_CPU_USERS[found.kind]} used the CPUs{f' that {waited} needed' if waited else ''}, chiefly {name}{which}"


def _computes(one: SimpleNamespace) -> str:
    at = in_brackets(place(one.file, one.line))
    runs = {"loop": "on the event loop", "thread": "on a worker thread", "process": "in a worker process"}[one.on]
    inside = ", outside its own code" * one.outside + (f", in {one.inside}" if one.inside else "")
    said = f"{one.function}{at} computes {runs}{inside}: {amount(one.mean_ns)} per request, in {one.per_request:.3g} "
    said += "stretch" if one.per_request == 1 else "stretches"
    said += f", most of it after {one.after}" if one.after else ""
    if one.stopped:
        said += f"; {counted(one.stopped, 'other request')} waited for it, {amount(one.stopped_ns)} in sum"
    return f"{said}."


def _timers(one: SimpleNamespace) -> str:
    logged = f" and {amount(one.logging_ns)} for log handlers" if one.logging_ns else ""
    said = (
        f"A timer around {one.function}{in_brackets(place(one.file, one.line))} reads {amount(one.read_ns)}, "
        f"{one.read_ns / one.own_ns:.0f} times the {amount(one.own_ns)} that it computes: it waits {amount(one.gil_ns)} for "
        f"the GIL{',' if logged else ' and'} {amount(one.run_queue_ns)} for a CPU{logged}."
    )
    if one.loop_share < NOT_THE_CAUSE:
        said += (
            f" asyncio is not the cause: the loop, its wake-ups and the order of collection are {one.loop_share:.0%}."
        )
    return said


# sentences by kind of situation that have parts of their own; each takes its numbers
_SITUATIONS: Final[dict[Situation, Callable[[Any], str]]] = {
    **dict.fromkeys(
        (Situation.MANY_JOBS, Situation.THREAD_HOPS),
        lambda one: (
            f"Each request handed {counted(one.per_request, 'job')} of {one.function} to a pool"
            + (
                f", one after another, {amount(one.mean_ns)} each: join them, or run them without a pool."
                if one.in_turn
                else "; where one call can ask for all of it, it would serve."
                if one.blocks
                else "; one batch would serve."
            )
        ),
    ),
    Situation.TIMERS: _timers,
    Situation.COMPUTES_ON_LOOP: _computes,
    Situation.COMPUTES_IN_WORKER: _computes,
    Situation.FAILED_REQUESTS: lambda one: (
        f"{one.requests:,} of {counted(one.of, 'request')} ended with {one.status}"
        f"{in_brackets(one.error)}: p50 {amount(one.p50_ns)}, p99 {amount(one.p99_ns)}"
        + (f"; the others: p50 {amount(one.others_p50_ns)}." if one.others_p50_ns else ".")
    ),
    Situation.LOOP_HELD: lambda one: (
        f"{'In other requests' if one.of_request else 'Outside any request'} {one.function}"
        f"{in_brackets(place(one.file, one.line))} blocked the event loop {counted(one.times, 'time')}, up to "
        f"{amount(one.longest_ns)}: a request that arrives then waits"
        + (", and when these arrived is not known." if one.of_request else ".")
    ),
}
# sentences of patterns; the words in braces are their numbers
_PATTERNS: Final = {
    Situation.NAGLE:
        "The last bytes of {answers:of answer} lay in this host's kernel until the client's ACK came, which takes 40 ms or "
        "more: TCP_NODELAY is off (Nagle's algorithm).",
    Situation.STREAMED:
        "{answers:of answer} came in parts: the first after {first_p50_ns:ms} (p50; p99 {first_p99_ns:ms}), the last "
        "{rest_p50_ns:ms} later (p50).",
    Situation.UNEXPLAINED: "Unexplained: {mean_ns:ms} ({share:.0%}); chiefly: {detail:or no signal covers it}.",
    Situation.OWN_WORK:
        "whywait itself took {mean_ns:ms} of each request ({share:.0%}), as its threads had the GIL or a CPU: no cause is named for it, "
        "and without tracing it is not there.",
    Situation.POOL_PER_REQUEST:
        "A pool was made for each request{where}: {startup_ns:ms} of each request are its start, and {shutdown_ns:ms} waiting "
        "for its end.",
    Situation.LOOP_BLOCKED: "{blockers:of request} blocked the loop for {blocked} others.",
    Situation.LOOP_TURNS:
        "Turns on the event loop: each request waited for {times:,.0f} short ones of {whose}, {mean_ns:ms} each.",
    Situation.SERIAL_COLLECTION:
        "Results of {job} were ready for {lay_ns:ms} per request in sum, while the thread that collects them waited for "
        "slower ones: handle each as it completes.",
    Situation.GIL_STARVATION:
        "GIL starvation by a loop that never idles: {waits:of time} a thread waited for the GIL, up to {longest_ns:ms} at a "
        "time, while the event loop ran one short callback after another and never slept.",
    Situation.LOCK_CONVOY:
        "A lock convoy: up to {most_waiting:of thread} at once waited for the {lock}, which passed from holder to holder up "
        "to {most_holders:of time} while one waited.",
    Situation.STRAGGLER:
        "Of {items:.0f} tasks that run together, half have ended after {half_ns:ms}; the last, {name}, takes {last_ns:ms}.",
    Situation.NATIVE_QUEUE:
        "Up to {most:of call} at once waited inside native code{where}, while its threads ran: calls of several requests "
        "queue for the same native threads there.",
    Situation.OVERSUBSCRIBED:
        "Oversubscribed native threads: while requests waited for a CPU, {wanted:.1f} threads of this process were runnable "
        "at once, on average, {native:.1f} of them in native libraries, and it may use {cpus:.2g}.",
    Situation.WAIT_CYCLE: "A cycle of waits: {first:thing}, and {second:thing}: {back}.",
    Situation.HOLDS_ONE:
        "A cycle of waits: {requests:of request} held a {one} of {pool} while they waited in {at} for another one of it: "
        "with as many of them as {one}s nobody goes on.",
    Situation.UNFINISHED:
        "{requests:of request} never ended: when recorded, the longest had been open for {longest_ns:ms}.",
    Situation.CONNECTIONS_HELD:
        "{called}",
    Situation.CALLERS:
        "Of it, by who called: {callers:each}.",
    Situation.SERIAL_AWAITS:
        "{times:.0f} times per request, one after another, {mean_ns:ms} in all: {what}. The longest takes "
        "{longest_ns:ms}.",
    Situation.RETRIES:
        "Tried again and again: {times:of pause} between tries per request, {mean_ns:ms} in all: {what}.",
    Situation.RATE_LIMIT:
        "A rate limiter sets the pace: {limiter} made each request wait {mean_ns:ms}, by the clock.",
    Situation.POLLING:
        "Polling: a loop asks again after each pause, {times:of pause} per request, {mean_ns:ms} in all: {what}.",
    Situation.SPINS:
        "Spinning: {where} goes round {times:,.0f} times per request and only yields in between (asyncio.sleep(0)), {mean_ns:ms} "
        "in all.",
    Situation.PACED:
        "A pace: the code pauses between what it sends, {times:of pause} per request, {mean_ns:ms} in all: {what}.",
    Situation.TIME_LIMIT:
        "A time limit of about {limit_ns:ms} ended the wait in {where}: requests {requests}, failed {failed}.",
    Situation.LIMIT_IN_VAIN:
        "A time limit of about {limit_ns:ms} around {what} had no effect: it ends no thread, and {times:of call} took "
        "{beyond_ns:ms} longer on average.",
    Situation.WINDOW:
        "A window: {task} waits {limit_ns:ms} in {where} for more to come, and requests wait with it.",
    Situation.INNER_LIMIT:
        "A limit inside each request: {items:.0f} of {name} went through {through:.0f} at a time ({where}); the last one "
        "waited {ns:ms} for its place.",
    Situation.STAMPEDE:
        "A stampede: up to {most} requests at once waited for the same thing ({what}), and went on together when it came; "
        "{alone} of {requests} did not have to.",
    Situation.STAMPEDE_WORK:
        "A stampede: up to {most} requests at once were in {what}, each for itself; {alone} of {requests} did not have to.",
    Situation.CLIENT_PER_REQUEST:
        "Clients are made in requests: {client}, {per_request:.3g} times per request, which takes {mean_ns:ms} of it.",
    Situation.LARGE_TRANSFER:
        "Large objects {handed} processes: {mean_ns:ms} of each request for {job} ({pickled_ns:ms} pickling and "
        "unpickling, {piped_ns:ms} in pipes).",
    Situation.CONSUMER:
        "A queue before {tasks:of task}: while a request waited{some}, {task} did {times:.1f} pieces of work, one after another, "
        "{mean_ns:ms} each ({doing}).{ahead}",
    Situation.BATCHES:
        "Batches: {task} answers several requests at once; while a request waited{some}, it did {times:.1f} pieces of work, one "
        "after another, {mean_ns:ms} each ({doing}).{ahead}",
    Situation.MESSAGES_IN_TURN:
        "A connection's messages are handled in turn: one that comes meanwhile waits until this one is done, which is not counted "
        "here. Give what takes long to a task of its own (asyncio.create_task), and receive the next.",
    Situation.BY_TASK:
        "{requests:,} of {among:of request} waited for {task}, a task of no request, {mean_ns:ms} each ({doing}).",
    Situation.CONNECTS:
        "{share:.0%} of the requests make a connection: {making_ns:ms} of {whole_ns:ms} (name look-up {look_up_ns:ms}, connect "
        "{connect_ns:ms}, TLS handshake {tls_ns:ms}, close {close_ns:ms}; the rest, {other_ns:ms}, is the answers).",
    Situation.ASKS_ITSELF: "This service asks itself over HTTP, in {where}: {address} is its own address.",
    Situation.SERVED_IN_TURN:
        "{share:.0%} of this wait ended with {what}, which another request had begun before: the server does one at a time.",
    Situation.ROW_HELD:
        "{share:.0%} of this wait ended as {who} did, which had begun before and was in {where} for longest: it probably had the "
        "row, or another lock.",
    Situation.COLD_START:
        "Cold start: the first {requests:of request} took {mean_ns:ms} on average, those after {others_ns:ms}: {of:phrase} "
        "({detail}). Do that at start-up, before the first request.",
    Situation.SLOWEST_DIFFER:
        "The slowest requests have another cause: {ns:ms} of the p95, {wall_ns:ms}, passed {of:phrase}{who}. {remedy}",
}  # fmt: skip
