"""What the tracer could not observe where these traces were made, in words."""

import pandas as pd

from whywait.tracer import schema

_MISSING = {
    schema.SIGNAL_RUN_QUEUE: "run-queue time (no schedstat on that machine): cpu_wait is part of unexplained",
    schema.SIGNAL_THREAD_CPU: "CPU time of threads: compute is inferred",
    schema.SIGNAL_SAMPLER: "what threads wait in (no sampler): gil_wait, and locks and calls that nobody traced, are "
    "part of unexplained",
    schema.SIGNAL_HOLDER: "who held the GIL",
    schema.SIGNAL_CPU_RIVALS: "who had the CPUs that threads waited for (no sampler): cpu_wait names nobody",
    schema.SIGNAL_EXECUTOR: "executors: pool waits are part of unexplained",
}


def unavailable(requests: pd.DataFrame) -> list[str]:
    """One sentence part for each signal that some request lacked."""
    traced = [set(signals) for signals in requests["signals"] if len(signals)]
    said = [text for signal, text in _MISSING.items() if any(signal not in found for found in traced)]
    if any(schema.SIGNAL_LOOP not in found and schema.SIGNAL_LOOP_CALLS in found for found in traced):
        said.append("when the loop slept (uvloop): loop_wakeup is part of unexplained")
    return said
