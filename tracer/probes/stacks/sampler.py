"""The sampler: a child process that reads which threads of this process wait for the GIL, and who holds it."""

from whywait.tracer.hotpath.recorder import Recorder
from whywait.tracer.probes.probe import Undo
from whywait.tracer.sampler.process import start_sampler


def install(recorder: Recorder) -> Undo | None:
    """Starts the process where there is one to start; returns the undo, which ends it."""
    process = start_sampler() if recorder.config.sampler else None
    if process is None:
        return None
    recorder.sampler = process

    def undo() -> None:
        recorder.sampler = None
        process.close()

    return undo
