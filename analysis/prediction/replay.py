"""Replays programs together: a discrete-event simulation of the queues for limits, GIL and CPUs.

CPUs are shared equally by what is runnable; of threads of others a Poisson number is, and its mean share counts. The GIL
is given in turns: a thread keeps it from one thing that it does to the next, and is asked to drop it after the switch
interval, if another waits. All else is first come, first served.
"""

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from math import exp, sqrt
from random import Random
from typing import Any, Final

from whywait.analysis.errors import InputError
from whywait.analysis.prediction.programs import (
    LOOP,
    OWN,
    POOL,
    Give,
    Join,
    Key,
    Load,
    Pause,
    Program,
    Replayed,
    Resources,
    Run,
    Start,
    Take,
)

_NEVER: Final = float("inf")
_ROUNDING_NS: Final = 1e-3
WAKES_NS: Final = 100_000  # a thread needs as long to wake, and to be on a CPU


def _is_thread(key: Key) -> bool:
    """Whether who has it is on a thread of its own: the loop's, or a pool's."""
    return key == LOOP or key[0] in (POOL, OWN)


class Request:
    __slots__ = ("begun", "client", "left", "process", "program", "waiting")

    def __init__(self, program: Program, client: int, process: int, now: float) -> None:
        self.program, self.client, self.process, self.begun = program, client, process, now
        self.left = [True] * len(program.activities)  # has not ended
        self.waiting: list[tuple[Thread, tuple[int, ...]]] = []


class Thread:
    """One activity under way."""

    __slots__ = ("activity", "asked", "at", "began", "finish", "gil", "needs", "on", "request")

    def __init__(self, request: Request, activity: int) -> None:
        self.request, self.activity, self.at = request, activity, 0
        self.needs, self.began, self.finish, self.gil, self.asked = 0.0, 0.0, _NEVER, False, 0.0
        self.on: Key = ""  # the loop or the pool whose thread it last was on


class _Cpus:
    """Equal shares. `work` is what a thread that was always runnable would have got until now."""

    def __init__(self, cpus: float, rivals: float) -> None:
        self.cpus, self.rivals, self.work, self.since, self.running = cpus, rivals, 0.0, 0.0, 0
        self.had_ns, self.wanted_ns = 0.0, 0.0
        self.ends: list[tuple[float, int, Thread]] = []
        self.rates: dict[int, float] = {}

    def to(self, now: float) -> None:
        self.work += (now - self.since) * self.rate
        self.had_ns += (now - self.since) * self.rate * self.running
        self.wanted_ns += (now - self.since) * self.running
        self.since = now

    @property
    def rate(self) -> float:
        if self.running not in self.rates:
            self.rates[self.running] = self._mean_rate(max(1, self.running))
        return self.rates[self.running]

    def _mean_rate(self, running: int) -> float:
        share, mean = exp(-self.rivals), 0.0  # share of the time that so many rivals are runnable
        for rivals in range(int(self.rivals + 8 * sqrt(self.rivals)) + 8):
            mean += share * min(1.0, self.cpus / (running + rivals))
            share *= self.rivals / (rivals + 1)
        return mean

    def next_end(self) -> float:
        while self.ends and self.ends[0][2].finish != self.ends[0][0]:
            heappop(self.ends)
        return self.since + max(0.0, self.ends[0][0] - self.work) / self.rate if self.ends else _NEVER


