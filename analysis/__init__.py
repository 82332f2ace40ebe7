"""Divides each request's wall time among causes. Reads spans, never the traced service.

    traces = analysis.load_traces("traces.jsonl")   # path, directory, Jaeger URL, DataFrame
    result = analysis.analyze(traces)               # requests, causes, culprits, spans, findings
    causes = analysis.attribute(traces)             # only the table: one row per request × segment

Importing this package imports no pandas: the names below are looked up when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.attribution import analyze, attribute
    from analysis.causes import Cause, Evidence
    from analysis.choosing import only_endpoint, renamed
    from analysis.comparison import Comparison, compare
    from analysis.errors import InputError
    from analysis.load import load_traces
    from analysis.model import Analysis, Finding, Traces
    from analysis.summary import summarize
    from analysis.verdicts import verdict

__all__ = [
    "Analysis",
    "Cause",
    "Comparison",
    "Evidence",
    "Finding",
    "InputError",
    "Traces",
    "analyze",
    "attribute",
    "compare",
    "load_traces",
    "only_endpoint",
    "renamed",
    "summarize",
    "verdict",
]

_HOME = {
    "Analysis": "analysis.model",
    "Cause": "analysis.causes",
    "Comparison": "analysis.comparison",
    "Evidence": "analysis.causes",
    "Finding": "analysis.model",
    "InputError": "analysis.errors",
    "Traces": "analysis.model",
    "analyze": "analysis.attribution",
    "attribute": "analysis.attribution",
    "compare": "analysis.comparison",
    "load_traces": "analysis.load",
    "only_endpoint": "analysis.choosing",
    "renamed": "analysis.choosing",
    "summarize": "analysis.summary",
    "verdict": "analysis.verdicts",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_HOME[name]), name)
    except ModuleNotFoundError as missing:
        if missing.name in {"pandas", "numpy", "pyarrow"}:
            raise ImportError(
                f"analysis.{name} needs {missing.name}, not installed: pip install 'whywait[analysis]'"
            ) from missing
        raise


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
