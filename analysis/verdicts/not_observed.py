"""What the tracer could not observe where these traces were made."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pandas as pd

from whywait.analysis.model import NO_ARRIVAL, NO_SIGNALS
from whywait.tracer import schema

_MISSING: Final = {
    schema.SIGNAL_RUN_QUEUE: "run-queue time (no schedstat on that machine): cpu_wait is part of unexplained",
    schema.SIGNAL_THREAD_CPU: "CPU time of threads: compute is inferred",
    schema.SIGNAL_SAMPLER: "thread states (no sampler): gil_wait, and locks and calls that no probe records, are "
    "part of unexplained",
    schema.SIGNAL_HOLDER: "the GIL's holder",
    schema.SIGNAL_CPU_RIVALS: "what used the CPUs that threads waited for (no sampler): cpu_wait names no culprit",
    schema.SIGNAL_EXECUTOR: "executors: pool waits are part of unexplained",
    schema.SIGNAL_LOOP: "when the loop slept (uvloop): loop_wakeup is part of unexplained",
    NO_ARRIVAL: "when they arrived (the server, worker or socket does not tell): what they waited before is in no request",
    NO_SIGNALS: "what threads and loops did (traces without whywait's signals): causes are inferred from spans alone",
}


@dataclass(frozen=True, slots=True)
class NotObserved:
    """A signal that was not observed for some requests."""

    signal: str  # SIGNAL_*, or NO_SIGNALS
    requests: int  # traced requests without it
    text: str  # what the signal is, and what follows where it is missing


def not_observed(requests: pd.DataFrame) -> list[NotObserved]:
    """Return the signals that some requests are without; () where every signal was observed, or without requests."""
    lacks = [signal for signals in requests["signals"] for signal in _lacks(set(signals))]
    return [NotObserved(one, lacks.count(one), text) for one, text in _MISSING.items() if one in lacks]


def _lacks(found: set[str]) -> Iterator[str]:
    if not found:
        yield NO_SIGNALS
        return
    if NO_ARRIVAL in found:
        yield NO_ARRIVAL
    for signal in _MISSING:
        # an executor's job outside any loop has no loop to observe
        if signal not in found and signal not in (NO_SIGNALS, NO_ARRIVAL) and (
            signal != schema.SIGNAL_LOOP or schema.SIGNAL_LOOP_CALLS in found
        ):  # fmt: skip
            yield signal
