"""The explanation of a stretch in which a thread was partly off CPU, from samples."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from whywait.tracer.offcpu.cpu_contention import Division
from whywait.tracer.offcpu.gil_holders import Holder, Ran


class OffCpu(NamedTuple):
    """The parts of a stretch; None where a part is unknown, and no holder where none is known."""

    on_cpu_ns: int | None = None
    run_queue_ns: int | None = None
    gil_ns: int | None = None
    # one standard error: of `gil_ns`, or of a wait whose end lies between two samples
    error_ns: int | None = None
    turning_ns: int | None = None  # of `gil_ns`: an event loop held the GIL that never idled
    lock_ns: int | None = None  # another futex: a lock, or the threads of a native pool
    call_ns: int | None = None  # another system call
    call: str | None = None  # the call most often seen
    samples: int | None = None
    gil_holders: Sequence[Holder] = ()
    cpu_users: Division | None = None  # what used the CPUs while the thread was in the run queue
    ran: Sequence[Ran] = ()  # the user's functions on its stack while it computed, longest first
    called: Sequence[Ran] = ()  # and while it slept in a call
    call_of: tuple[str, str] = ("", "")  # the library's function that these called in most samples, and its package


UNSEEN: Final = OffCpu()
