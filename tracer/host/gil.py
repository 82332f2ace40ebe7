"""Whether this interpreter has a global interpreter lock."""

import sys


def has_gil() -> bool:
    """Whether threads wait for a GIL; false on a free-threaded build that has it switched off."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())  # Python 3.13 on
