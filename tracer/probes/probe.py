"""The protocol of a probe: what `start` requires of it, and what the session offers to it.

A module or an object can be a probe. A distribution names its probes as entry points:

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
    """The tracing session that a probe is installed for."""

    @property
    def recorder(self) -> Recorder:
        """The recorder that probes write to; `recorder.config` has the session's settings."""

    @property
    def provider(self) -> TracerProvider:
        """OpenTelemetry's tracer provider of the session."""

    def stop(self) -> None:
        """Stop the session at the end of the process, as `whywait.stop(ending=True)` does."""


class Probe(Protocol):
    """Watches one library, or one part of Python, between `start` and `stop`, if it is available and its private
    names exist. One that raises, or reports `probe_failed(name, error)`, is removed and logged once.

    It must not import its library: a service that does not use it would. `wrap_when_imported` of
    `whywait.tracer.probes.patches` waits; names that are then patched belong in `later`, which `whywait doctor` reads."""

    @property
    def name(self) -> str:
        """The probe's unique name, in log lines and in the trace's counts of losses."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Dotted private names of other libraries without which the probe cannot work; those of libraries that are
        not installed are not missing."""

    def available(self) -> bool:
        """Return whether the probe can work: its library is installed, and the platform supports it."""

    def install(self, session: Session) -> Undo | None:
        """Install the probe, and return its undo; None where the settings disable it."""
