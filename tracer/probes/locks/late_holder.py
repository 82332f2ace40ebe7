"""Who had a lock that somebody could not have in time: known once it is let go.

An acquire that takes a free lock writes nothing down, so while a lock is held nobody knows by whom. After a
time-out the lock's next release answers: between the two it has changed hands no more. Where the request
is exported before that, its wait names nobody.
"""

from contextlib import suppress
from typing import Any, Final

from whywait.tracer.records.lock_holds import Hold

_MOST: Final = 64  # waits of one lock whose holder is not known yet
# stands in line for those who gave up, so that the release is written down; no reading of the clock
ASKED: Final = -1
NOBODY: Final[list[list[Hold]]] = []  # of locks that nobody ever asked about: most of them


def ask_who_has(lock: Any, holds: list[Hold], end_ns: int) -> None:
    """Has the lock's next release added to the holds of a wait that gave up at `end_ns`.

    Called while the wait still stands in line: a release meanwhile has been written down already. Takes
    no lock: each step is one that the interpreter does not divide.
    """
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
    """Tells those who asked; called at a release, before the lock is let go."""
    with suppress(ValueError):  # there is none left
        while True:
            lock._waiting.remove(ASKED)
    with suppress(IndexError):
        while True:
            lock._asked.pop().append(hold)
