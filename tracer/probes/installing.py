"""Installs every probe of a session and takes all of them out again."""

from typing import Final

from whywait.tracer.hotpath.recorder import Recorder, logger
from whywait.tracer.probes.builtin import all_probes
from whywait.tracer.probes.private_names import missing_names
from whywait.tracer.probes.probe import Probe, Session

_LEFT_OUT: Final = (
    "whywait: left out its %s probe: %s. What it would record is part of unexplained. `whywait doctor` says what is "
    "missing; the versions that whywait is tested with have it."
)
_LEFT_IN: Final = "whywait: could not take out its %s probe: %r. Restart the process to be rid of it."


def install_all(session: Session) -> None:
    """Install the probes that can work here, each with its undo in `recorder.undo`; log and count the others."""
    for probe in all_probes():
        try:
            missing = _missing(probe, session)
        except Exception as error:
            missing = [repr(error)]
        if missing:
            logger.warning(_LEFT_OUT, probe.name, ", ".join(missing))
            session.recorder.lost[f"probe {probe.name}"] += 1


def _missing(probe: Probe, session: Session) -> list[str]:
    """Install one probe, unless names that it needs are missing: then return these."""
    if not probe.available():
        return []
    missing = missing_names(probe.needs)
    undo = probe.install(session) if not missing else None
    if undo is not None:
        session.recorder.undo[probe.name] = undo
    return [f"{name} does not exist here" for name in missing]


def take_out_all(recorder: Recorder) -> None:
    """Undo every probe, the last first. One that fails keeps no other from being undone."""
    for name in list(recorder.undo)[::-1]:
        undo = recorder.undo.pop(name, None)  # None: it has failed meanwhile, and was taken out
        try:
            if undo is not None:
                undo()
        except Exception as error:
            logger.warning(_LEFT_IN, name, error)
