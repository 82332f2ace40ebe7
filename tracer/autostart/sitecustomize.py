"""Imported by Python at start-up in every process of a service that `whywait run` started. Most serve nobody: nothing
is imported here that Python has not imported itself."""

import os
import sys


def _chain() -> None:
    """Run the environment's own sitecustomize too, if it has one."""
    here = os.path.dirname(os.path.abspath(__file__))
    ours = sys.modules.pop("sitecustomize", None)
    kept = sys.path[:]
    sys.path[:] = _without(here, kept)
    try:
        __import__("sitecustomize")
    except ImportError:
        if ours is not None:
            sys.modules["sitecustomize"] = ours
    finally:
        sys.path[:] = _without(here, kept)


def _without(folder: str, entries: list[str]) -> list[str]:
    return [entry for entry in entries if os.path.abspath(entry or ".") != folder]


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
        if how == "start_now" and sys.stderr is not None:
            print(f"whywait: process {os.getpid()} runs without tracing: {error}", file=sys.stderr)
    else:
        getattr(process_start, how)()


def _claim_last_line() -> None:
    """The first Python process of a run, which ends last, prints the run's last line: `whywait.tracer.run_summary`."""
    run, own = os.environ.get("WHYWAIT_RUN", ""), str(os.getpid())
    if run.count(":") == 1:
        os.environ["WHYWAIT_RUN"] = f"{run}:{own}"
    elif run.split(":")[2:3] != [own]:  # nor the first one again, as another program
        return
    import atexit

    @atexit.register  # the first to be registered is the last to be called
    def say() -> None:
        try:
            from whywait.tracer import run_summary
        except ImportError:
            return
        run_summary.say()


def _is_main_interpreter() -> bool:
    """Whether this is the process's first interpreter, which is traced; not one that the service made in it."""
    if sys.version_info < (3, 13):  # there Python code cannot make others; a search for the module would cost time
        return True
    import _interpreters  # type: ignore[import-not-found, unused-ignore]

    return bool(_interpreters.get_current()[0] == _interpreters.get_main()[0])


_chain()
_found = os.environ.get("WHYWAIT_AUTOSTART")
if _found and _is_main_interpreter():
    _claim_last_line()
    if _found == str(os.getpid()):  # what `whywait run` became
        _begin("start_now")
    elif not sys.modules.keys().isdisjoint(_NEEDED):  # a .pth file came first
        _begin("start_later")
    else:
        sys.meta_path.insert(0, _FirstSign())
