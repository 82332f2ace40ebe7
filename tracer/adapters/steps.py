"""The steps of a pipeline: names them, and marks their transforms in any class."""

from collections.abc import Callable
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

from whywait.tracer.adapters.rule import Rule
from whywait.tracer.schema import PHASE_TRANSFORM

_MOST_STEPS = 1_000
Mark = Callable[[Any, str, Rule, str], None]  # class, method, rule, probe
_TRANSFORM = Rule(PHASE_TRANSFORM)


class Steps:
    """Marks each class of a step that is new to the session."""

    def __init__(self, mark: Mark) -> None:
        self._mark = mark
        self._seen: WeakKeyDictionary[type, set[str]] = WeakKeyDictionary()

    def forget(self) -> None:
        """Treat every class as new: the marks of some were removed."""
        self._seen.clear()

    def adopt(self, container: Any, rule: Rule, method: str, probe: str) -> None:
        """Mark the transforms of a container's steps, and the last step's own method."""
        listed = list(islice(getattr(container, rule.steps, ()), _MOST_STEPS))
        for step in listed:
            self._meet(type(step[1]), PHASE_TRANSFORM, _TRANSFORM, probe)
        if listed and method != PHASE_TRANSFORM:
            self._meet(type(listed[-1][1]), method, Rule(rule.phase), probe)

    def _meet(self, kind: type, method: str, rule: Rule, probe: str) -> None:
        known = self._seen.get(kind)
        if known is None:
            if len(self._seen) >= _MOST_STEPS:
                return
            known = self._seen.setdefault(kind, set())
        if method in known:
            return
        known.add(method)
        for base in kind.__mro__:
            if method in vars(base):
                self._mark(base, method, rule, probe)
                return


def step_name(container: Any, steps: str, estimator: Any) -> str:
    """Return the name of `estimator` in `container`; "" if it is not in it."""
    if not steps or container is None:
        return ""
    for step in islice(getattr(container, steps, ()), _MOST_STEPS):
        if step[1] is estimator:
            return str(step[0])
    return ""
