"""Checks the private names of other libraries that probes and export need."""

from collections.abc import Iterable
from typing import Final

from whywait.tracer.doctor.check import Check, no, yes
from whywait.tracer.export import sdk_internals
from whywait.tracer.probes.builtin import all_probes
from whywait.tracer.probes.private_names import missing_names
from whywait.tracer.probes.probe import Probe

_REMEDY: Final = "install the versions of Python and of the libraries with which whywait is tested, or report it"


def private_name_checks() -> list[Check]:
    """Return one line if all exist, else one line per probe that is without one."""
    probes = list(all_probes())
    found = [*_of_probes(probes), *_of_export()]
    count = len(sdk_internals.needs) + sum(map(len, map(_needed, probes)))
    words = f"{len(probes)} probes; all {count} private names of libraries that they need exist"
    return found or [yes("probes", words)]


def _of_probes(probes: Iterable[Probe]) -> list[Check]:
    return [
        no(
            "probes", f"{', '.join(missing)}: no such name here",
            f"the {probe.name} probe is left out, and the waits it would record are part of unexplained", _REMEDY,
        )
        for probe in probes
        if probe.available() and (missing := missing_names(_needed(probe)))
    ]  # fmt: skip


def _needed(probe: Probe) -> tuple[str, ...]:
    """Also those that it looks for when their library is imported: here nobody minds the import."""
    return *probe.needs, *getattr(probe, "later", ())


def _of_export() -> list[Check]:
    missing = missing_names(sdk_internals.needs)
    if not missing:
        return []
    return [no("probes", f"{', '.join(missing)}: no such name here", "spans may not be written", _REMEDY)]
