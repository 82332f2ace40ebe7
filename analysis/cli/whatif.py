"""`whywait whatif`: what a change would bring, predicted from recorded requests."""

import json
from typing import TYPE_CHECKING, Annotated, Final

import typer

from whywait import analysis
from whywait.analysis.cli.sources import Endpoint, Service, SkipBadLines, Source, analysis_of
from whywait.analysis.cli.streams import examples, say, working
from whywait.analysis.errors import InputError
from whywait.analysis.text import amount, counted

if TYPE_CHECKING:
    from whywait.analysis.prediction.whatif import Batching, Prediction, Range

MS: Final = 1e6
EPILOG: Final = examples(
    "whywait whatif traces --pool default=16",
    "whywait whatif traces --without logging_wait --clients 32",
    "whywait whatif traces --faster score=2x --workers 2 --json",
    "whywait whatif traces --batch predict --p95-under 200",
)


def whatif(
    source: Source,
    pool: Annotated[
        list[str] | None, typer.Option(help="A pool's, connection pool's or limit's new size.", metavar="NAME=N")
    ] = None,
    shared: Annotated[
        list[str] | None,
        typer.Option(help="One pool of this size in place of those that each request makes.", metavar="NAME=N"),
    ] = None,
    workers: Annotated[int, typer.Option(help="N times as many processes.", min=1)] = 1,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Without this cause, or without this function's time.", metavar="CAUSE|FUNCTION"),
    ] = None,
    faster: Annotated[
        list[str] | None, typer.Option(help="A function so many times faster.", metavar="FUNCTION=2x")
    ] = None,
    together: Annotated[
        list[str] | None, typer.Option(help="A function's calls by one request, awaited at once.", metavar="FUNCTION")
    ] = None,
    batch: Annotated[
        list[str] | None,
        typer.Option(
            help="A function's jobs of one request, as one call (of another function, which takes several items).",
            metavar="FUNCTION[=OTHER]",
        ),
    ] = None,
    window: Annotated[
        float | None,
        typer.Option(help="With --batch: a batcher waits so long for items of several requests.", min=0, metavar="MS"),
    ] = None,
    size: Annotated[int | None, typer.Option(help="With --window: or for so many items.", min=1)] = None,
    p95_under: Annotated[
        float | None,
        typer.Option(
            help="With --batch: which window and size of a batcher keep the felt p95 under this.", min=0, metavar="MS"
        ),
    ] = None,
    release_before: Annotated[
        list[str] | None,
        typer.Option(help="Connections and locks given back before this function.", metavar="FUNCTION"),
    ] = None,
    clients: Annotated[int | None, typer.Option(help="With N clients that wait for their answers.", min=1)] = None,
    rate: Annotated[float | None, typer.Option(help="With R requests per second, at random moments.")] = None,
    switch_interval: Annotated[
        float | None, typer.Option(help="Threads ask for the GIL after so long: sys.setswitchinterval.", metavar="MS")
    ] = None,
    service: Service = None,
    endpoint: Endpoint = None,
    as_json_text: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    skip_bad_lines: SkipBadLines = False,
) -> None:
    """Predicts felt p50, p95 and throughput after a change, from recorded requests; refuses where they cannot tell."""
    pools, one_for_all = (
        {name: int(number) for name, number in _pairs(said, option)}
        for said, option in ((pool, "--pool"), (shared, "--shared"))
    )
    times = dict(_pairs(faster, "--faster"))
    recorded = analysis_of(source, service=service, skip_bad_lines=skip_bad_lines, endpoint=endpoint)
    with working("replaying the requests"):
        found = analysis.whatif(
            recorded,
            pools=pools,
            shared=one_for_all,
            workers=workers,
            without=without or (),
            faster=times,
            together=together or (),
            batch=batch or (),
            window_ns=None if window is None else window * MS,
            size=size,
            released=release_before or (),
            p95_under_ns=None if p95_under is None else p95_under * MS,
            clients=clients,
            rate=rate,
            switch_interval_ns=None if switch_interval is None else switch_interval * MS,
        )
    say(json.dumps(found.as_json(), indent=1) if as_json_text else _sentences(found))


def _pairs(words: list[str] | None, option: str) -> list[tuple[str, float]]:
    found = []
    for word in words or ():
        name, _, number = word.rpartition("=")
        try:
            found.append((name, float(number.removesuffix("x"))))
        except ValueError:
            found.append(("", 0.0))
        if not found[-1][0] or found[-1][1] <= 0:
            raise InputError(f"{option} {word}: expected a name and a number over 0, such as NAME=2")
    return found


def _sentences(found: "Prediction") -> str:
    load = "an open load" if found.clients is None else counted(found.clients, "client")
    lines = [f"Predicted from {found.requests:,} recorded requests, for {load} (95% interval):"]
    for name, one, scale, unit in (
        ("felt p50", found.p50, 1e6, " ms"), ("felt p95", found.p95, 1e6, " ms"), ("throughput", found.throughput, 1.0, "/s"),
    ):  # fmt: skip
        lines.append(f"  {name:<11}{_told(one, scale, unit)}")
    lines.append(f"The replay of the unchanged recording is within {100 * found.miss:.0f}% of what was recorded.")
    return "\n".join([*lines, *_batching(found.batching)])


def _batching(found: "Batching | None") -> list[str]:
    if found is None:
        return []
    lines = [
        f"A call of {name} takes {amount(found.call_ns[name])}, and {amount(found.item_ns[name])} more for each item."
        for name in found.call_ns
    ]
    how = "one call for all of a request's items"
    if found.window_ns is not None:
        how = f"a batcher that waits {amount(found.window_ns)} for items of several requests, or for {found.size:,} of them"
    keeps = {
        None: "",
        True: ", which keeps the felt p95 under that bound",
        False: ", which does not keep the felt p95 under that bound for sure, and nothing that was tried does",
    }
    return [*lines, f"The prediction is for {how}{keeps[found.keeps]}."]


def _told(one: "Range", scale: float, unit: str) -> str:
    before, after, low, high = (f"{value / scale:.3g}" for value in (one.before, one.after, one.low, one.high))
    return f"{before} → {after}{unit}  ({low} to {high})"
