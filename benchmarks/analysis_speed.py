"""How long the analysis of a large trace takes, stage by stage, and how much memory: two checkouts in turns.

The trace is the notebook's recording, repeated: each copy has ids and times of its own, and is else the same.

    python -m benchmarks.analysis_speed [--copies 4] [--turns 3] [--before CHECKOUT] [--out PAGE.md]
"""

import argparse
import gzip
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
RECORDING: Final = ROOT / "notebooks" / "recording"
BETWEEN_NS: Final = 60 * 10**9  # from one copy's start to the next one's, longer than a copy
_ID: Final = re.compile(rb'"([0-9a-f]{8})((?:[0-9a-f]{24}|[0-9a-f]{8})")')
_TIME: Final = re.compile(rb'(UnixNano": ?")(\d+)"')
# what the pipeline calls in each stage; the judgement and the page are timed whole
STAGES: Final = {
    "spans": ("clean", "span_table", "recorded_activities", "find_requests", "guessed_activities", "joined", "with_waits", "request_table"),
    "path": ("nested_frames", "cut_pieces", "critical_path", "cut_segments"),
    "attribution": ("describe", "find_culprits", "_cause_table", "check_conservation", "_culprit_table"),
}  # fmt: skip
ORDER: Final = ("load", *STAGES, "other", "situations", "verdicts", "page")


def copied(text: bytes, number: int) -> bytes:
    """Return the trace with other ids, and later."""
    told = _ID.sub(lambda one: b'"%08x' % (int(one[1], 16) ^ (number * 0x9E3779B1 & 0xFFFFFFFF)) + one[2], text)
    return _TIME.sub(lambda one: b'%s%d"' % (one[1], int(one[2]) + number * BETWEEN_NS), told)


def write_trace(path: Path, copies: int) -> None:
    """Write the recording so many times."""
    parts = [gzip.decompress(file.read_bytes()) for file in sorted(RECORDING.glob("*.jsonl.gz"))]
    with path.open("wb") as out:
        for number in range(copies * len(parts)):
            out.write(copied(parts[number % len(parts)], number))


class Stopwatch:
    """CPU seconds of what it wraps, by stage; what is called inside another stage counts there."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(ORDER, 0.0)
        self.inside = 0.0

    def timed(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **more: Any) -> Any:
            outer, self.inside = self.inside, 0.0
            start = time.process_time()
            try:
                return call(*args, **more)
            finally:
                took = time.process_time() - start
                self.seconds[stage] += took - self.inside
                self.inside = outer + took

        return wrapped


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(trace: Path) -> dict[str, float]:
    """Analyse, judge and draw the trace once; return seconds by stage, and megabytes."""
    from whywait.analysis import pipeline
    from whywait.analysis.load import load_traces
    from whywait.analysis.report.html.report import page
    from whywait.analysis.verdicts import judgement

    watch, before_mb = Stopwatch(), peak_mb()
    for stage, names in STAGES.items():
        for name in names:
            if hasattr(pipeline, name):
                setattr(pipeline, name, watch.timed(stage, getattr(pipeline, name)))
    detectors = tuple(watch.timed("situations", lambda group, one=one: list(one(group))) for one in judgement.DETECTORS)
    judgement.DETECTORS = detectors  # type: ignore[misc]
    loaded = watch.timed("load", load_traces)(str(trace))
    spans, loaded_mb = len(loaded.spans), peak_mb()
    analysis = watch.timed("other", pipeline.analyze)(loaded)
    analysed_mb = peak_mb()
    watch.timed("verdicts", judgement.judge)(analysis)
    judged = dict(watch.seconds)
    start = time.process_time()
    page(analysis, "speed")
    return {**judged, "page": time.process_time() - start, "spans": float(spans), "loaded_mb": loaded_mb - before_mb,
            "analysed_mb": analysed_mb - before_mb, "peak_mb": peak_mb() - before_mb,
            "spans_stage": judged["spans"]}  # fmt: skip


def in_turns(trace: Path, checkouts: dict[str, Path], turns: int) -> dict[str, list[dict[str, float]]]:
    """Return what each checkout measured, each time in a fresh process."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
    for _ in range(turns):
        for name, checkout in checkouts.items():
            told = subprocess.run(
                [sys.executable, __file__, "--trace", str(trace)],
                env=os.environ | {"PYTHONPATH": str(checkout)}, cwd=checkout, check=True, capture_output=True, text=True,
            )  # fmt: skip
            found[name].append(json.loads(told.stdout))
    return found


