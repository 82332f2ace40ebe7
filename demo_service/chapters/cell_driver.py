"""Drives one cell after the other (a mode at a number of clients), the two that answer the story's question first."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from demo_service.chapters.story_cells import BATCHED, THREADED
from demo_service.load import LoadResult, drive
from demo_service.plan import Bounds
from whywait.analysis.prediction.whatif import FEWEST
from whywait.analysis.text import counted

ROUNDS: Final = 3  # of the most clients
WARM_UP: Final = Bounds(seconds=3, requests=4)
_EXPORT_QUIET_S: Final = 1.2  # the exporter writes about once a second while it has something to write
_EXPORT_PATIENCE_S: Final = 15.0


def opening(modes: Sequence[str], clients: Sequence[int]) -> tuple[tuple[str, int], ...]:
    """A threaded mode and a batched one at the most clients: what the first answer compares. Empty unless both kinds
    are asked for."""
    first = [next((mode for mode in kind if mode in modes), "") for kind in (THREADED, BATCHED)]
    return tuple((mode, clients[-1]) for mode in first) if all(first) else ()


def in_order(modes: Sequence[str], clients: Sequence[int]) -> list[tuple[str, int]]:
    """All cells, `opening` first, the others as they are listed."""
    first = opening(modes, clients)
    return [*first, *((mode, count) for mode in modes for count in clients if (mode, count) not in first)]


async def drive_cells(
    cells: Sequence[tuple[str, int]], bounds: Bounds, url: str, traces: Path, show: Callable[[str], None]
) -> AsyncIterator[LoadResult]:
    """Yields the result of each cell once the service has written its traces; `show` is told what goes on."""
    warm: set[str] = set()
    most = max((clients for _, clients in cells), default=0)
    for number, (mode, clients) in enumerate(cells, start=1):
        where = f"{number}/{len(cells)}  {mode}, {counted(clients, 'client')}"
        if mode not in warm:
            show(f"{where}: warming up")
            await drive(url, mode, 1, WARM_UP, seed=99)
            warm.add(mode)
        answers = 0

        def answered(where: str = where) -> None:
            nonlocal answers
            answers += 1
            show(f"{where}: {answers} answers")

        # what a change would bring is predicted where the most clients waited: each of them must have waited again
        least = replace(bounds, least=min(bounds.requests, max(FEWEST, ROUNDS * clients)) if clients == most else 0)
        result = await drive(url, mode, clients, least, seed=clients, on_answer=answered)
        show(f"{where}: letting the service write its traces")
        await _exported(traces)
        yield result


def _bytes_in(traces: Path) -> int:
    return sum(file.stat().st_size for file in traces.glob("*.jsonl*"))


async def _exported(traces: Path) -> None:
    """Waits until the service has written the spans of a cell: the next one must not pay for them."""
    deadline_s = time.monotonic() + _EXPORT_PATIENCE_S
    size = -1
    while time.monotonic() < deadline_s:
        now = _bytes_in(traces)
        if now == size:
            return
        size = now
        await asyncio.sleep(_EXPORT_QUIET_S)
