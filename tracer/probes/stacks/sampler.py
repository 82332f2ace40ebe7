"""The sampler: a process of its own that sees which of this one's threads wait for the GIL, and who has it."""

from collections.abc import Callable

from whywait.tracer.hotpath.recorder import Recorder
from whywait.tracer.sampler.process import start_sampler


def install(recorder: Recorder) -> Callable[[], None]:
    """Starts the process where there is one to start; returns the undo, which ends it."""
    if not recorder.config.sampler:
        return lambda: None
    process = start_sampler()
    if process is None:
        return lambda: None
    recorder.sampler = process

    def undo() -> None:
        recorder.sampler = None
        process.close()

    return undo
