"""A signal ends a coroutine whole, even when it comes while the loop is made or closed."""

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

from demo_service.driver.interruption import run_until_interrupted

SIGNALS = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]


def kill(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "raised"), SIGNALS)
def test_a_signal_while_it_waits_cancels_it(number: int, raised: type[BaseException]) -> None:
    unwound = []

    async def main() -> None:
        asyncio.get_running_loop().call_later(0.01, kill, number)
        try:
            await asyncio.sleep(60)
        finally:
            unwound.append(True)

    with pytest.raises(raised):
        run_until_interrupted(main)
    assert unwound == [True]


def early(make: Callable[..., asyncio.AbstractEventLoop], number: int) -> Callable[..., object]:
    def made(*arguments: object) -> asyncio.AbstractEventLoop:
        kill(number)
        return make(*arguments)

    return made


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("number", "raised"), SIGNALS)
def test_a_signal_before_there_is_a_loop_leaves_no_half_of_one(
    number: int, raised: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = type(asyncio.get_event_loop_policy())
    monkeypatch.setattr(policy, "new_event_loop", early(policy.new_event_loop, number))
    began = []

    async def main() -> None:
        began.append(True)

    with pytest.raises(raised):
        run_until_interrupted(main)
    assert began == []


def test_a_signal_after_the_coroutine_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    close = asyncio.BaseEventLoop.close

    def closing(loop: asyncio.BaseEventLoop) -> None:
        kill(signal.SIGINT)
        close(loop)

    monkeypatch.setattr(asyncio.BaseEventLoop, "close", closing)

    async def main() -> int:
        return 7

    with pytest.raises(KeyboardInterrupt):
        run_until_interrupted(main)


def test_without_a_signal_results_errors_and_handlers_are_as_ever() -> None:
    before = [signal.getsignal(number) for number, _ in SIGNALS]

    async def answer() -> int:
        return 7

    async def fail() -> None:
        raise ValueError("as ever")

    async def give_up() -> None:
        raise asyncio.CancelledError

    assert run_until_interrupted(answer) == 7
    with pytest.raises(ValueError, match="as ever"):
        run_until_interrupted(fail)
    with pytest.raises(asyncio.CancelledError):
        run_until_interrupted(give_up)
    assert [signal.getsignal(number) for number, _ in SIGNALS] == before
