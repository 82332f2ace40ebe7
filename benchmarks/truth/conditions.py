"""Under which conditions a run was made."""

import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

PACKAGES: Final = ("fastapi", "uvicorn", "uvloop", "opentelemetry-sdk", "xgboost-cpu", "xgboost")


def conditions(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Machine, interpreter, versions of packages, and how busy the machine is now."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "cpus": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "packages": found,
        "load": [round(one, 2) for one in os.getloadavg()],
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
    }
