"""Programs nobody tuned for, drawn from a grammar:

    program  := sequence of 1..3 parts
    part     := leaf | gather of 2..4 parts | sequence of 2..3 parts           at most three deep
    leaf     := await sleep | job on a pool of 1, 2 or 8 that sleeps or computes | job that sleeps under one of two
                locks | await sleep under one of two semaphores | block the loop, asleep or computing

The same seed draws the same program, always.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

WAIT, JOB, LOCKED, TURN, BLOCK = "wait", "job", "locked", "turn", "block"
SEQUENCE, GATHER = "sequence", "gather"
SLEEPS, COMPUTES = "sleeps", "computes"
_LEAVES: Final = (WAIT, JOB, JOB, JOB, LOCKED, LOCKED, TURN, TURN, BLOCK)
DEPTH: Final = 3


@dataclass(frozen=True, slots=True)
class Node:
    """A leaf with what it does for how long, or children one after another or at once."""

    kind: str
    ms: float = 0.0
    which: int = 0  # workers of the pool, number of the lock or semaphore
    work: str = ""
    children: tuple["Node", ...] = ()

    def text(self, indent: int = 0) -> str:
        """For a person, one line per node."""
        margin = "  " * indent
        if self.children:
            return "\n".join([f"{margin}{self.kind}", *(one.text(indent + 1) for one in self.children)])
        which = f" {self.which}" if self.kind in {JOB, LOCKED, TURN} else ""
        return f"{margin}{self.kind}{which} {self.work} {self.ms:.1f} ms".replace("  ms", " ms")


def draw(seed: int) -> Node:
    """The program of that seed."""
    dice = Random(seed)
    return Node(SEQUENCE, children=tuple(_part(dice, 1) for _ in range(dice.randint(1, 3))))


def _part(dice: Random, depth: int) -> Node:
    chance = dice.random()
    if depth < DEPTH and chance < 0.4:
        return Node(GATHER, children=tuple(_part(dice, depth + 1) for _ in range(dice.randint(2, 4))))
    if depth < DEPTH and chance < 0.5:
        return Node(SEQUENCE, children=tuple(_part(dice, depth + 1) for _ in range(dice.randint(2, 3))))
    return _leaf(dice)


def _leaf(dice: Random) -> Node:
    kind = dice.choice(_LEAVES)
    ms = dice.uniform(5, 30)
    if kind == JOB:
        work = dice.choice((SLEEPS, SLEEPS, COMPUTES))
        return Node(JOB, ms / 3 if work == COMPUTES else ms, dice.choice((1, 2, 8)), work)
    if kind == BLOCK:
        work = dice.choice((SLEEPS, COMPUTES))
        return Node(BLOCK, ms / 2, 0, work)
    return Node(kind, ms, dice.randint(0, 1) if kind in {LOCKED, TURN} else 0, SLEEPS)
