"""In a suite's own process: starts the tracer as asked, puts each test inside a request, reports at the end.

Imported as a plain module (this folder is on the path), so that no suite's own `tests` package is shadowed.
"""

import contextvars
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

PLAIN = "plain"  # the tracer is not even imported
STARTED = "started"  # every probe is on, no request is open
REQUEST = "request"  # every probe is on, and each test runs inside a request of its own
_MEMORY = 4 << 30  # bytes
MODES = (PLAIN, STARTED, REQUEST)


class Tracing:
    """One process's tracing. `begin_test` and `end_test` surround each test, on the test's own thread."""

    def __init__(self, mode: str, output: Path) -> None:
        self._mode = mode
        self._output = output
        self._installed: set[str] = set()
        self._phase: Any = None
        self._faults: list[str] = []

    def start(self) -> None:
        """Starts the tracer, so that its threads belong to what each test finds already there.

        In every mode the process is first denied more memory than any suite needs, should a test run wild.
        """
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
        if self._mode == PLAIN:
            return
        import whywait
        from whywait.tracer.hotpath import recorder

        whywait.start("host", output=self._output)
        assert recorder.active is not None
        self._installed = set(recorder.active.undo)
        self._watch_hooks(Path(whywait.__file__).parent)

    def begin_test(self, name: str, test: Any = None) -> None:
        """Opens a request for the test. An async test case made its context early: it gets a new one."""
        if self._mode != REQUEST:
            return
        import whywait

        self._phase = whywait.phase(name)
        self._phase.__enter__()
        if hasattr(test, "_asyncioTestContext"):
            test._asyncioTestContext = contextvars.copy_context()

    def end_test(self) -> None:
        """Closes the test's request."""
        phase, self._phase = self._phase, None
        if phase is not None:
            phase.__exit__(None, None, None)

    def stop(self) -> dict[str, Any]:
        """Stops the tracer; what was lost, which probes had to be removed, and how much was traced."""
        if self._mode == PLAIN:
            return {}
        import whywait
        from whywait.tracer.host.own_thread import all_threads
        from whywait.tracer.hotpath import core, recorder

        session = recorder.active
        found: dict[str, Any] = {"probes": sorted(self._installed), "faults": self._faults, "core": core.name}
        if session is None:
            found["faults"] = [*self._faults, "the tracer was stopped by somebody else"]
        else:
            removed = sorted(self._installed - set(session.undo))
            found["faults"] = [*self._faults, *(f"probe {one} had to be removed" for one in removed)]
            found["lost"] = dict(session.lost)
        whywait.stop()
        found["faults"] += [
            f"thread {one.name} survived stop()" for one in all_threads() if one.name.startswith("whywait")
        ]
        found["spans"] = sum(_spans_in(path) for path in self._output.glob("*.jsonl"))
        return found

    def _watch_hooks(self, package: Path) -> None:
        def watched(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
            def hook(args: Any) -> Any:
                frames = traceback.extract_tb(args.exc_traceback)
                if frames and Path(frames[-1].filename).is_relative_to(package):
                    self._faults.append(f"{args.exc_type.__name__} in {frames[-1].filename}:{frames[-1].lineno}")
                return plain(args)

            return hook

        sys.unraisablehook = watched(sys.unraisablehook)


def _spans_in(path: Path) -> int:
    import json

    count = 0
    for line in path.read_text().splitlines():
        try:
            batch = json.loads(line)
        except ValueError:  # a forked child was ended by its test in the middle of a line
            continue
        for group in batch["resourceSpans"]:
            count += sum(len(scope["spans"]) for scope in group["scopeSpans"])
    return count