class Replay:
    """A replay under way."""

    def __init__(self, resources: Resources, load: Load, programs: Sequence[Program], seed: int) -> None:
        self.resources, self.load, self.programs = resources, load, programs
        self.random, self.number, self.now = Random(seed), count(), 0.0
        self.sent = 0
        self.events: list[tuple[float, int, Any]] = []
        self.cpus = _Cpus(resources.cpus, resources.rivals)
        self.free: dict[Key, int] = {}
        self.queues: dict[Key, deque[Thread]] = {}
        self.holder: list[Thread | None] = [None] * resources.processes
        self.wants: list[deque[Thread]] = [deque() for _ in range(resources.processes)]
        self.due = [_NEVER] * resources.processes  # when who holds the GIL drops it, if somebody waits
        self.going_on: Thread | None = None  # has the GIL still, between two things that its thread does
        self.after: deque[Thread] = deque()  # what that thread does next
        self.ended: list[tuple[float, float]] = []
        self.gil_wait_ns = 0.0

    # --- requests ---------------------------------------------------------------------------------
    def arrive(self, client: int) -> None:
        if self.sent == len(self.programs):
            return
        program = self.programs[self.sent]
        self.sent += 1
        request = Request(program, client, self.random.randrange(self.resources.processes), self.now)
        if self.load.rate is not None:
            self.at(self.random.expovariate(self.load.rate / 1e9), client + 1)
        self.go(Thread(request, 0))

    def at(self, after: float, what: Any) -> None:
        heappush(self.events, (self.now + after, next(self.number), what))

    def over(self, thread: Thread) -> None:
        request = thread.request
        request.left[thread.activity] = False
        if thread.activity == 0:
            self.ended.append((request.begun, self.now))
            if self.load.rate is None:
                self.at(self.load.think_ns, request.client)
        ready = [one for one in request.waiting if not any(request.left[other] for other in one[1])]
        request.waiting = [one for one in request.waiting if one not in ready]
        for one, _ in ready:
            self.go(one)

    # --- steps ------------------------------------------------------------------------------------
    def go(self, thread: Thread) -> None:
        """Do a thread's steps until one takes time."""
        steps = thread.request.program.activities[thread.activity]
        while thread.at < len(steps):
            step = steps[thread.at]
            thread.at += 1
            if not self.done_at_once(thread, step):
                return
        self.over(thread)

    def done_at_once(self, thread: Thread, step: Any) -> bool:
        kind = type(step)
        if kind is Run:
            thread.needs, thread.gil = step.ns, step.gil and self.resources.gil
            return step.ns <= 0 or self.compute(thread)
        if kind is Pause:
            if 0 < step.ns < WAKES_NS and self.going_on is not None and self.resources.gil:
                thread.needs, thread.gil = step.ns, True  # it is back before a thread that waits for the GIL has woken
                return self.compute(thread)
            if step.ns > 0:
                self.at(step.ns, thread)
            return bool(step.ns <= 0)
        if kind is Take:
            key = self.key(thread, step.key)
            thread.on = key if _is_thread(step.key) else thread.on
            return self.take(thread, key)
        if kind is Give:
            self.give(self.key(thread, step.key))
        elif kind is Start:
            self.go(Thread(thread.request, step.activity))
        elif kind is Join and any(thread.request.left[one] for one in step.activities):
            thread.request.waiting.append((thread, step.activities))
            return False
        return True

    def key(self, thread: Thread, key: Key) -> Key:
        own = isinstance(key, tuple) and key[0] == OWN
        return (id(thread.request) if own else thread.request.process, key)

    def take(self, thread: Thread, key: Key) -> bool:
        limit = self.resources.limits.get(key[1])
        if limit is None:
            return True
        free = self.free.get(key, limit)
        if free:
            self.free[key] = free - 1
        else:
            self.queues.setdefault(key, deque()).append(thread)
        return bool(free)

    def give(self, key: Key) -> None:
        if self.queues.get(key):
            after = self.queues[key].popleft()
            if self.going_on is not None and self.going_on.on == key:
                self.after.append(after)
            else:
                self.at(0, after)
        elif key in self.free:
            self.free[key] += 1

    # --- GIL and CPUs -----------------------------------------------------------------------------
    def compute(self, thread: Thread) -> bool:
        process = thread.request.process
        holder, wants = self.holder[process], self.wants[process]
        has_it = self.going_on is thread or (thread.on and self.going_on is not None and self.going_on.on == thread.on)
        if not thread.gil or (holder is None and (not wants or (has_it and self.now < self.due[process]))):
            self.run(thread)
            return False
        if not wants:
            self.due[process] = self.now + self.resources.interval_ns
            self.cpus.to(self.now)
            if holder is not None and holder.finish - self.cpus.work > self.resources.interval_ns:
                self.ends_after(holder, self.resources.interval_ns)
        self.want(thread)
        return False

    def want(self, thread: Thread) -> None:
        thread.asked = self.now
        self.wants[thread.request.process].append(thread)

    def run(self, thread: Thread) -> None:
        burst, process = thread.needs, thread.request.process
        if thread.gil:
            self.holder[process] = thread
            burst = min(burst, self.due[process] - self.now) if self.wants[process] else burst
        self.cpus.to(self.now)
        self.cpus.running += 1
        thread.began = self.cpus.work
        self.ends_after(thread, burst)

    def ends_after(self, thread: Thread, burst: float) -> None:
        thread.finish = self.cpus.work + burst
        heappush(self.cpus.ends, (thread.finish, next(self.number), thread))

    def computed(self) -> None:
        """The next burst on a CPU has ended."""
        self.cpus.to(self.now)
        _, _, thread = heappop(self.cpus.ends)
        self.cpus.running -= 1
        thread.needs -= thread.finish - thread.began
        thread.finish = _NEVER
        rest = thread.needs > _ROUNDING_NS
        if thread.gil:
            self.holder[thread.request.process] = None
            if rest:
                self.want(thread)
            else:
                self.goes_on(thread)
            self.pass_on(thread.request.process)
        elif not rest:
            self.go(thread)

    def goes_on(self, thread: Thread) -> None:
        """What its thread does next needs no turn for the GIL."""
        self.going_on = thread
        self.go(thread)
        while self.after:
            self.go(self.after.popleft())
        self.going_on = None

    def pass_on(self, process: int) -> None:
        wants = self.wants[process]
        if self.holder[process] is None and wants:
            self.gil_wait_ns += self.now - wants[0].asked
            self.due[process] = self.now + self.resources.interval_ns
            self.run(wants.popleft())

    # --- time -------------------------------------------------------------------------------------
    def all(self) -> None:
        if self.load.rate is None:
            for client in range(min(self.load.clients, len(self.programs))):
                self.at(self.random.random() * self.load.think_ns, client)
        else:
            self.at(0, 0)
        while True:
            timed = self.events[0][0] if self.events else _NEVER
            ends = self.cpus.next_end()
            if timed == ends == _NEVER:
                return
            self.now = min(timed, ends)
            if ends < timed:
                self.computed()
                continue
            what = heappop(self.events)[2]
            if isinstance(what, int):
                self.arrive(what)
            else:
                self.go(what)


