"""Divides each request's wall time among causes. Reads spans and never contacts the traced service.

    traces = analysis.load_traces("traces.jsonl")   # path, directory, Jaeger URL, DataFrame
    result = analysis.analyze(traces)               # requests, causes, culprits, spans, findings
    causes = analysis.attribute(traces)             # only the table: one row per request × segment

Importing this package does not import pandas: the names below are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whywait.analysis.causes import Cause, Evidence
    from whywait.analysis.changes.comparison import Comparison, compare
    from whywait.analysis.errors import InputError
    from whywait.analysis.load import load_traces
    from whywait.analysis.measure.selection import only_endpoint, renamed
    from whywait.analysis.measure.summary import summarize
    from whywait.analysis.model import Analysis, Finding, Traces
    from whywait.analysis.pipeline import analyze, attribute
    from whywait.analysis.prediction.whatif import Prediction, whatif
    from whywait.analysis.verdicts.sentences import verdict

__all__ = [
    "Analysis", "Cause", "Comparison", "Evidence", "Finding", "InputError", "Prediction", "Traces", "analyze", "attribute", "compare",
    "load_traces", "only_endpoint", "renamed", "summarize", "verdict", "whatif",
]  # fmt: skip

_HOME = {
    "model": ("Analysis", "Finding", "Traces"), "causes": ("Cause", "Evidence"), "errors": ("InputError",),
    "load": ("load_traces",), "measure.selection": ("only_endpoint", "renamed"), "measure.summary": ("summarize",),
    "pipeline": ("analyze", "attribute"), "changes.comparison": ("Comparison", "compare"),
    "verdicts.sentences": ("verdict",), "prediction.whatif": ("Prediction", "whatif"),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    home = next((module for module, names in _HOME.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"whywait.analysis.{home}"), name)
    except ModuleNotFoundError as missing:
        if missing.name in {"pandas", "numpy", "pyarrow"}:
            raise ImportError(
                f"analysis.{name} needs {missing.name}, which is not installed: pip install 'whywait[analysis]'"
            ) from missing
        raise


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
