"""What the changes that a report proposes would bring, predicted from the same recording."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from whywait.analysis.errors import InputError
from whywait.analysis.model import Analysis
from whywait.analysis.prediction.changes import Change
from whywait.analysis.prediction.proposed import often_tried, options, proposed
from whywait.analysis.prediction.whatif import Baseline, Prediction, Range, baseline, predicted
from whywait.analysis.report.told import Told
from whywait.analysis.text import amount
from whywait.analysis.verdicts.sentences import Verdict

FEW_DRAWS: Final = 2  # only p50 is told of what is not advised


def foretold(analysis: Analysis, told: Told) -> Told:
    """Return the same with what each endpoint's proposed change would bring, or why that cannot be predicted, after the
    words that propose it."""
    try:
        base: Baseline | InputError = baseline(analysis)
    except InputError as refused:
        base = refused
    found = [_foretold(one, base) for one in told.verdicts]
    predictions = {one.endpoint: numbers for one, numbers in found if numbers}
    return told._replace(verdicts=[one for one, _ in found], predictions=predictions)


def _foretold(one: Verdict, base: Baseline | InputError) -> tuple[Verdict, Mapping[str, Any]]:
    if not one.judgement.reasons:
        return one, {}
    try:
        if isinstance(base, InputError):
            raise base
        change = proposed(one.judgement, base.found)
        if change is None:
            return _with(one, "No prediction: a replay does not know this change."), {}
        found = predicted(base, change)
    except InputError as refused:
        return _with(one, f"No prediction: {refused}."), {}

    how = options(change)
    beside = {options(other): tried for other in often_tried(one.judgement, base.found, change)
              if (tried := _tried(base, other)) is not None}  # fmt: skip
    said = f"{_sentence(how, found)}{_beside(beside)}"
    numbers = {name: tried.as_json()["felt_p50_ns"] for name, tried in beside.items()}
    return _with(one, said), {"options": how, **found.as_json(), "often_tried": numbers}


def _tried(base: Baseline, change: Change) -> Prediction | None:
    try:
        return predicted(base, change, draws=FEW_DRAWS)
    except InputError:
        return None


def _beside(found: Mapping[str, Prediction]) -> str:
    said = ", ".join(f"{amount(one.p50.after)} ({how})" for how, one in found.items())
    return f" What is often tried, p50: {said}." if said else ""


def _with(one: Verdict, said: str) -> Verdict:
    return replace(one, remedy=f"{one.remedy} {said}")


def _sentence(how: str, found: Prediction) -> str:
    p50, p95 = (_range(one) for one in (found.p50, found.p95))
    rate = found.throughput
    return (
        f"Predicted ({how}, all requests): p50 {p50}, p95 {p95}; {rate.before:.3g} → {rate.after:.3g} requests/s "
        f"({rate.low:.3g} to {rate.high:.3g})."
    )


def _range(one: Range) -> str:
    before, after, low, high = (amount(value) for value in (one.before, one.after, one.low, one.high))
    return f"{before} → {after} ({low} to {high})"
