"""Installs every probe of a session, and removes all of them."""

from typing import Final

from whywait.tracer.hotpath.recorder import Recorder, logger
from whywait.tracer.probes.builtin import all_probes
from whywait.tracer.probes.private_names import missing_names
from whywait.tracer.probes.probe import Probe, Session

_LEFT_OUT: Final = (
    "whywait: left out its %s probe: %s. The waits it would record are part of unexplained. Run `whywait doctor`, and "
    "use the versions with which whywait is tested."
)
_LEFT_IN: Final = "whywait: could not remove its %s probe: %r. Restart the process to remove it."


def install_all(session: Session) -> None:
    """Install the available probes, each with its undo in `recorder.undo`; log and count the others."""
    for probe in all_probes():
        try:
            missing = _missing(probe, session)
        except Exception as error:
            missing = [repr(error)]
        if missing:
            logger.warning(_LEFT_OUT, probe.name, ", ".join(missing))
            session.recorder.lose(f"probe {probe.name}")


def _missing(probe: Probe, session: Session) -> list[str]:
    """Install one probe. If names that it needs are missing, return them and install nothing."""
    if not probe.available():
        return []
    missing = missing_names(probe.needs)
    undo = probe.install(session) if not missing else None
    if undo is not None:
        session.recorder.undo[probe.name] = undo
    return [f"{name} does not exist here" for name in missing]


def take_out_all(recorder: Recorder) -> None:
    """Undo every probe, the last first. A failing undo does not stop the others."""
    for name in list(recorder.undo)[::-1]:
        undo = recorder.undo.pop(name, None)  # None: it has failed meanwhile, and was removed
        try:
            if undo is not None:
                undo()
        except Exception as error:
            logger.warning(_LEFT_IN, name, error)
