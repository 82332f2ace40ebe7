"""Imported by Python at start-up in every process of a service that `whywait run` started."""

import os
import sys


def _chain() -> None:
    """Lets the environment's own sitecustomize run too, if it has one."""
    here = os.path.dirname(os.path.abspath(__file__))
    ours = sys.modules.pop("sitecustomize", None)
    kept = sys.path[:]
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    try:
        import sitecustomize  # noqa: F401
    except ImportError:
        if ours is not None:
            sys.modules["sitecustomize"] = ours
    finally:
        sys.path[:] = [entry for entry in kept if os.path.abspath(entry or ".") != here]


def _start() -> None:
    try:
        import atexit

        import tracer

        tracer.start()
        atexit.register(tracer.stop)
    except Exception as error:  # the service must start, traced or not
        print(f"whywait: not tracing process {os.getpid()}: {error}", file=sys.stderr)


_chain()
if os.environ.get("WHYWAIT_AUTOSTART") == "1":
    _start()
