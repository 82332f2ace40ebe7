"""Whether this interpreter has a global interpreter lock."""

import sys


def has_gil() -> bool:
    """Return whether threads wait for a GIL; False on a free-threaded build with the GIL off."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())  # Python 3.13 on
