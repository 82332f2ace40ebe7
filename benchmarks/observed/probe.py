"""Runs the programs on this interpreter, traced, and prints what of each was found.

    python -m benchmarks.observed.probe OUTPUT LOOP [--platform gVisor|macOS] [--only NAME ...]

Prints one JSON object: the interpreter, its signals, and for each program the truth, the amounts by cause
and evidence (ns), and who was named for its cause.
"""

import argparse
import asyncio
import json
import platform
import time
from pathlib import Path
from typing import Any

from benchmarks.observed.hiding import PLATFORMS, hide
from benchmarks.observed.program import PROGRAMS, Loop
from whywait.tracer.schema import SIGNAL_NATIVE_CORE


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("loop", choices=("asyncio", "uvloop"))
    parser.add_argument("--platform", choices=PLATFORMS)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    if options.platform:
        hide(options.platform)
    import whywait
    from benchmarks.observed import in_threads, machine, on_loop  # noqa: F401 - enter their programs
    from whywait.tracer.config import Config
    from whywait.tracer.hotpath import recorder

    factory: Loop = asyncio.SelectorEventLoop
    if options.loop == "uvloop":
        import uvloop

        factory = uvloop.Loop
    chosen = [one for one in PROGRAMS if options.only is None or one.name in options.only]
    whywait.start("observed", config=Config(output=options.output))
    assert recorder.active is not None
    sampler = recorder.active.sampler
    deadline_s = time.monotonic() + 10
    while sampler is not None and not sampler.header().sweeps and time.monotonic() < deadline_s:
        time.sleep(0.02)
    time.sleep(0.7)  # the exporter has taken notice of it
    truths = {}
    for one in chosen:
        truths[one.name] = one.run(factory)
        time.sleep(0.05)
    whywait.stop()
    print(json.dumps({"python": platform.python_version(), **_found(options.output, truths)}))


def _found(output: Path, truths: dict[str, int]) -> dict[str, Any]:
    from whywait import analysis

    found = analysis.analyze(output)
    programs = {}
    for one in PROGRAMS:
        if one.name not in truths:
            continue
        endpoint = found.causes["endpoint"].isin([one.name, f"POST /{one.name}", f"GET /{one.name}"])
        rows = found.causes[endpoint]
        amounts: dict[str, dict[str, int]] = {}
        for (cause, evidence), amount in rows.groupby(["cause", "evidence"])["amount_ns"].sum().items():
            amounts.setdefault(str(cause), {})[str(evidence)] = int(amount)
        named = found.culprits[found.culprits["endpoint"].isin([one.name]) & (found.culprits["cause"] == one.cause)]
        by_name = named.groupby("culprit")["ns"].sum()
        programs[one.name] = {
            "truth_ns": truths[one.name],
            "amounts": amounts,
            "culprit": str(by_name.idxmax()) if len(by_name) else "",
        }
    # which core records is nothing that is observed
    signals = sorted({signal for row in found.requests["signals"] for signal in row} - {SIGNAL_NATIVE_CORE})
    return {"signals": signals, "programs": programs}


if __name__ == "__main__":
    main()
