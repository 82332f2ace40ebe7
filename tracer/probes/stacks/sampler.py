"""The sampler: a child process that reads which threads of this process wait for the GIL, and its holder."""

from whywait.tracer.hotpath.recorder import Recorder
from whywait.tracer.probes.probe import Undo
from whywait.tracer.sampler.process import start_sampler


def install(recorder: Recorder) -> Undo | None:
    """Start the sampler's process, if the platform supports it, and return the undo, which ends it."""
    process = start_sampler() if recorder.config.sampler else None
    if process is None:
        return None
    recorder.sampler = process

    def undo() -> None:
        recorder.sampler = None
        process.close()

    return undo
