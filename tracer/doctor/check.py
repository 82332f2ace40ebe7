"""One answer of the doctor."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How an answer counts."""

    YES = "yes"
    NO = "no"  # something that the analysis would use is missing
    INFO = "info"  # good to know, never a fault


@dataclass(frozen=True, slots=True)
class Check:
    """What was checked and found; `means` and `remedy` are "" where nothing is missing."""

    name: str  # stable, machine-readable
    state: State
    found: str
    means: str = ""  # what the analysis cannot show without it
    remedy: str = ""


def yes(name: str, found: str) -> Check:
    """Return that it is there."""
    return Check(name, State.YES, found)


def no(name: str, found: str, means: str, remedy: str) -> Check:
    """Return that it is missing, what that means and what would help."""
    return Check(name, State.NO, found, means, remedy)


def info(name: str, found: str) -> Check:
    """Return something that is good to know."""
    return Check(name, State.INFO, found)
