"""The closed set of causes, and the rules that turn what a tracer recorded into one of them."""

from enum import StrEnum


class Cause(StrEnum):
    """Why an instant of a request's wall time passed. Every instant has exactly one."""

    COMPUTE = "compute"
    GIL_WAIT = "gil_wait"
    CPU_WAIT = "cpu_wait"
    LOCK_WAIT = "lock_wait"
    LOGGING_WAIT = "logging_wait"
    BLOCKING_IO = "blocking_io"
    GC_PAUSE = "gc_pause"
    POOL_QUEUE = "pool_queue"
    POOL_STARTUP = "pool_startup"
    POOL_SHUTDOWN = "pool_shutdown"
    LIMITER_WAIT = "limiter_wait"
    LOOP_BUSY = "loop_busy"
    LOOP_WAKEUP = "loop_wakeup"
    COLLECT_ORDER = "collect_order"
    AWAIT_IO = "await_io"
    REQUEST_IO = "request_io"
    GPU_QUEUE = "gpu_queue"
    GPU_COPY = "gpu_copy"
    GPU_COMPUTE = "gpu_compute"
    UNEXPLAINED = "unexplained"


class Evidence(StrEnum):
    """How an amount is known."""

    OBSERVED = "observed"  # both ends timed
    SAMPLED = "sampled"  # from state samples, with its standard error
    INFERRED = "inferred"  # by rule
