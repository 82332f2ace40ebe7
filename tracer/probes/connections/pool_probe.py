"""The probe of one library's connection pools, or locks: it patches the methods that an entry names, once they are
imported."""

import functools
import inspect
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

from whywait.tracer.adapters.late_patches import LatePatches, owner_of
from whywait.tracer.host.introspection import take_this_frame_out
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.recorder import safely
from whywait.tracer.probes.connections.turns import FAILED, Turns
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo

_Args = tuple[Any, ...]


def _class_name(pool: Any) -> str:
    return f"{type(pool).__module__.partition('.')[0]} {type(pool).__name__}"


class ConnectionPool(NamedTuple):
    """One class of pools. Methods may be functions or coroutine functions; their names are dotted and complete.

    acquire |~~~~~~ waits for its turn ~~~~~~|-- connects --|  ...  release |
    """

    pool: str  # the class: "mylib.pool.Pool"
    acquire: str  # a method of the pool that returns a connection: "mylib.pool.Pool.acquire"
    release: str  # after it the connection is free for others; in a module that `acquire` needs
    size: Callable[[Any], int]  # of a pool: how many may be held at once; 0: any number
    knob: str  # what a user changes to enlarge it: "max_size of create_pool"
    name: Callable[[Any], str] = _class_name  # of a pool, without secrets
    connects: tuple[
        str, ...
    ] = ()  # what `acquire` calls when its turn came, unless it raises: then no others are waited for
    # what stands for the connection in the result of `acquire`, and in the arguments of `release`, `self` first
    taken: Callable[[Any], Any] = lambda connection: connection
    given_back: Callable[[_Args], Any] = lambda args: args[1]
    makes: bool = False  # `connects` does nothing but make a connection
    grows: bool = False  # others make connections while `acquire` waits
    reads: tuple[str, ...] = ()  # private names that the functions above need
    made: str = ""  # a method that each new pool calls; `__init__`, unless the library reads its signature


class NamedLock(NamedTuple):
    """One class of locks that stand for a name, such as a file's: objects, threads and processes share it. Those who wait
    ask again and again, with pauses. Methods may be functions or coroutine functions; their names are dotted and complete.
    """

    acquire: str  # a method of the lock; it raises or returns False where it did not get it: "mylib.lock.Lock.acquire"
    release: str  # after it the lock is free for others
    lock: Callable[[Any], str]  # of an object: what it is the lock of, such as a path
    is_held: Callable[[Any], bool] = lambda _: False  # after a release: whether it was acquired more often
    name: Callable[[Any], str] = _class_name  # of an object, without what it is the lock of

    @property
    def package(self) -> str:
        return self.acquire.partition(".")[0]


class PoolProbe:
    """Watches the pools and locks of one library. A `whywait.tracer.probes.probe.Probe`."""

    needs: Final[tuple[str, ...]] = ()  # to look for names would import the library

    def __init__(self, name: str, *pools: ConnectionPool | NamedLock) -> None:
        self.name = name
        self._pools = pools
        self.later: Final = tuple(
            name
            for one in pools
            for name in (
                one.acquire, one.release, *((*one.connects[:1], *one.reads) if isinstance(one, ConnectionPool) else ()),
            )
        )  # fmt: skip

    def available(self) -> bool:
        """Whether the library is installed."""
        return any(find_spec(one.acquire.partition(".")[0]) is not None for one in self._pools)

    def install(self, _: Session) -> Undo:
        """Patch the methods of the pools, now or when they are imported."""
        turns, table = Turns(), dict[str, _Entry]()
        for row in self._pools:
            if isinstance(row, NamedLock):
                table[row.acquire] = _Entry(self.name, row, turns.ask, turns.asked)
                table[row.release] = _Entry(self.name, row, turns.gives_back, turns.gave_back)
                continue
            table[row.made or f"{row.pool}.__init__"] = _Entry(self.name, row, None, turns.made)
            table[row.acquire] = _Entry(self.name, row, turns.begin, turns.end)
            table[row.release] = _Entry(self.name, row, None, turns.release)
            table |= {name: _Entry(self.name, row, turns.connects, turns.connected) for name in row.connects}
        patches = LatePatches(self.name, table, _patched)
        patches.install()
        return patches.close


class _Entry(NamedTuple):
    """What is recorded before and after the calls of one method."""

    probe: str
    row: ConnectionPool | NamedLock
    before: Callable[[Any, _Args], Any] | None
    after: Callable[[Any, Any, _Args, Any], None] | None

    def do(self, record: Callable[..., Any] | None, *args: Any) -> Any:
        """Record something while a session runs. Never raises."""
        if recorders.active is None or record is None:
            return None
        return safely(self.probe, record, self.row, *args)


def _patched(owner: Any, name: str, entry: _Entry) -> Undo | None:
    if owner is owner_of(entry.row.acquire) and owner_of(entry.row.release) is None:
        raise AttributeError(f"{entry.row.release} does not exist here")
    patches = Patches()
    patches.replace(owner, name, _around(getattr(owner, name), entry))
    return patches.undo


def _around(plain: Any, entry: _Entry) -> Any:
    do, before, after = entry.do, entry.before, entry.after

    @functools.wraps(plain)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        begun = do(before, args)
        try:
            found = await plain(*args, **kwargs)
        except BaseException as error:
            do(after, begun, (*args, *kwargs.values()), FAILED)
            take_this_frame_out(error)
            raise
        do(after, begun, (*args, *kwargs.values()), found)
        return found

    @functools.wraps(plain)
    def call(*args: Any, **kwargs: Any) -> Any:
        begun = do(before, args)
        try:
            found = plain(*args, **kwargs)
        except BaseException as error:
            do(after, begun, (*args, *kwargs.values()), FAILED)
            take_this_frame_out(error)
            raise
        do(after, begun, (*args, *kwargs.values()), found)
        return found

    return awaited if inspect.iscoroutinefunction(inspect.unwrap(plain)) else call
