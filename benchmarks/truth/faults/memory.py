"""The garbage collector: asked for, and coming by itself."""

import gc
from typing import Any

from benchmarks.truth.fault import around, fault
from benchmarks.truth.meter import parts_of, read, since
from benchmarks.truth.record import Part, who
from benchmarks.truth.work import spanned
from whywait.analysis.causes import Cause

kept: list[Any] = []


async def _empty(_: float) -> None:
    kept.clear()
    gc.set_threshold(700, 10, 10)
    gc.collect()


@fault(
    Cause.GC_PAUSE, "gc.collect() with many live objects", amounts=(100, 300, 900),
    unit="thousand objects", quick=True,
)  # fmt: skip
async def gc_asked_for(_: float) -> list[Part]:
    before = read()
    tidy_up()
    return parts_of(since(before), who(tidy_up))


@spanned
def tidy_up() -> None:
    """What people do to save memory."""
    gc.collect()


@around(gc_asked_for, _empty)
async def fill(thousands: float) -> None:
    kept.extend([] for _ in range(int(thousands * 1_000)))


@fault(
    Cause.GC_PAUSE, "allocations that make the collector come often", amounts=(40, 100, 250),
    unit="thousand objects", requests=(5, 4, 3),
)  # fmt: skip
async def gc_by_itself(thousands: float) -> list[Part]:
    before = read()
    allocate(int(thousands * 1_000))
    return parts_of(since(before), who(allocate))


@spanned
def allocate(count: int) -> int:
    """Makes lists that hold lists; they die together at the end."""
    rows = [[[]] for _ in range(count // 2)]  # type: ignore[var-annotated]
    return len(rows)


@around(gc_by_itself, _empty)
async def be_eager(_: float) -> None:
    gc.set_threshold(2_000, 1, 1)
