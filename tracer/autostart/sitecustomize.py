"""Imported by Python at start-up in every process of a service that `whywait run` started."""

import importlib
import os
import signal
import sys
from collections.abc import Callable


def _chain() -> None:
    """Run the environment's own sitecustomize too, if it has one."""
    here = os.path.dirname(os.path.abspath(__file__))
    ours = sys.modules.pop("sitecustomize", None)
    kept = sys.path[:]
    sys.path[:] = _without(here, kept)
    try:
        importlib.import_module("sitecustomize")
    except ImportError:
        if ours is not None:
            sys.modules["sitecustomize"] = ours
    finally:
        sys.path[:] = _without(here, kept)


def _without(folder: str, entries: list[str]) -> list[str]:
    return [entry for entry in entries if os.path.abspath(entry or ".") != folder]


def _start() -> None:
    try:
        import atexit

        import whywait
        from whywait.tracer import run_summary

        whywait.start()
        atexit.register(whywait.stop)
        _stop_on_termination(whywait.stop, run_summary.say)
    except Exception as error:  # the service must start, traced or not
        print(
            f"whywait: process {os.getpid()} runs without tracing: {error}. Run `whywait doctor` for the reason",
            file=sys.stderr,
        )


def _claim_last_line() -> None:
    """The first Python process of a run, which ends last, prints the run's last line: `whywait.tracer.run_summary`."""
    run = os.environ.get("WHYWAIT_RUN", "")
    if run.count(":") != 1:
        return
    os.environ["WHYWAIT_RUN"] = f"{run}:{os.getpid()}"
    import atexit

    @atexit.register  # the first to be registered is the last to be called
    def say() -> None:
        try:
            from whywait.tracer import run_summary
        except ImportError:
            return
        run_summary.say()


def _stop_on_termination(*ends: Callable[[], None]) -> None:
    """SIGTERM's default action ends a process without `atexit`, and uvicorn raises it after its own shutdown: the
    last spans would be lost. A handler that the service sets replaces this one."""

    def on_termination(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for end in ends:
            end()
        signal.raise_signal(signal.SIGTERM)

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, on_termination)


def _serves_nobody() -> bool:
    """Whether this is `multiprocessing`'s resource tracker, which runs no code of the service."""
    return any("multiprocessing.resource_tracker" in word for word in sys.orig_argv)


def _is_main_interpreter() -> bool:
    """Whether this is the process's first interpreter, which is traced; not one that the service made in it."""
    try:
        import _interpreters  # type: ignore[import-not-found, unused-ignore]
    except ImportError:  # until Python 3.12, Python code cannot make others
        return True
    return bool(_interpreters.get_current()[0] == _interpreters.get_main()[0])


_chain()
if os.environ.get("WHYWAIT_AUTOSTART") == "1" and not _serves_nobody() and _is_main_interpreter():
    _claim_last_line()
    _start()
