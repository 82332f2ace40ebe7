"""The one shape of a probe: what `start` asks of it, and what it may ask of the session.

A module or an object can be a probe. Who has one for a library of their own names it as an entry point:

    [project.entry-points."whywait.probes"]
    mylib = "mylib.whywait_probe"        # the module below, or an object in it (`module:object`)

    name = "mylib"
    needs = ("mylib.pool.Pool._checkout",)

    def available() -> bool:
        return True

    def install(session):
        patches = Patches()
        patches.replace(mylib.pool.Pool, "_checkout", timed(mylib.pool.Pool._checkout, "mylib.Pool.checkout"))
        return patches.undo
"""

from collections.abc import Callable
from typing import Protocol

from opentelemetry.sdk.trace import TracerProvider

from whywait.tracer.hotpath.recorder import Recorder

Undo = Callable[[], None]


def always() -> bool:
    """The `available` of a probe that watches a part of Python."""
    return True


class Session(Protocol):
    """What a probe is given: the tracing session that it is installed for."""

    @property
    def recorder(self) -> Recorder:
        """Where probes write, and where the session's settings are (`recorder.config`)."""

    @property
    def provider(self) -> TracerProvider:
        """OpenTelemetry's provider that spans go through."""

    def stop(self) -> None:
        """End the session, as `whywait.stop` does."""


class Probe(Protocol):
    """Watches one library, or one part of Python, between `start` and `stop`.

    `start` installs each probe that is available and whose private names exist, and `stop` calls the undos in
    reverse. A probe that raises while it is installed, or that reports its own failure by `probe_failed(name,
    error)`, is taken out and logged once; the service and the other probes go on.
    """

    @property
    def name(self) -> str:
        """By which log lines and the trace's counts of losses call the probe; unique."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Dotted private names of other libraries, without any of which the probe cannot work.

        `whywait doctor` checks them. A name of a library that is not installed is not missing.
        """

    def available(self) -> bool:
        """Whether there is something to watch: the library is installed, and the platform has it."""

    def install(self, session: Session) -> Undo | None:
        """Puts the probe in place; returns what takes it out, or None where the settings do not want it."""
