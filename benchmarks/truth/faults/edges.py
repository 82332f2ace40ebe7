"""Where a trace begins and where it ends: an app that makes no spans itself, the last requests before the end."""

import signal

from benchmarks.truth.fault import PLAIN, around, fault
from benchmarks.truth.faults.locks import sleep_in_worker
from benchmarks.truth.faults.outside import pause
from benchmarks.truth.faults.pools import close_all
from benchmarks.truth.record import Part
from whywait.analysis.causes import Cause


@fault(
    Cause.BLOCKING_IO, "a sleep in a worker thread, in a Starlette app that has no spans of its own",
    path=PLAIN, quick=True,
)  # fmt: skip
async def without_framework(ms: float) -> list[Part]:
    return await sleep_in_worker.inject(ms)


@fault(
    Cause.AWAIT_IO, "a short timer, in the last requests before a signal ends the service", amounts=(6, 8, 10),
    requests=(3, 3, 3), last=True, quick=True,
)  # fmt: skip
async def before_the_end(ms: float) -> list[Part]:
    return await pause.inject(ms)


@around(before_the_end)
async def close_shop(_: float) -> None:
    close_all()  # what is killed waits for none of them


def leave() -> None:
    """Ends the service as a server ends that has shut down on a signal: it raises the signal again, which kills."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)
