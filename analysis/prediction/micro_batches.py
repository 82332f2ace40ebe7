"""A batcher: items of several requests in one call. One call at a time; what comes meanwhile is in the next one.

request 1   ~~~~ collect ~~~~~~~~~~~~~~~~~~~|        it waits for the window, for a call under way, and for its own
request 2          ~~~~ collect ~~~~~~~~~~~~|
batcher     |---- window ----|---- call ----|        from the first item on, or until there are `size`
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from whywait.analysis.errors import InputError
from whywait.analysis.prediction.batching import (
    Batch,
    Cost,
    call_of,
    collecting,
    cost_of,
    most_items,
    one_call_each,
    several,
)
from whywait.analysis.prediction.calibration import drawn, felt
from whywait.analysis.prediction.programs import Collect, Load, Program, Resources
from whywait.analysis.prediction.replay import Replay, Request, Thread, replay

WINDOWS_NS: Final = (0.0, 2e6, 5e6, 10e6, 20e6, 50e6)


class Policy(NamedTuple):
    """How long a batcher waits for more items, ns, and with how many it does not wait: more go into the next call."""

    window_ns: float
    size: int


class _Batcher:
    def __init__(self) -> None:
        self.waiting: list[tuple[Thread, int]] = []
        self.due = self.busy = False  # the window is over; a call is under way


class Batching(Replay):
    """A replay in which Collect hands items to a batcher of its process and function."""

    def __init__(
        self, policy: Policy, calls: Mapping[str, Callable[[int], Program]], resources: Resources, load: Load,
        programs: Sequence[Program], seed: int,
    ) -> None:  # fmt: skip
        super().__init__(resources, load, programs, seed)
        self.policy, self.calls = policy, calls
        self.batchers: defaultdict[tuple[int, str], _Batcher] = defaultdict(_Batcher)
        self.under_way: dict[Request, tuple[tuple[int, str], list[Thread]]] = {}

    def done_at_once(self, thread: Thread, step: Any) -> bool:
        if type(step) is not Collect:
            return super().done_at_once(thread, step)
        key = thread.request.process, step.function
        batcher = self.batchers[key]
        batcher.waiting.append((thread, step.items))
        if len(batcher.waiting) == 1:
            self.at(self.policy.window_ns, partial(self.window_over, key, thread))
        self.call(key)
        return False

    def go(self, thread: Any) -> None:
        if isinstance(thread, partial):
            thread()
        else:
            super().go(thread)

    def window_over(self, key: tuple[int, str], first: Thread) -> None:
        batcher = self.batchers[key]
        if batcher.waiting and batcher.waiting[0][0] is first:
            batcher.due = True
            self.call(key)

    def call(self, key: tuple[int, str]) -> None:
        """Begin a call where its time has come and none is under way."""
        batcher = self.batchers[key]
        full = sum(items for _, items in batcher.waiting) >= self.policy.size
        if batcher.busy or not batcher.waiting or not (batcher.due or full):
            return
        taken, items = 1, batcher.waiting[0][1]
        while taken < len(batcher.waiting) and items + batcher.waiting[taken][1] <= self.policy.size:
            items, taken = items + batcher.waiting[taken][1], taken + 1
        threads = [thread for thread, _ in batcher.waiting[:taken]]
        del batcher.waiting[:taken]
        batcher.busy, batcher.due = True, bool(batcher.waiting)  # what is left has waited
        request = Request(self.calls[key[1]](items), 0, key[0], self.now)
        self.under_way[request] = key, threads
        self.go(Thread(request, 0))

    def over(self, thread: Thread) -> None:
        key, threads = self.under_way.pop(thread.request, (None, []))
        if key is None:
            super().over(thread)
            return
        self.batchers[key].busy = False
        for one in threads:
            self.at(0, one)
        self.call(key)


@dataclass(frozen=True, slots=True)
class Way:
    """Changed requests, with the batcher that their items go to where there is one."""

    programs: Sequence[Program]
    policy: Policy | None = None
    costs: Mapping[str, Cost] = field(default_factory=dict)
    calls: Mapping[str, Callable[[int], Program]] = field(default_factory=dict)

    def felt(self, resources: Resources, load: Load, draw: int) -> tuple[float, float, float]:
        """Return p50, p95 and throughput of one replay of requests drawn from these."""
        made = Replay if self.policy is None else partial(Batching, self.policy, self.calls)
        return felt(replay(drawn(self.programs, load, draw), resources, load, seed=draw, made=made))


def ways(
    programs: Sequence[Program], recorded: Sequence[Program], said: Sequence[str], others: Sequence[Program] = ()
) -> list[Way]:
    """Return the ways to make one call of several: a call for each request, where it has several jobs, and batchers with
    windows and with sizes from a request's own items up to those of which the recording tells the cost."""
    costs, found = _batchers(programs, recorded, said, others)
    sizes, own = [max(most_items(programs, name) for name in costs)], list(programs)
    while sizes[-1] * 2 <= min(cost.most for cost in costs.values()):
        sizes.append(sizes[-1] * 2)
    for name, cost in costs.items():
        own = one_call_each(own, name, cost)
    tried = [found(Policy(window, size)) for size in sizes for window in WINDOWS_NS]
    return [Way(own, None, costs), *tried] if any(several(programs, name) for name in costs) else tried


def way(
    programs: Sequence[Program], recorded: Sequence[Program], said: Sequence[str], window_ns: float, size: int | None, clients: int | None,
    others: Sequence[Program] = (),
) -> Way:  # fmt: skip
    """Return a batcher with this window and size, by default as large as the recording tells. Raises InputError where so
    many clients could fill a call of which the recording does not tell the cost; None: an open load."""
    costs, found = _batchers(programs, recorded, said, others)
    most = min(cost.most for cost in costs.values())
    asked = size or most
    full = asked if clients is None else min(asked, clients * max(most_items(programs, name) for name in costs))
    if full > most:
        raise InputError(
            f"cannot tell what one call for {full:,} items costs: the recording tells it for up to {most:,}. Give a --size of "
            "no more, or record larger calls"
        )
    return found(Policy(window_ns, asked))


def _batchers(
    programs: Sequence[Program], recorded: Sequence[Program], said: Sequence[str], others: Sequence[Program]
) -> tuple[dict[str, Cost], Callable[[Policy], Way]]:
    """The costs by function, and what makes the way of a policy."""
    costs = {Batch.of(one).function: cost_of(recorded, one, others, alone=True) for one in said}
    steps = list(programs)
    for name in costs:
        steps = collecting(steps, name)
    calls = {name: call_of(programs, name, cost) for name, cost in costs.items()}
    return costs, lambda policy: Way(steps, policy, costs, calls)
