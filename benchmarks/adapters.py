"""What the adapters' phases cost a request of 8 XGBoost predicts, above all other probes.

One process, traced throughout, every span kept and written to a file. Blocks of requests take turns:
adapters off, off again (the noise floor), on. Reported: the median over blocks of each block's median,
and the ratio to the "off" of the same turn.

    python -m benchmarks.adapters [--turns 40] [--block 40] [--out benchmarks/results/adapters.md]
"""

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import whywait
from benchmarks.command import run
from whywait.tracer.adapters import registry

TABLES = {name: registry.table_of(name) for name in whywait.adapters.libraries()}
VARIANTS = {"off": False, "off again": False, "on": True}
PREDICTS = 8


def switch(*, on: bool) -> None:
    """Takes the adapters out of the running session, or puts them back."""
    for name, table in TABLES.items():
        if on:
            whywait.adapters.register(name, dict(table))
        else:
            whywait.adapters.unregister(name)


def works() -> dict[str, Callable[[], object]]:
    """What a request does eight times: a bare predict, and a predict of a small pipeline."""
    random = np.random.default_rng(1)
    rows = random.random((512, 21), dtype=np.float32)
    booster = xgboost.train(
        {"max_depth": 6, "nthread": 1, "seed": 1}, xgboost.DMatrix(rows, label=rows.sum(axis=1)), 200
    )
    frame = pd.DataFrame({"kind": [f"k{n % 7}" for n in range(512)], "load": random.random(512)})
    columns = ColumnTransformer([("kind", OneHotEncoder(), ["kind"]), ("load", StandardScaler(), ["load"])])
    model = xgboost.XGBRegressor(n_estimators=200, max_depth=6, n_jobs=1)
    pipeline = Pipeline([("encode", columns), ("model", model)]).fit(frame, frame["load"])
    few, small = rows[:64], frame.head(64)
    return {
        "Booster.inplace_predict of 64 rows": lambda: booster.inplace_predict(few),
        "Pipeline.predict of 64 rows (one-hot, scaling, XGBRegressor)": lambda: pipeline.predict(small),
    }


def measure(
    work: Callable[[], object], pool: ThreadPoolExecutor | None, turns: int, block: int
) -> dict[str, tuple[float, float]]:
    """Median ms of a request, and median ratio to "off", per variant."""

    def request() -> int:
        began = time.perf_counter_ns()
        with whywait.phase("request"):
            if pool is None:
                for _ in range(PREDICTS):
                    work()
            else:
                for job in [pool.submit(work) for _ in range(PREDICTS)]:
                    job.result()
        return time.perf_counter_ns() - began

    medians: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for turn in range(turns + 1):
        for name, on in VARIANTS.items():
            switch(on=on)
            median = statistics.median(request() for _ in range(block)) / 1e6
            if turn:  # the first warms up
                medians[name].append(median)
            time.sleep(0.02)
    return {
        name: (
            statistics.median(times),
            statistics.median(one / off for one, off in zip(times, medians["off"], strict=True)),
        )
        for name, times in medians.items()
    }


def outside_us(work: Callable[[], object], calls: int = 300) -> dict[str, float]:
    """Median µs of one call outside any request, per variant."""
    times: dict[str, list[int]] = {name: [] for name in VARIANTS}
    for _ in range(10):
        for name, on in VARIANTS.items():
            switch(on=on)
            for _ in range(calls // 10):
                began = time.perf_counter_ns()
                work()
                times[name].append(time.perf_counter_ns() - began)
    return {name: statistics.median(one) / 1e3 for name, one in times.items()}


def page(turns: int, block: int) -> str:
    """The result as Markdown, with its conditions."""
    lines = [
        "# What the adapters cost",
        "",
        "Made by `python -m benchmarks.adapters`; see its docstring for the method.",
        "",
        f"- when: {datetime.now(UTC):%Y-%m-%d}; Python {platform.python_version()}, {os.cpu_count()} CPUs, "
        f"{platform.machine()}; xgboost {xgboost.__version__}; load average {os.getloadavg()[0]:.1f} at the end",
        f"- {turns} turns of {block} requests per variant",
        "",
    ]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(4, "bench") as pool:
        whywait.start("bench", output=Path(folder))
        try:
            for what, work in works().items():
                for where, workers in (("one after the other", None), ("in a pool of 4", pool)):
                    lines += [
                        f"## {PREDICTS} × {what}, {where}",
                        "",
                        "| adapters | median ms | ratio |",
                        "|---|---|---|",
                    ]
                    for name, (ms, ratio) in measure(work, workers, turns, block).items():
                        lines.append(f"| {name} | {ms:.3f} | {ratio:.3f} |")
                    lines.append("")
                told = ", ".join(f"{name} {us:.1f}" for name, us in outside_us(work).items())
                lines += [f"One call outside any request, median µs: {told}.", ""]
        finally:
            switch(on=True)
            whywait.stop()
    return "\n".join(lines)


if __name__ == "__main__":
    run(__doc__, page, turns=40, block=40)
