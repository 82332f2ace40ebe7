"""Imported by Python at start-up in every process of a service that `whywait run` started.

Most of these processes serve nobody: nothing is imported here that Python has not imported itself.
"""

import os
import sys


def _chain() -> None:
    """Run the environment's own sitecustomize too, if it has one."""
    here = os.path.dirname(os.path.abspath(__file__))
    ours = sys.modules.pop("sitecustomize", None)
    kept = sys.path[:]
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    try:
        __import__("sitecustomize")
    except ImportError:
        if ours is not None:
            sys.modules["sitecustomize"] = ours
    finally:
        sys.path[:] = [entry for entry in kept if os.path.abspath(entry or ".") != here]


_NEEDED = ("asyncio", "opentelemetry", "whywait.tracer.decorators")


class _FirstSign:
    """Finds no module: it waits for the import of one without which a process neither serves nor is traced."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name not in _NEEDED:
            return
        try:
            sys.meta_path.remove(self)
        except ValueError:  # another thread has begun
            return
        _begin("start_later")


def _begin(how: str) -> None:
    try:
        from whywait.tracer.waking import process_start
    except ImportError as error:  # a child may be of another environment than the service
        if how == "start_now":
            print(f"whywait: process {os.getpid()} runs without tracing: {error}", file=sys.stderr)
    else:
        getattr(process_start, how)()


_chain()
_found = os.environ.get("WHYWAIT_AUTOSTART")
if _found == str(os.getpid()):  # what `whywait run` became
    _begin("start_now")
elif _found and not sys.modules.keys().isdisjoint(_NEEDED):  # a .pth file came first
    _begin("start_later")
elif _found:
    sys.meta_path.insert(0, _FirstSign())
