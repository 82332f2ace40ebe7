"""What the tracer could not observe where these traces were made, in words."""

import pandas as pd

from analysis.remedies import NOT_OBSERVED
from tracer import schema

_MISSING = {
    schema.SIGNAL_RUN_QUEUE: "run-queue time (no schedstat on that machine): cpu_wait is part of unexplained",
    schema.SIGNAL_THREAD_CPU: "CPU time of threads: compute is inferred",
    schema.SIGNAL_EXECUTOR: "executors: pool waits are part of unexplained",
}


def unavailable(requests: pd.DataFrame) -> list[str]:
    """One sentence part for each signal that some request lacked, and for each that no version has yet."""
    traced = [set(signals) for signals in requests["signals"] if len(signals)]
    said = [text for signal, text in _MISSING.items() if any(signal not in found for found in traced)]
    if any(schema.SIGNAL_LOOP not in found and schema.SIGNAL_LOOP_CALLS in found for found in traced):
        said.append("when the loop slept (uvloop): loop_wakeup is part of unexplained")
    later = ", ".join(dict.fromkeys(NOT_OBSERVED.values()))
    said.append(f"not recorded by this version, so part of unexplained: {later}")
    return said
