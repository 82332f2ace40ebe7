"""A program that a test started ends with its block."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def ended(process: "subprocess.Popen[Any]", patience_s: float = 10) -> Iterator[None]:
    """Terminate the process when the block is left, and kill it where that does not help."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
