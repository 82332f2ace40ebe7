"""Applies the table of one library while a session runs, now and as its modules are imported."""

from collections.abc import Callable
from typing import Any

from whywait.tracer.adapters import registry
from whywait.tracer.adapters.devices import forget_devices
from whywait.tracer.adapters.late_patches import LatePatches
from whywait.tracer.adapters.registry import table_of
from whywait.tracer.adapters.rule import Rule
from whywait.tracer.adapters.steps import Steps
from whywait.tracer.adapters.wrapping import replace
from whywait.tracer.hotpath.recorder import Recorder


def probe_name(library: str) -> str:
    return f"adapter {library}"


class _Applied:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._patches: dict[str, LatePatches[Rule]] = {}
        self._steps = Steps(self._mark)

    def added(self, library: str) -> None:
        probe = probe_name(library)

        def mark(owner: Any, name: str, rule: Rule) -> Callable[[], None] | None:
            return replace(owner, name, rule, probe)

        patches = LatePatches(probe, table_of(library), mark)

        def undo() -> None:
            self._patches.pop(probe, None)
            self._steps.forget()
            patches.close()

        self._patches[probe] = patches
        self._recorder.undo[probe] = undo
        patches.install()

    def removed(self, library: str) -> None:
        undo = self._recorder.undo.pop(probe_name(library), None)
        if undo is not None:
            undo()

    def adopt_steps(self, container: Any, rule: Rule, method: str, probe: str) -> None:
        """Mark the steps of a container that are new to this session."""
        self._steps.adopt(container, rule, method, probe)

    def _mark(self, owner: Any, name: str, rule: Rule, probe: str) -> None:
        patches = self._patches.get(probe)
        if patches is not None:
            patches.mark(owner, name, rule)


def install(recorder: Recorder) -> Callable[[], None]:
    """Apply every registered table, and return the undo. Only a failing adapter is removed."""
    applied = recorder.adapters = _Applied(recorder)
    for library in registry.libraries():
        applied.added(library)

    def undo() -> None:  # the recorder undoes those of the libraries
        recorder.adapters = None
        forget_devices()

    return undo
