"""The steps of a pipeline: their names, and their transforms marked wherever their classes come from."""

from collections.abc import Callable
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

from whywait.tracer.adapters.rule import Rule
from whywait.tracer.schema import PHASE_TRANSFORM

_MOST_STEPS = 1_000
Mark = Callable[[Any, str, Rule, str], None]  # class, method, rule, probe
_TRANSFORM = Rule(PHASE_TRANSFORM)
_mark: Mark | None = None
_seen: "WeakKeyDictionary[type, set[str]]" = WeakKeyDictionary()


def listen(mark: Mark) -> Callable[[], None]:
    """Has `mark` told of each class of a step that is met for the first time; returns the undo."""
    global _mark
    _mark = mark

    def undo() -> None:
        global _mark
        _mark = None
        forget()

    return undo


def forget() -> None:
    """Has every class met anew: the marks of some were taken out."""
    _seen.clear()


def step_name(container: Any, steps: str, estimator: Any) -> str:
    """The name under which `container` has `estimator`; "" where it has it not."""
    if not steps or container is None:
        return ""
    for step in islice(getattr(container, steps, ()), _MOST_STEPS):
        if step[1] is estimator:
            return str(step[0])
    return ""


def adopt(container: Any, rule: Rule, method: str, probe: str) -> None:
    """Marks the transforms of a container's steps, and the last one's own method."""
    if _mark is None:
        return
    listed = list(islice(getattr(container, rule.steps, ()), _MOST_STEPS))
    for step in listed:
        _meet(type(step[1]), PHASE_TRANSFORM, _TRANSFORM, probe)
    if listed and method != PHASE_TRANSFORM:
        _meet(type(listed[-1][1]), method, Rule(rule.phase), probe)


def _meet(kind: type, method: str, rule: Rule, probe: str) -> None:
    known = _seen.get(kind)
    if known is None:
        if len(_seen) >= _MOST_STEPS:
            return
        known = _seen.setdefault(kind, set())
    if method in known or _mark is None:
        return
    known.add(method)
    for base in kind.__mro__:
        if method in vars(base):
            _mark(base, method, rule, probe)
            return
