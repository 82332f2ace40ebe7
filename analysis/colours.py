"""One colour per cause, for the report, the figures and exports. They never say anything alone: words stand beside."""

from typing import Final

from analysis.causes import Cause

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
