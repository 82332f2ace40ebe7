"""One colour per cause, for the report, the figures and exports. They never say anything alone: words stand beside."""

from typing import Final

from whywait.analysis.causes import Cause

# light, dark; told apart without colour by their labels and patterns of the legend
COLOURS: Final[dict[str, tuple[str, str]]] = {
    Cause.COMPUTE: ("#3f7d58", "#5fae80"),
    Cause.GIL_WAIT: ("#8e44ad", "#b57edc"),
    Cause.CPU_WAIT: ("#c98a00", "#f0b429"),
    Cause.LOCK_WAIT: ("#7a4b2a", "#c08a63"),
    Cause.LOGGING_WAIT: ("#6b7a8f", "#9fb0c6"),
    Cause.BLOCKING_IO: ("#00798c", "#3bb7cb"),
    Cause.GC_PAUSE: ("#a23b72", "#e07bb0"),
    Cause.POOL_QUEUE: ("#d1495b", "#ff7d8d"),
    Cause.POOL_STARTUP: ("#e07a5f", "#ffa68f"),
    Cause.POOL_SHUTDOWN: ("#b56576", "#e59aab"),
    Cause.LIMITER_WAIT: ("#9d4edd", "#c99bff"),
    Cause.LOOP_BUSY: ("#e4572e", "#ff8a66"),
    Cause.LOOP_WAKEUP: ("#f2a65a", "#ffc98f"),
    Cause.COLLECT_ORDER: ("#bc6c25", "#e5a568"),
    Cause.AWAIT_IO: ("#2e86ab", "#6ec1e4"),
    Cause.REQUEST_IO: ("#5c95c8", "#97c4ee"),
    Cause.GPU_QUEUE: ("#4a5a23", "#9bb34f"),
    Cause.GPU_COPY: ("#6a7f2d", "#b7cf63"),
    Cause.GPU_COMPUTE: ("#8aa33b", "#d2e880"),
    Cause.UNEXPLAINED: ("#8c8c8c", "#a8a8a8"),
    "running": ("#3f7d58", "#5fae80"),
    "alive": ("#dfe3e8", "#343a42"),
    "": ("#c9d2dc", "#4a535e"),
}
_INKS: Final = ("#000000", "#ffffff")  # one of them has a contrast of 4.5 on whatever there is


def contrast(first: str, second: str) -> float:
    """Return the contrast of two "#rrggbb" colours as WCAG defines it, 1 to 21."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def ink(background: str) -> str:
    """Return the colour of letters that are read best on a background."""
    return max(_INKS, key=lambda one: contrast(one, background))


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
