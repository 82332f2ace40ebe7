"""Tries broken inputs on every reader and renderer, for a time, and says what went wrong.

python -m benchmarks.fuzz [--seconds 60] [--first 1]     a number that is told makes the same input again
"""

import argparse
import resource
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from testbed.fuzz.trial import trial


def place_of(error: BaseException) -> str:
    """Return what was raised, and the last place of the package in its traceback."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if "/analysis/" in one.filename]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__} at {where}: {str(error)[:100]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--first", type=int, default=1, help="number of the first input")
    parser.add_argument("--inputs", type=int, default=10**9, help="at most so many")
    options = parser.parse_args()
    ended: Counter[str] = Counter()
    wrong: dict[str, list[int]] = {}
    began, slowest, number = time.monotonic(), (0.0, 0), options.first
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < began + options.seconds and number < options.first + options.inputs:
            start = time.monotonic()
            try:
                ended[trial(number, Path(folder))] += 1
            except Exception as error:
                ended["wrong"] += 1
                wrong.setdefault(place_of(error), []).append(number)
            slowest = max(slowest, (time.monotonic() - start, number))
            number += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{number - options.first:,} inputs from {options.first}: " + ", ".join(f"{n:,} {k}" for k, n in ended.items())
    )
    print(
        f"{time.monotonic() - began:.0f} s; slowest {slowest[0]:.2f} s (input {slowest[1]}); peak memory {peak:,.0f} MB"
    )
    for what, numbers in sorted(wrong.items(), key=lambda one: -len(one[1])):
        print(f"{len(numbers):5} × {what}; inputs {', '.join(map(str, numbers[:3]))}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
