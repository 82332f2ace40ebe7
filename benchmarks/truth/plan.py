"""Which cells are run: a cell is one fault (or pair, healthy shape, program) at one intensity and seed."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from benchmarks.truth import faults
from benchmarks.truth.fault import FAULTS, HIGH, INTENSITIES, MIDDLE
from benchmarks.truth.healthy import SHAPES

assert faults.__all__
LOOPS: Final = ("asyncio", "uvloop")
SEEDS: Final = (1, 2, 3, 4, 5)
FAULT, BESIDE, PAIR, NULL, PROGRAM = "fault", "beside", "pair", "null", "program"
ARRIVAL: Final = "arrival"
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "waiting": ("pools", "locks", "loop", ARRIVAL, "collectors"),
    "computing": ("gil", "cpu", "memory"),
    "moving": ("transfer", "work_of_its_own", "outside", "device", "edges"),
}
QUICK, EVERY_FAULT, SOME_FAULTS = "quick", "every fault", "fallen faults"
BESIDE_GROUP, NULL_GROUP, PROGRAM_GROUP = "pairs and beside", "nulls", "programs"
# two faults in one request, one after the other; one with a helper comes first, while that is at work
PAIRS: Final = (
    ("pool_too_small", "slow_logging"),
    ("lock_held", "downstream_slow"),
    ("gc_asked_for", "sleep_in_worker"),
    ("anyio_tokens", "blocked_by_itself"),
    ("pool_per_request", "sleep_in_worker"),
    ("pool_taken", "downstream_slow"),
    ("slow_logging", "pause"),
    ("lock_convoy", "downstream_slow"),
    ("blocked_by_callback", "condition"),
    ("semaphore_held", "compute_in_worker"),
    ("gpu_lock", "pause"),
    ("body_comes_slowly", "pool_too_small"),
)
NULL_REQUESTS, PROGRAMS, PROGRAM_REPEATS = 40, 16, 1


@dataclass(frozen=True, slots=True)
class Cell:
    """`name` is the fault's, the pair's (joined by +), the shape's, or the program's seed."""

    kind: str
    name: str
    intensity: str
    seed: int

    @property
    def key(self) -> str:
        """Begins the ids of its requests."""
        return f"{self.kind}-{self.name}-{self.intensity}-{self.seed}"


@dataclass(frozen=True, slots=True)
class Unit:
    """Cells that share one process of the service: what is run, saved and resumed as one."""

    loop: str
    seed: int
    group: str
    cells: tuple[Cell, ...]
    without: str = ""  # the probe that is taken out

    @property
    def key(self) -> str:
        """Names its file."""
        without = f" without {self.without}" if self.without else ""
        return f"{self.loop}-{self.seed}-{self.group}{without}".replace(" ", "-")


def is_last(cell: Cell) -> bool:
    """Whether the service is ended right after this cell."""
    return cell.kind == FAULT and FAULTS[cell.name].last


def runnable() -> tuple[str, ...]:
    """The faults that this machine can have."""
    return tuple(name for name, one in FAULTS.items() if not one.why_not_here())


def full(loops: tuple[str, ...] = LOOPS, seeds: tuple[int, ...] = SEEDS) -> list[Unit]:
    """Everything."""
    return [unit for seed in seeds for loop in loops for unit in _of_seed(loop, seed)]


def quick(loop: str = "asyncio", seed: int = 1) -> list[Unit]:
    """One seed and one intensity of some faults, two healthy shapes, some programs; in one process."""
    cells = [Cell(FAULT, name, MIDDLE, seed) for name in runnable() if FAULTS[name].quick]
    cells += [Cell(NULL, name, "", seed) for name in ("hello", "in_a_pool")]
    cells += [Cell(BESIDE, "sleep_in_worker", MIDDLE, seed)]
    return [Unit(loop, seed, QUICK, tuple(_shuffled(cells, seed)))]


def every_fault(loop: str, seed: int, without: str = "", only: Collection[str] = ()) -> Unit:
    """One cell of each fault, or of `only` some; what the mutation run compares."""
    cells = [Cell(FAULT, name, MIDDLE, seed) for name in runnable() if not only or name in only]
    group = SOME_FAULTS if only else EVERY_FAULT
    return Unit(loop, seed, group, tuple(_shuffled(cells, seed)), without)


def victims(loops: tuple[str, ...] = LOOPS, seeds: tuple[int, ...] = SEEDS[:2]) -> list[Unit]:
    """Requests that come while the loop is held, one fault a unit."""
    names = [one for one in runnable() if FAULTS[one].family == ARRIVAL]
    return [unit for seed in seeds for loop in loops for name in names for unit in only(name, loop, seed)]


def programs(seeds: tuple[int, ...], loop: str) -> list[Unit]:
    """Those programs and no more."""
    return [Unit(loop, seeds[0], PROGRAM_GROUP, tuple(Cell(PROGRAM, str(one), "", one) for one in seeds))]


def only(name: str, loop: str, seed: int) -> list[Unit]:
    """One fault at all its intensities."""
    return [Unit(loop, seed, name, tuple(Cell(FAULT, name, one, seed) for one in INTENSITIES))]


def _of_seed(loop: str, seed: int) -> Iterator[Unit]:
    can = runnable()
    for group, families in GROUPS.items():
        cells = [
            Cell(FAULT, name, intensity, seed)
            for name in can
            if FAULTS[name].family in families
            for intensity in INTENSITIES
        ]
        yield Unit(loop, seed, group, tuple(_shuffled(cells, seed)))
    cells = [Cell(PAIR, "+".join(pair), intensity, seed) for pair in PAIRS for intensity in (MIDDLE, HIGH)]
    cells += [Cell(BESIDE, name, MIDDLE, seed) for name in can if FAULTS[name].off_loop]
    yield Unit(loop, seed, BESIDE_GROUP, tuple(_shuffled(cells, seed)))
    yield Unit(loop, seed, NULL_GROUP, tuple(Cell(NULL, name, "", seed) for name in SHAPES))
    drawn = tuple(Cell(PROGRAM, str(100 * seed + n), "", seed) for n in range(PROGRAMS))
    yield Unit(loop, seed, PROGRAM_GROUP, drawn)


def _shuffled(cells: list[Cell], seed: int) -> list[Cell]:
    mixed = cells[:]
    Random(seed).shuffle(mixed)
    return sorted(mixed, key=is_last)
