"""How often a comparison of two runs calls an endpoint slower: equal runs, and runs with a known change.

python -m benchmarks.diff_power [--pairs 400] [--out PAGE.md]
"""

import argparse
import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.command import machine_and_load, publish, takes_out
from whywait.analysis.causes import CAUSES
from whywait.analysis.changes.whole import Shift, shift
from whywait.analysis.measure.percentile_composition import Sample

Walls = np.ndarray[Any, np.dtype[np.float64]]
Draw = Callable[[np.random.Generator, int], Walls]
TYPICAL_NS: Final = 50e6


def steady(spread: float) -> Draw:
    """Independent requests, lognormal, with this coefficient of variation."""
    sigma = np.sqrt(np.log1p(spread**2))
    return lambda dice, count: TYPICAL_NS * np.exp(dice.normal(0, sigma, count))


def swinging(alike: float, spread: float = 0.3) -> Draw:
    """Each request resembles the one before: AR(1) in the logarithm."""

    def draw(dice: np.random.Generator, count: int) -> Walls:
        noise, level = dice.normal(0, spread, count), np.empty(count)
        level[0] = noise[0]
        for at in range(1, count):
            level[at] = alike * level[at - 1] + np.sqrt(1 - alike**2) * noise[at]
        return TYPICAL_NS * np.exp(level)

    return draw


def two_kinds(dice: np.random.Generator, count: int) -> Walls:
    """One of ten requests takes ten times as long."""
    return steady(0.3)(dice, count) * np.where(dice.random(count) < 0.1, 10, 1)


def sample(walls: Walls) -> Sample:
    """Return a sample as the comparison makes it of requests in order of time."""
    order = np.argsort(walls, kind="stable")
    times = np.round(walls[order]).astype(np.int64)
    amounts = np.zeros((len(walls), len(CAUSES)), dtype=np.int64)
    amounts[:, 0] = times
    return Sample(np.arange(len(walls)).astype(object), amounts, times, np.ones(len(walls)), np.argsort(order))


def told(found: list[Shift]) -> str:
    if any(one.slower for one in found):
        return "slower"
    return "not slower" if all(one.excluded for one in found) else "cannot tell"


def pairs(dice: np.random.Generator, draw: Draw, times: float, count: int, *, requests: int = 200, runs: int = 1,
          endpoints: int = 1, apart: float = 0.0) -> Iterator[str]:  # fmt: skip
    """Yield what is said of each pair of sides; the runs of a side differ by `apart` (standard deviation)."""

    def side(factor: float) -> list[Sample]:
        return [sample(draw(dice, requests) * factor * np.exp(dice.normal(0, apart))) for _ in range(runs)]

    for _ in range(count):
        yield told([shift(side(1), side(times), endpoints) for _ in range(endpoints)])


CASES: Final[tuple[tuple[str, Draw, dict[str, Any]], ...]] = (
    ("steady, variation 0.2", steady(0.2), {}),
    ("steady, variation 0.3", steady(0.3), {}),
    ("steady, variation 0.6", steady(0.6), {}),
    ("one of ten requests takes ten times as long", two_kinds, {}),
    ("each like the one before, 0.5", swinging(0.5), {}),
    ("each like the one before, 0.83", swinging(0.83), {}),
    ("the same, 50 requests a run", swinging(0.83), {"requests": 50}),
    ("ten endpoints, variation 0.3", steady(0.3), {"endpoints": 10}),
    ("three runs a side, alike, variation 0.3", steady(0.3), {"runs": 3}),
    ("three runs a side that differ by 5%, variation 0.3", steady(0.3), {"runs": 3, "apart": 0.05}),
    ("one run a side, and runs differ by 5%, variation 0.3", steady(0.3), {"apart": 0.05}),
)


def recorded() -> Iterator[tuple[str, Walls]]:
    """Yield the times of the requests of the notebook's recording, in order of time."""
    for file in sorted((Path(__file__).parents[1] / "notebooks" / "recording").glob("*.jsonl.gz")):
        spans = [
            span
            for line in gzip.decompress(file.read_bytes()).splitlines()
            for resource in json.loads(line)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
            if span.get("kind") == 2
        ]
        spans.sort(key=lambda one: int(one["startTimeUnixNano"]))
        walls = [float(int(one["endTimeUnixNano"]) - int(one["startTimeUnixNano"])) for one in spans]
        yield file.name.split(".")[0], np.array(walls)


def halves() -> Iterator[str]:
    """The first half of a recorded run against its second half: one service, and a load that may not be steady."""
    for name, walls in recorded():
        half = len(walls) // 2
        found = shift([sample(walls[:half])], [sample(walls[half : 2 * half])], 1)
        yield f"| {name} | {half} | {found.ratio:.2f}× [{found.low:.2f}, {found.high:.2f}] | {told([found])} |"


def table(count: int, requests: int) -> Iterator[str]:
    yield "| service | equal: called slower | equal: cannot tell | +10% found | +25% found |"
    yield "|---|---|---|---|---|"
    for number, (name, draw, more) in enumerate(CASES):
        dice = np.random.default_rng([2026, number])
        equal, ten, more_still = (
            Counter(pairs(dice, draw, times, count, **{"requests": requests, **more})) for times in (1, 1.1, 1.25)
        )
        shares = equal["slower"], equal["cannot tell"], ten["slower"], more_still["slower"]
        yield f"| {name} | {' | '.join(f'{one / count:.1%}' for one in shares)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=400, help="of each kind")
    parser.add_argument("--requests", type=int, default=200, help="of each run")
    takes_out(parser)
    options = parser.parse_args()
    text = "\n".join([
        "# What a comparison of two runs can tell", "", (__doc__ or "").split("\n\n")[0], "",
        f"`whywait diff --fail-if-slower` on all requests of an endpoint (analysis/changes/whole.py), {options.pairs:,} pairs of each "
        f"kind, {options.requests} requests a run. Its percentiles add at most 0.1% of false alarms.", machine_and_load(), "",
        *table(options.pairs, options.requests), "",
        "How runs differ cannot be seen in one of them: the last row is what several runs a side are for.", "",
        "The recorded runs of the notebook, first half against second half:", "",
        "| run | requests | second half / first | told |", "|---|---|---|---|", *halves(),
    ])  # fmt: skip
    publish(text, options.out)


if __name__ == "__main__":
    main()
