"""Records what each request of an async service waited for, as OpenTelemetry spans.

Importing it changes nothing; `start()` installs the probes and `stop()` takes them out again.
"""

from tracer import adapters
from tracer.config import Config, ConfigError
from tracer.marks import phase, traced
from tracer.session import is_active, start, stop

__version__ = "0.1.0"

__all__ = [
    "Config",
    "ConfigError",
    "__version__",
    "adapters",
    "is_active",
    "phase",
    "start",
    "stop",
    "traced",
]
