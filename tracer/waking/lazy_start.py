"""Starts the tracer in a child process at the first sign that it serves: a loop runs, OpenTelemetry starts a span, or
a mark is entered (`wake`). Most children show none, so this imports nothing, and replaces a few names only when their
modules are imported."""

import sys

from whywait.tracer.waking.import_watch import ImportWatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# What is called at a sign, by module. Every loop says which loop runs now (`None`: it runs no more); who sets one runs
# it later, and a server may have bound by then what is to be replaced.
_SIGNS = {
    "asyncio.events": ("_set_running_loop", "set_event_loop"),
    "asyncio": ("_set_running_loop", "set_event_loop"),
    "opentelemetry.sdk.trace": ("Tracer.start_span",),
    "opentelemetry.trace": ("ProxyTracer.start_span", "ProxyTracer.start_as_current_span"),
}
_PLAIN = "_whywait_plain"


class _LazyStart:
    def __init__(self) -> None:
        self._start: Callable[[], None] | None = None
        self._undo: list[Callable[[], None]] = []

    def expect(self, start: "Callable[[], None]") -> None:
        """Have `wake` call `start`, which must not raise: probes call it, where some are installed."""
        self._start = start

    def arm(self, start: "Callable[[], None]") -> None:
        """The same, and watch for the signs: no probe is installed here."""
        self.expect(start)
        for module, names in _SIGNS.items():
            if module in sys.modules:
                self._replace(module, names)
        later = [module for module in _SIGNS if module not in sys.modules]
        if later:
            self._undo.append(ImportWatch(later, lambda module: self._replace(module, _SIGNS[module])).install())

    def disarm(self) -> None:
        """Wait for nothing, and leave nothing replaced."""
        self._start = None
        while self._undo:
            self._undo.pop()()

    def wake(self) -> bool:
        """Start, if this process waits for that: it serves. Return whether it did."""
        start = self._start
        if start is None:
            return False
        self.disarm()
        start()
        return True

    def _replace(self, module: str, names: tuple[str, ...]) -> None:
        for name in names:
            owner: Any = sys.modules[module]
            *classes, attribute = name.split(".")
            for one in classes:
                owner = getattr(owner, one, None)
            found = getattr(owner, attribute, None)
            if found is not None:  # None: another version of it, without this sign
                self._put(owner, attribute, getattr(found, _PLAIN, found))

    def _put(self, owner: "Any", name: str, plain: "Any") -> None:
        sign, inherited = self._sign(plain), name not in vars(owner)

        def undo() -> None:
            if vars(owner).get(name) is not sign:  # replaced by others since
                return
            if inherited:
                delattr(owner, name)
            else:
                setattr(owner, name, plain)

        self._undo.append(undo)
        setattr(owner, name, sign)

    def _sign(self, plain: "Any") -> "Any":
        def call(*args: "Any", **kwargs: "Any") -> "Any":
            if args and args[0] is not None:
                self.wake()
            return plain(*args, **kwargs)

        # what was bound meanwhile stays a replacement, which only calls the original
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(call, name, getattr(plain, name, None))
        setattr(call, _PLAIN, plain)
        call.__wrapped__ = plain  # type: ignore[attr-defined]  # as `functools.wraps` does, which is not imported
        return call


_lazy = _LazyStart()
expect, arm, disarm, wake = _lazy.expect, _lazy.arm, _lazy.disarm, _lazy.wake
