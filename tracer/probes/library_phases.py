"""The probe of `adapters`: marks the calls of libraries that have a table as phases."""

from typing import Final

from whywait.tracer import adapters
from whywait.tracer.probes.probe import Session, Undo

name: Final = "adapters"
needs: Final = ()


def available() -> bool:
    """Always True: tables may be registered at any time."""
    return True


def install(session: Session) -> Undo:
    """Apply every registered table, and return the undo."""
    return adapters.install(session.recorder)