def replay(
    programs: Sequence[Program], resources: Resources, load: Load, *, seed: int = 1, whole: bool = False,
    made: Callable[[Resources, Load, Sequence[Program], int], Replay] = Replay,
) -> Replayed:  # fmt: skip
    """Return what clients felt when these requests arrive one after another at a service with these resources.

    The first and the last of them are not counted, unless the whole is asked for: the queues have not filled yet, or
    nothing follows. Raises InputError where they wait for one another."""
    run = made(resources, load, programs, seed)
    run.all()
    if len(run.ended) < len(programs):
        raise InputError(
            "cannot predict: in a replay its requests wait for one another in a circle, as what they hold, and for how long, "
            "was not recorded well enough; see whywait report for what they wait for"
        )
    ended = sorted(run.ended, key=lambda one: one[1])
    edge = 0 if whole else min(max(load.clients if load.rate is None else 0, len(ended) // 10), len(ended) // 3)
    counted = ended[edge : len(ended) - edge] if load.rate is None else ended[edge:]
    span = counted[-1][1] - counted[0][1] if len(counted) > 1 else 0.0
    throughput = (len(counted) - 1) * 1e9 / span if span > 0 else 0.0
    cpu_wait = 1 - run.cpus.had_ns / run.cpus.wanted_ns if run.cpus.wanted_ns else 0.0
    felt = tuple(end - begin for begin, end in counted)
    return Replayed(felt, throughput, run.gil_wait_ns / max(1, len(ended)), cpu_wait)
