"""Platforms that show less, on this one: the files and calls that they lack are taken away."""

import builtins
import os
import re
import time
from collections.abc import Callable
from typing import Any, Final

# as this project's notes say of each; nobody has run it there
PLATFORMS: Final = ("gVisor", "macOS")
_LACKS: Final = {"gVisor": re.compile(r"/proc/.*/(schedstat|syscall|mem)$"), "macOS": re.compile(r"/proc(/|$)")}


def hide(platform: str) -> None:
    """From now on this process does not find what the platform lacks. There is no way back."""
    lacking = _LACKS[platform]

    def without(plain: Callable[..., Any]) -> Callable[..., Any]:
        def open_it(path: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(path, str) and lacking.match(path):
                raise FileNotFoundError(2, "No such file or directory", path)
            return plain(path, *args, **kwargs)

        return open_it

    builtins.open = without(builtins.open)
    os.open = without(os.open)
    if platform == "macOS":
        del os.memfd_create
        plain_clock = time.clock_gettime_ns

        def clock_gettime_ns(clock: int) -> int:
            if clock < 0:  # the clock of another thread or process
                raise OSError(22, "Invalid argument")
            return plain_clock(clock)

        time.clock_gettime_ns = clock_gettime_ns
