"""What is changed: pairs of cells, and the words in which the change is told to `whatif`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.whatif.cell import Cell
from benchmarks.whatif.load import Load


@dataclass(frozen=True, slots=True)
class Case:
    """A change from one cell to another."""

    before: str
    after: str
    change: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.before}-{self.after}"


def _cell(
    name: str, shape: str, clients: int = 1, rate: float | None = None, workers: int = 1, **settings: Any
) -> Cell:
    return Cell(name, shape, Load(clients, rate), settings, workers)


CELLS: Final = {
    one.name: one
    for one in (
        # jobs that sleep for 20 ms in a pool
        _cell("sleep4", "pool_sleep", 12), _cell("sleep8", "pool_sleep", 12, pool=8), _cell("sleep2", "pool_sleep", 12, pool=2),
        _cell("sleep_half", "pool_sleep", 12, sleep=0.5), _cell("sleep_few", "pool_sleep", 3), _cell("sleep_rate", "pool_sleep", rate=120),
        # jobs of Python in a pool: 8 ms of the GIL
        _cell("python4", "pool_python", 6), _cell("python1", "pool_python", 6, pool=1), _cell("python_half", "pool_python", 6, python=0.5),
        _cell("python_two", "pool_python", 6, workers=2), _cell("python_few", "pool_python", 2), _cell("python_rate", "pool_python", rate=70),
        # jobs of native code without the GIL in a pool
        _cell("native1", "pool_native", 4, pool=1), _cell("native2", "pool_native", 4, pool=2),
        _cell("native_half", "pool_native", 4, pool=1, native=0.5),
        # Python on the loop: 8 ms, and 10 ms of a timer
        _cell("loop", "loop_python", 4), _cell("loop_half", "loop_python", 4, python=0.5),
        _cell("loop_two", "loop_python", 4, workers=2), _cell("loop_one", "loop_python", 1), _cell("loop_rate", "loop_python", rate=70),
        # a lock of the loop, of threads, of a slow log handler; a semaphore
        _cell("lock", "async_lock", 4), _cell("unlocked", "async_lock", 4, lock=False), _cell("lock_many", "async_lock", 8),
        _cell("threads", "thread_lock", 6, pool=6), _cell("threads_free", "thread_lock", 6, pool=6, lock=False),
        _cell("logged", "logged", 6, pool=6), _cell("silent", "logged", 6, pool=6, log=False),
        _cell("gate3", "semaphore", 8), _cell("gate6", "semaphore", 8, permits=6), _cell("gate1", "semaphore", 8, permits=1),
        # connections of a client; a service behind, asked three times
        _cell("connections2", "connections", 6), _cell("connections6", "connections", 6, connections=6),
        _cell("behind", "downstream", 3, connections=20), _cell("behind_half", "downstream", 3, connections=20, downstream=0.5),
        _cell("behind_none", "downstream", 3, connections=20, downstream=0),
        _cell("behind_together", "downstream", 3, connections=20, together=True),
        # four jobs for each request; ten rows in several calls or in one; a little of all
        _cell("fan4", "fan_out", 4), _cell("fan8", "fan_out", 4, pool=8),
        _cell("split4", "batch", 4, jobs=4), _cell("split6", "batch", 4, jobs=6), _cell("one_call", "batch", 4),
        _cell("mixed", "mixed", 4, connections=20), _cell("mixed_half", "mixed", 4, connections=20, python=0.5),
        _cell("mixed_two", "mixed", 4, connections=20, workers=2), _cell("mixed_few", "mixed", 1, connections=20),
        # changes that were added after the replay was last changed: two at once, a rate, a smaller pool, other clients
        _cell("sleep8_many", "pool_sleep", 20, pool=8), _cell("gate_rate", "semaphore", rate=100), _cell("threads2", "thread_lock", 6, pool=2),
        _cell("fan_few", "fan_out", 2), _cell("behind_many", "downstream", 8, connections=20),
        # a pool for each request or one for all; a permit held too long; a call for each request or a batcher's
        _cell("own", "own_pool", 4), _cell("one_pool", "own_pool", 4, pool=8, shared=True),
        _cell("held", "held", 8), _cell("early", "held", 8, early=True),
        _cell("each", "items", 8), _cell("joined", "items", 8, window=2), _cell("joined_long", "items", 8, window=10),
        # threads ask for the GIL after half a millisecond
        _cell("python_often", "pool_python", 6, interval=0.5),
    )
}  # fmt: skip

CASES: Final = (
    Case("sleep4", "sleep8", {"pools": {"work": 8}}), Case("sleep8", "sleep4", {"pools": {"work": 4}}),
    Case("sleep4", "sleep2", {"pools": {"work": 2}}), Case("sleep4", "sleep_half", {"faster": {"fetch_report": 2}}),
    Case("sleep4", "sleep_few", {"clients": 3}), Case("sleep_few", "sleep4", {"clients": 12}),
    Case("sleep4", "sleep_rate", {"rate": 120}),
    Case("python4", "python1", {"pools": {"work": 1}}), Case("python1", "python4", {"pools": {"work": 4}}),
    Case("python4", "python_half", {"faster": {"score": 2}}), Case("python4", "python_two", {"workers": 2}),
    Case("python4", "python_few", {"clients": 2}), Case("python_few", "python4", {"clients": 6}),
    Case("python4", "python_rate", {"rate": 70}),
    Case("native1", "native2", {"pools": {"work": 2}}), Case("native2", "native1", {"pools": {"work": 1}}),
    Case("native1", "native_half", {"faster": {"digest": 2}}),
    Case("loop", "loop_half", {"faster": {"compute": 2}}), Case("loop", "loop_two", {"workers": 2}),
    Case("loop", "loop_one", {"clients": 1}), Case("loop_one", "loop", {"clients": 4}), Case("loop", "loop_rate", {"rate": 70}),
    Case("lock", "unlocked", {"without": ["lock_wait"]}), Case("lock", "lock_many", {"clients": 8}),
    Case("threads", "threads_free", {"without": ["lock_wait"]}), Case("logged", "silent", {"without": ["logging_wait"]}),
    Case("gate3", "gate6", {"pools": {"semaphore": 6}}), Case("gate6", "gate3", {"pools": {"semaphore": 3}}),
    Case("gate3", "gate1", {"pools": {"semaphore": 1}}),
    Case("connections2", "connections6", {"pools": {"httpx": 6}}),
    Case("behind", "behind_half", {"faster": {"ask": 2}}), Case("behind", "behind_none", {"without": ["ask"]}),
    Case("behind", "behind_together", {"together": ["ask"]}),
    Case("fan4", "fan8", {"pools": {"work": 8}}), Case("fan8", "fan4", {"pools": {"work": 4}}),
    Case("split4", "one_call", {"batch": ["predict"]}), Case("split6", "one_call", {"batch": ["predict"]}),
    Case("mixed", "mixed_half", {"faster": {"compute": 2}}), Case("mixed", "mixed_two", {"workers": 2}),
    Case("mixed", "mixed_few", {"clients": 1}), Case("mixed_few", "mixed", {"clients": 4}),
    Case("sleep4", "sleep8_many", {"pools": {"work": 8}, "clients": 20}), Case("gate3", "gate_rate", {"rate": 100}),
    Case("threads", "threads2", {"pools": {"work": 2}}), Case("fan4", "fan_few", {"clients": 2}),
    Case("behind", "behind_many", {"clients": 8}),
    Case("own", "one_pool", {"shared": {"own": 8}}), Case("held", "early", {"released": ["settle"]}),
    Case("each", "joined", {"batch": ["predict"], "window_ns": 2e6, "size": 16}),
    Case("each", "joined_long", {"batch": ["predict"], "window_ns": 10e6, "size": 16}),
    Case("python4", "python_often", {"switch_interval_ns": 0.5e6}),
)  # fmt: skip
