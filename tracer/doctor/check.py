"""One answer of the doctor."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The severity of an answer."""

    YES = "yes"
    NO = "no"  # a signal for the analysis is missing
    INFO = "info"  # a fact, never a fault


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its finding; `means` and `remedy` are "" where nothing is missing."""

    name: str  # stable, machine-readable
    state: State
    found: str
    means: str = ""  # what the analysis cannot show without it
    remedy: str = ""


def yes(name: str, found: str) -> Check:
    return Check(name, State.YES, found)


def no(name: str, found: str, means: str, remedy: str) -> Check:
    """Return a check that failed, with its consequence and its remedy."""
    return Check(name, State.NO, found, means, remedy)


def info(name: str, found: str) -> Check:
    return Check(name, State.INFO, found)
