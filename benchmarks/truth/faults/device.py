"""A device that is taken by others. Where there is no GPU and no CuPy, a stand-in for CuPy tells of a recorded one."""

import asyncio
import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter_ns

from benchmarks.truth.fault import LEAD_S, around, fault, helped_by
from benchmarks.truth.faults.pools import kept, pool
from benchmarks.truth.record import Part, Who, who
from benchmarks.truth.work import Past, spanned
from whywait.analysis.causes import Cause

STAND_IN = Path(__file__).parents[1] / "stand_in"
OWN_S = 0.002
copied = Past()


@spanned
def copy_in(seconds: float, request: str) -> tuple[int, int, int]:
    """Copies to the device; when that was asked for, and from when to when the device did it."""
    asked_ns = perf_counter_ns()
    begin_ns, end_ns = kept["cupy"].asarray(seconds)
    copied.add(begin_ns, end_ns, request)
    return asked_ns, begin_ns, end_ns


def _is_real() -> str:
    return "a real CuPy is here: what it copies takes what it takes" if find_spec("cupy") else ""


@fault(
    Cause.GPU_QUEUE, "a copy to a (recorded) device that another request's copy keeps",
    off_loop=True, phase="host-to-device", quick=True, why_not_here=_is_real,
)  # fmt: skip
async def device_taken(ms: float) -> list[Part]:
    run = asyncio.get_running_loop().run_in_executor
    asked_ns, begin_ns, end_ns = await run(pool("threads", 8), copy_in, OWN_S, "")
    by = who(copy_in, copied.chief(asked_ns, begin_ns), within=(Who("asarray", "", 0, 0),))
    return [Part(Cause.GPU_QUEUE, begin_ns - asked_ns, by), Part(Cause.GPU_COPY, end_ns - begin_ns)]


@helped_by(device_taken)
async def keep_device(ms: float, request: str) -> None:
    await asyncio.get_running_loop().run_in_executor(pool("threads", 8), copy_in, ms / 1_000 + LEAD_S, request)


@around(device_taken)
async def import_library(_: float) -> None:
    if "cupy" not in kept:
        sys.path.append(str(STAND_IN))
        kept["cupy"] = importlib.import_module("cupy")
