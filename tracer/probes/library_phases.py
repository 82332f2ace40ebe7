"""The probe of `adapters`: marks the calls of libraries that have a table as phases."""

from typing import Final

from whywait.tracer import adapters
from whywait.tracer.probes.probe import Session, Undo, always

name: Final = "adapters"
needs: Final = ()
available: Final = always


def install(session: Session) -> Undo:
    """Apply every registered table, and return the undo."""
    return adapters.install(session.recorder)
