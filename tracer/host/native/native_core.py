"""The native core, where it was built and may be used: C code for the hottest pieces of the hot path."""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Final
from zlib import crc32

from whywait.tracer.host.interpreter import untested

WANTED: Final = "WHYWAIT_CORE"
PYTHON: Final = "python"
NATIVE: Final = "native"


def _load() -> tuple[Any, str]:
    asked = os.environ.get(WANTED, "").strip().lower()
    if asked not in ("", NATIVE):
        return None, f"{WANTED}={asked} asks for it"
    if sys.platform != "linux" or untested():
        return None, "it is for Linux and tested versions of CPython"
    try:
        found = import_module("whywait.tracer.host._core")
        sources = sorted(Path(__file__).parent.glob("*.[ch]"))
        if sources and crc32(b"".join(map(Path.read_bytes, sources))) != found.SOURCES:
            return None, "it was built from other sources than these: install whywait again"
        meter = found.CpuMeter()
        before, now, after = perf_counter_ns(), found.now_ns(), perf_counter_ns()
        used = meter.read(now)
        works = before <= now <= after and meter.at(now + 10, 1_000) == used + 10 and meter.at_ns == now + 10
    except ImportError:
        return None, "it was not built: there was no compiler, or the installation is of another Python"
    except Exception as error:  # of another version of whywait
        return None, f"its check failed: {error!r}"
    return (found, "") if works else (None, "its clocks are not those of Python")


module, why_not = _load()
"""What whoever finds the module unusable is told, and, where it is used, an empty string."""

untracked: Final[Callable[[Any], Any]] = getattr(module, "untracked", lambda record: record)
"""Takes a record that can be part of no circle from the collector of garbage, which need not walk over it, and returns it;
without the native core only the latter."""
