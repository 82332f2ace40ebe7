"""How right is gil_wait? Request by request against a native yardstick, as a committed page.

python -m benchmarks.gil_truth > benchmarks/results/gil_truth.md      (needs gcc)
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks import command
from testbed.gil.measure import GilTruth, build_yardstick, measure

SECONDS: Final = 10.0
RUNS: Final = (
    ("cpu", "hog", "Python only; two others of its kind and a hog that computes 70% of the time"),
    ("cpu", "alone", "Python only; nobody else"),
    ("native", "hog", "Python and linear algebra with threads of its own; the same company"),
    ("native", "alone", "Python and linear algebra with threads of its own; nobody else"),
    ("socket", "hog", "Python and reads of a socket that answers after 4 ms; the same company"),
    ("socket", "alone", "Python and reads of a socket that answers after 4 ms; nobody else"),
)


def row(told: GilTruth, words: str) -> str:
    """One line of the table."""
    sure = told.found.causes.groupby("cause")["amount_ns"].sum() / told.wall_ns.sum()
    return (
        f"| {words} | {len(told.wall_ns)} | {sorted(told.wall_ns)[len(told.wall_ns) // 2] / 1e6:.1f} | "
        f"{told.share(told.true_ns):.1%} | {told.share(told.told_ns):.1%} | {told.error_ms(50):.3f} | "
        f"{told.error_ms(95):.2f} | {sure.get('unexplained', 0.0):.1%} |"
    )


def main() -> int:
    """Runs every kind and prints the page; 0."""
    print("# The GIL's part of a request, against a native yardstick\n")
    print("Made by `python -m benchmarks.gil_truth`. The yardstick is preloaded into the interpreter and times")
    print("each wait in `take_gil`; testbed/gil/yardstick.c is all of it. Errors are per request, in ms.\n")
    print(f"{command.machine()}\n")
    print("| requests of | requests | wall p50 ms | true GIL wait | told | error p50 | error p95 | unexplained |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        yardstick = build_yardstick(Path(folder))
        for kind, company, words in RUNS:
            told = measure(yardstick, Path(folder) / f"{kind}-{company}", kind, company, SECONDS)
            print(row(told, words), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
