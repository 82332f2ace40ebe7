"""Runs a coroutine that Ctrl-C or SIGTERM ends by cancelling it, at whatever moment they come."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


def run_until_interrupted(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What the coroutine of `make` returned; for the main thread. A signal raises only after the loop has been
    closed: KeyboardInterrupt after SIGINT, SystemExit(143) after SIGTERM."""
    received: list[int] = []
    cancel: Callable[[], object] | None = None

    def stop(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if cancel is not None:
            cancel()

    async def whole() -> T:
        nonlocal cancel
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        cancel = lambda: loop.call_soon_threadsafe(task.cancel)  # noqa: E731 - as short as it is clear
        try:
            if received:  # before there was anything to cancel
                raise asyncio.CancelledError
            return await make()
        finally:
            cancel = None

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        result = asyncio.run(whole())
    except asyncio.CancelledError:
        if not received:
            raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if received:
        raise KeyboardInterrupt if received[0] == signal.SIGINT else SystemExit(143)
    return result
