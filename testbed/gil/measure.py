"""Compares what whywait says of the GIL with a native yardstick, request by request."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from whywait import analysis
from whywait.analysis.model import Analysis

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


def can_build() -> bool:
    """Whether there is what the yardstick needs: a C compiler and glibc."""
    return shutil.which("gcc") is not None and sys.platform.startswith("linux")


def build_yardstick(folder: Path) -> Path:
    """Compiles the yardstick and returns it."""
    made = folder / "yardstick.so"
    source = HERE / "yardstick.c"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
    return made


@dataclass(frozen=True)
class GilTruth:
    """One run: per request the true and the told GIL wait and the wall time, in ns.

    `reads_ns` is of all its socket reads together how long until what they read was sent, and until they had it.
    """

    true_ns: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    told_ns: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    wall_ns: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    found: Analysis
    reads_ns: tuple[int, int]

    def error_ms(self, percentile: float) -> float:
        """A percentile of the absolute error per request."""
        return float(np.percentile(np.abs(self.told_ns - self.true_ns), percentile)) / 1e6

    def share(self, of: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> float:
        """An amount's part of all requests' wall time."""
        return float(of.sum()) / float(self.wall_ns.sum())

    @property
    def running(self) -> float:
        """The part of their time for which requests did not lack a CPU: 1 on a machine of one's own."""
        causes = self.found.causes
        lacked_ns = float(causes.loc[causes["cause"] == "cpu_wait", "amount_ns"].sum())
        return 1 - lacked_ns / float(self.wall_ns.sum())


def measure(yardstick: Path, output: Path, kind: str, company: str, seconds: float) -> GilTruth:
    """Runs requests of a kind ("cpu", "native", "socket") in company ("hog", "alone", "others")."""
    ran = subprocess.run(
        [sys.executable, "-m", "testbed.gil.requests", yardstick, output, kind, company, str(seconds)],
        env={**os.environ, "LD_PRELOAD": str(yardstick), "OMP_NUM_THREADS": "2"},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = analysis.analyze(output)
    requests = found.requests.sort_values("start_ns")
    number = requests.groupby("endpoint").cumcount()
    printed = json.loads(ran.stdout)
    true = {(name, at): ns for name, of in printed["gil_ns"].items() for at, ns in enumerate(of)}
    waited = found.causes[found.causes["cause"] == "gil_wait"].groupby("request_id")["amount_ns"].sum()
    told = requests["request_id"].map(waited).fillna(0).astype("int64")
    key = pd.MultiIndex.from_arrays([requests["endpoint"], number])
    return GilTruth(
        np.array([true[one] for one in key], dtype=np.int64),
        told.to_numpy(dtype=np.int64),
        requests["wall_ns"].to_numpy(dtype=np.int64),
        found,
        (sum(sent for sent, _ in printed["reads_ns"]), sum(had for _, had in printed["reads_ns"])),
    )
