"""A library of the application's own: the tracer knows of it by the table that is registered while it runs."""

from typing import Final

from benchmarks.truth.work import spin

PHASE: Final = "tokenizing"
TABLE: Final = {f"{__name__}.tokenize": PHASE}


def tokenize(seconds: float) -> None:
    """Computes."""
    spin(seconds)
