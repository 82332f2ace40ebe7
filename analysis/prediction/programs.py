"""What a request does, as a program: it computes, waits, takes and gives back what is limited, starts and joins work.

    root   run 0.6 | start job | join job ~~~~~~~~~~~~~~~~~~~~~~~~ | run 0.4        (takes the loop while it runs)
    job    take pool ~~~~~~~~~~ run 0.1 | sleep 20 | run 0.2 | give pool

No queue is part of a program: queues arise again when programs are replayed together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

Key = str | tuple[Any, ...]
"""Names what is limited. A tuple that begins with OWN is made anew by each request, such as a pool of its own."""
OWN: Final = "own"
# with which the others begin
POOL: Final = "pool"
CONNECTIONS: Final = "connections"
LOCK: Final = "lock"  # or a limit
LOOP: Final = "loop"


class Run(NamedTuple):
    """Computes, with the GIL or without it."""

    ns: float
    gil: bool = True
    names: tuple[str, ...] = ()  # of the functions that it is in
    job: bool = False
    near: tuple[str, ...] = ()  # it began or ended with a wait in them: it may be theirs in part


class Pause(NamedTuple):
    """Waits for what is no queue of this service: a timer, an answer, a system call."""

    ns: float
    names: tuple[str, ...] = ()
    cause: str = ""
    queued: bool = False  # it waited for the GIL, a CPU or the loop: queues that arise again, at least in part
    near: tuple[str, ...] = ()  # as of Run


class Take(NamedTuple):
    """Waits until one of what is limited is free, first come, first served."""

    key: Key


class Give(NamedTuple):
    """Gives it back."""

    key: Key


class Start(NamedTuple):
    """Starts an activity of the same request."""

    activity: int


class Join(NamedTuple):
    """Waits until these activities have ended."""

    activities: tuple[int, ...]


class Collect(NamedTuple):
    """Hands items to a batcher and waits for the call that they are in."""

    function: str
    items: int


Step = Run | Pause | Take | Give | Start | Join | Collect
Steps = tuple[Step, ...]


class Program(NamedTuple):
    """A request: the steps of its activities, the root first."""

    activities: tuple[Steps, ...]
    jobs: tuple[
        tuple[str, int], ...
    ] = ()  # by activity: a job's function ("": no job), and its items (0: not recorded)


@dataclass(frozen=True, slots=True)
class Resources:
    """What a machine and each process of the service have. What is not in `limits` has no limit."""

    limits: Mapping[Key, int] = field(default_factory=dict)
    cpus: float = float("inf")
    gil: bool = True  # False: as without one
    processes: int = 1
    rivals: float = 0.0  # threads of others that are runnable, on average: they come and go at random
    interval_ns: float = 5e6  # sys.getswitchinterval()


@dataclass(frozen=True, slots=True)
class Load:
    """Clients that send their next request `think_ns` after an answer; or, with a rate, requests at random moments."""

    clients: int = 1
    think_ns: float = 0.0
    rate: float | None = None  # per second


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay gave, without its warm-up."""

    felt_ns: tuple[float, ...]
    throughput: float  # per second
    gil_wait_ns: float = 0.0  # of all threads, per request
    cpu_wait_share: float = 0.0  # of the time on a CPU and for one
