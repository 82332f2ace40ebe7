"""The garbage collector: asked for, and coming by itself."""

import gc
from time import perf_counter_ns
from typing import Any

from analysis.causes import Cause
from benchmarks.truth.fault import around, fault
from benchmarks.truth.record import Part
from benchmarks.truth.work import Past, spanned

kept: list[Any] = []
pauses = Past()
_since: list[int] = [0]


def _on_collection(phase: str, _: dict[str, int]) -> None:
    if phase == "start":
        _since[0] = perf_counter_ns()
    else:
        pauses.add(_since[0], perf_counter_ns())


def _listen() -> None:
    if _on_collection not in gc.callbacks:
        gc.callbacks.append(_on_collection)


async def _empty(_: float) -> None:
    kept.clear()
    gc.set_threshold(700, 10, 10)
    if _on_collection in gc.callbacks:
        gc.callbacks.remove(_on_collection)


@fault(
    Cause.GC_PAUSE, "gc.collect() with many live objects", amounts=(100, 300, 900),
    unit="thousand objects", quick=True,
)  # fmt: skip
async def gc_asked_for(_: float) -> list[Part]:
    from_ns = perf_counter_ns()
    tidy_up()
    return [Part(Cause.GC_PAUSE, pauses.overlap_ns(from_ns, perf_counter_ns()))]


@spanned
def tidy_up() -> None:
    """What people do to save memory."""
    gc.collect()


@around(gc_asked_for, _empty)
async def fill(thousands: float) -> None:
    _listen()
    kept.extend([] for _ in range(int(thousands * 1_000)))


@fault(
    Cause.GC_PAUSE, "allocations that make the collector come often", amounts=(40, 100, 250),
    unit="thousand objects", requests=(5, 4, 3),
)  # fmt: skip
async def gc_by_itself(thousands: float) -> list[Part]:
    from_ns = perf_counter_ns()
    allocate(int(thousands * 1_000))
    to_ns = perf_counter_ns()
    paused_ns = pauses.overlap_ns(from_ns, to_ns)
    return [Part(Cause.GC_PAUSE, paused_ns), Part(Cause.COMPUTE, to_ns - from_ns - paused_ns)]


@spanned
def allocate(count: int) -> int:
    """Makes lists that hold lists; they die together at the end."""
    rows = [[[]] for _ in range(count // 2)]  # type: ignore[var-annotated]
    return len(rows)


@around(gc_by_itself, _empty)
async def be_eager(_: float) -> None:
    _listen()
    gc.set_threshold(2_000, 1, 1)
