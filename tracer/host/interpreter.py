"""Which interpreter this is: whether whywait is tested with it, and whether it has a global interpreter lock."""

import platform
import sys
import sysconfig
from typing import Final

TESTED: Final = ((3, 11), (3, 14))  # the first and the last, of CPython with its GIL


def has_gil() -> bool:
    """Return whether threads wait for a GIL; False on a free-threaded build with the GIL off."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())  # Python 3.13 on


def is_free_threaded() -> bool:
    """Return whether this build can run without a GIL. A module may have turned it on: threads started before may
    still run beside each other, so the probes that need it are left out in either case."""
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def tested_versions() -> str:
    """Return the tested versions in words."""
    return "CPython {} to {}".format(*(".".join(map(str, one)) for one in TESTED))


def untested() -> str:
    """Return this interpreter in words if whywait is not tested with it, else an empty string."""
    implementation, version = platform.python_implementation(), platform.python_version()
    if is_free_threaded():
        return f"a free-threaded {implementation} {version}"
    if implementation != "CPython" or not TESTED[0] <= sys.version_info[:2] <= TESTED[1]:
        return f"{implementation} {version}"
    return ""
