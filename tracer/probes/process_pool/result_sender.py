"""Finds the process of a pool that sent a result, by the bytes that each process wrote. Pure."""

from collections import deque
from collections.abc import Iterable, Mapping

from whywait.tracer.host.process_clocks import WorkerClock
from whywait.tracer.records.process_job import Passage

_OPEN = 8  # results whose sender may become known by a later reading


class Senders:
    """What each process of a pool has written that no result accounts for yet."""

    def __init__(self, heard_of: Iterable[int] = ()) -> None:
        self.heard_of = set(heard_of)  # workers that have started
        self.renew()

    def renew(self) -> None:
        """Forget what was written, and results without a sender."""
        self._read: dict[int, int] = {}
        self._left: dict[int, int] = {}
        self.open: deque[Passage] = deque(maxlen=_OPEN)  # results without a sender so far

    def read(self, clocks: Mapping[int, WorkerClock]) -> None:
        """Takes in how many bytes each process has written so far, maybe just after its result was here."""
        written = {worker: one.written for worker, one in clocks.items()}
        if self._read.keys() - written.keys():  # one ended, and may have sent what comes now
            self._read, self._left = {}, {}
        self._left = {
            worker: self._left.get(worker, 0) + total - self._read.get(worker, total)
            for worker, total in written.items()
        }
        self._read = written
        self._settle()

    def came(self, passage: Passage) -> None:
        """A result came, before the latest reading: finds its worker, and those of earlier ones that were open."""
        self.open.append(passage)
        self._settle()

    def sent_by(self, passage: Passage, worker: int) -> None:
        """The worker sent the result."""
        passage.worker = worker
        self.heard_of.add(worker)

    def _settle(self) -> None:
        while any(self._settled(one) for one in tuple(self.open)):
            pass

    def _settled(self, one: Passage) -> bool:
        exact = [worker for worker, left in self._left.items() if left == one.length]
        found = exact or [worker for worker, left in self._left.items() if left >= one.length]
        if len(found) == 1:
            self.sent_by(one, *found)
            left = self._left[one.worker] - one.length
            # what the worker wrote besides, its job wrote; a whole result may be one that is on its way
            self._left[one.worker] = left if left >= one.length else 0
            self.open.remove(one)
            return True
        alike = [other for other in self.open if other.length == one.length]
        if not exact or len(alike) < len(exact):
            return False
        for other in alike:  # they came at once, and stay without a sender
            self.open.remove(other)
        self._left.update(dict.fromkeys(exact, 0))
        return True
