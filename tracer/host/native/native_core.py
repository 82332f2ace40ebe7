"""The native core, where it is asked for, was built and may be used: C code for the hottest pieces of the hot path.

It is not the default: it has not yet run for hours, nor under the test suites of others, as the Python core has.
"""

import os
import sys
from importlib import import_module
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.host.interpreter import untested

WANTED: Final = "WHYWAIT_CORE"
PYTHON: Final = "python"
NATIVE: Final = "native"


def _load() -> tuple[Any, str]:
    if os.environ.get(WANTED, "").strip().lower() != NATIVE:
        return None, f"{WANTED}={NATIVE} asks for the native one"
    if sys.platform != "linux" or untested():
        return None, "it is for Linux and tested versions of CPython"
    try:
        found = import_module("whywait.tracer.host._core")
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
