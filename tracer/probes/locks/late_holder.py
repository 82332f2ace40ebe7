"""The holder of a lock after an acquire timed out: named by the lock's next release, since no other thread has held
it in between. Where the request is exported before that, its wait names no holder."""

from contextlib import suppress
from typing import Any, Final

from whywait.tracer.records.lock_holds import Hold

_MOST: Final = 64  # waits of one lock with a holder that is not known yet
# an entry in the queue for timed-out waits, so that the release is recorded; not a reading of the clock
ASKED: Final = -1
NOBODY: Final[list[list[Hold]]] = []  # of locks without a timed-out acquire: most of them


def ask_who_has(lock: Any, holds: list[Hold], end_ns: int) -> None:
    """Add the lock's next release to the holds of a wait that timed out at `end_ns` and is still in the queue.
    Acquires no lock: the interpreter interrupts none of the steps."""
    if lock._asked is NOBODY:
        lock._asked = []
    if len(lock._asked) >= _MOST:
        return
    lock._asked.append(holds)
    lock._waiting.append(ASKED)
    since = next((one for one in lock._holds.copy() if one.end_ns > end_ns), None)
    if since is not None:
        answer(lock, since)


def answer(lock: Any, hold: Hold) -> None:
    """Add the holder to the waits that timed out; called at a release, before the lock is free."""
    with suppress(ValueError):  # there is none left
        while True:
            lock._waiting.remove(ASKED)
    with suppress(IndexError):
        while True:
            lock._asked.pop().append(hold)