def rows(found: dict[str, list[dict[str, float]]]) -> Iterator[str]:
    """The page's table: medians, and how many times faster the last checkout is."""
    names = list(found)
    yield f"| stage | {' | '.join(f'{name}, s' for name in names)} |{' times faster |' if len(names) > 1 else ''}"
    yield f"|---|{'---|' * len(names)}{'---|' if len(names) > 1 else ''}"
    keys = {stage: ("spans_stage" if stage == "spans" else stage,) for stage in ORDER}
    keys["**load, analysis and judgement**"] = tuple(keys[stage][0] for stage in ORDER if stage != "page")
    for title, parts in keys.items():
        medians = [statistics.median(sum(run[key] for key in parts) for run in runs) for runs in found.values()]
        ratio = f" {medians[0] / max(medians[-1], 1e-9):.1f} |" if len(names) > 1 else ""
        yield f"| {title} | {' | '.join(f'{one:.2f}' for one in medians)} |{ratio}"
    for title, key in (
        ("after loading", "loaded_mb"),
        ("after the analysis", "analysed_mb"),
        ("at the end", "peak_mb"),
    ):
        per_span = [
            statistics.median(run[key] * 1024 / run["spans"] for run in runs) for runs in found.values()
        ]  # fmt: skip
        ratio = f" {per_span[0] / per_span[-1]:.1f} |" if len(names) > 1 else ""
        yield f"| peak memory {title}, kB a span | {' | '.join(f'{one:.1f}' for one in per_span)} |{ratio}"


def page(copies: int, turns: int, before: Path | None) -> str:
    from benchmarks.command import machine_and_load

    checkouts = {**({f"before ({commit(before)})": before} if before else {}), "now": ROOT}
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "trace.jsonl")
        write_trace(trace, copies)
        found, size = in_turns(trace, checkouts, turns), trace.stat().st_size
    spans = int(found["now"][0]["spans"])
    whole = statistics.median(
        sum(run["spans_stage" if one == "spans" else one] for one in ORDER[:-1]) for run in found["now"]
    )
    return "\n".join([
        "# How fast the analysis is", "",
        (__doc__ or "").split("\n\n")[0] + " " + (__doc__ or "").split("\n\n")[1].replace("\n", " "), "",
        f"- {spans:,} spans, {size / 1e6:.0f} MB of JSON: {spans / whole:,.0f} spans a CPU second from the file to the verdicts",
        f"- CPU seconds (one core; a busy machine stretches them less than the clock's), medians of {turns} turns, each in a fresh process",
        f"- {datetime.now(UTC):%Y-%m-%d}", machine_and_load(), "", *rows(found),
    ])  # fmt: skip


def commit(checkout: Path) -> str:
    told = subprocess.run(["git", "-C", checkout, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return told.stdout.strip() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=4, help="of the recording")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--before", type=Path, default=None, help="another checkout, measured in turns with this one")
    parser.add_argument("--out", type=Path, default=None, help="a Markdown file to write as well")
    parser.add_argument("--trace", type=Path, default=None, help="measure this trace in this process, print JSON")
    options = parser.parse_args()
    if options.trace is not None:
        print(json.dumps(measured(options.trace)))
        return
    text = page(options.copies, options.turns, options.before)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
