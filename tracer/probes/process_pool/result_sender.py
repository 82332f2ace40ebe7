"""Pure: which process of a pool sent a result. A result does not say; the bytes that each process wrote do."""

from collections.abc import Mapping

from whywait.tracer.records.process_job import Sent

_LOOKS = 3  # a process that ended takes its account with it: then its result stays without a sender


class Senders:
    """What each process of a pool has written that no result accounts for yet."""

    def __init__(self) -> None:
        self._read: dict[int, int] = {}
        self._left: dict[int, int] = {}
        self._open: list[Sent] = []
        self._known: set[int] = set()  # those that sent a result
        self._in_doubt = False  # one that sent none so far has ended: what came since may be its own

    def look(self, written: Mapping[int, int]) -> None:
        """Takes in how many bytes each process has written so far.

        One may not be done with its own account of a result that is here already: this look then tells.
        """
        for worker, total in written.items():
            before = self._read.get(worker, total)
            if total > before:
                self._left[worker] = self._left.get(worker, 0) + total - before
        self._in_doubt = bool(self._read.keys() - written.keys() - self._known)
        self._known &= written.keys()
        self._read = dict(written)
        self._left = {worker: left for worker, left in self._left.items() if worker in written}
        for one in self._open:
            one.looks += 1
        self._settle()
        self._open = [one for one in self._open if one.looks < _LOOKS]

    def came(self, result: Sent) -> None:
        """A result came, after the latest look: finds its sender, and those of earlier ones that were open."""
        if self._in_doubt:
            return
        self._open.append(result)
        if len(self._read) == 1 and min(self._read.values()) >= result.length:
            result.workers = tuple(self._read)
            self._account(result)
        else:
            self._settle()

    def forget(self) -> None:
        """Drops what was written so far: no result of now can account for it."""
        self._left, self._open = {}, []

    def _settle(self) -> None:
        while self._open and any(self._settled(one) for one in list(self._open)):
            pass
        for one in self._open:
            one.workers = one.workers or self._fitting(one)

    def _settled(self, one: Sent) -> bool:
        exact = tuple(worker for worker, left in self._left.items() if left == one.length)
        found = exact or self._fitting(one)
        if len(found) != 1:
            return False
        one.workers = found
        self._account(one)
        return True

    def _fitting(self, one: Sent) -> tuple[int, ...]:
        return tuple(worker for worker, left in self._left.items() if left >= one.length)

    def _account(self, one: Sent) -> None:
        (worker,) = one.workers
        self._known.add(worker)
        left = self._left.get(worker, 0) - one.length
        # what it wrote besides, its job wrote; what would make a whole result may be one that is on its way
        self._left[worker] = left if left >= one.length else 0
        self._open.remove(one)
