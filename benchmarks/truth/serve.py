"""Starts the service, traced: python -m benchmarks.truth.serve PORT LOOP OUTPUT [WITHOUT].

WITHOUT names a probe that is taken out as soon as all are installed, or "sampler": what the mutation run needs.
--probes prints their names.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import uvicorn

import whywait
from whywait.tracer.config import from_environment
from whywait.tracer.hotpath import recorder

SAMPLER: Final = "sampler"


def start(output: str, without: str) -> None:
    """Starts the tracer; raises KeyError where there is no probe of that name."""
    whywait.start("truth", config=replace(from_environment(), output=Path(output), sampler=without != SAMPLER))
    if without and without != SAMPLER:
        assert recorder.active is not None
        recorder.active.undo.pop(without)()


def probes() -> list[str]:
    """The names of what can be taken out on this machine."""
    whywait.start("truth", config=replace(from_environment(), output=None))
    try:
        assert recorder.active is not None
        return [*recorder.active.undo, SAMPLER]
    finally:
        whywait.stop()


def main(port: str, loop: str, output: str, without: str = "") -> None:
    """Serves until it is told to end."""
    start(output, without)
    from benchmarks.truth.app import app  # after the start, as `whywait run` has it

    # when it has shut down it raises the signal again that ended it, and that kills
    uvicorn.run(app, host="127.0.0.1", port=int(port), loop=loop, log_level="warning", access_log=False)


if __name__ == "__main__":
    if sys.argv[1:] == ["--probes"]:
        print("\n".join(probes()))
    else:
        main(*sys.argv[1:])
