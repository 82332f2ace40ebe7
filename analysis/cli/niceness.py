"""Lowers the priority of commands that run on the same machine as a service."""

import os
from typing import Final

_NICER: Final = 10


def yield_to_others() -> None:
    """Give this process the lowest CPU and I/O priority, where the kernel allows it."""
    try:
        os.nice(_NICER)
    except (AttributeError, OSError):
        return
