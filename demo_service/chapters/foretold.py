"""What the recording of each mode says of the next one, beside what was measured in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from demo_service.chapters.story_cells import Cell, label
from demo_service.settings import Settings
from whywait.analysis import Analysis, InputError, whatif

_ONE: Final = "Predictor.predict_one"
_MANY: Final = "Predictor.predict_many"


@dataclass(frozen=True, slots=True)
class Step:
    """From one mode to the next. What a call for several items costs is told by the modes in `costs`, with fewer clients."""

    before: str
    after: str
    said: str
    change: Callable[[Settings], Mapping[str, Any]]
    costs: tuple[str, ...] = ()


STEPS: Final = (
    Step("per_request_pool", "dedicated_pool", "one pool for all requests",
         lambda one: {"shared": {"per-request": one.pool_size}}),
    Step("to_thread", "batch", "one call for a request's 14 jobs", lambda _: {"batch": [f"{_ONE}={_MANY}"]}, ("to_thread", "batch")),
    Step("batch", "microbatch", "a batcher: one call for several requests",
         lambda one: {"batch": [_MANY], "window_ns": one.batch_wait_ms * 1e6},
         ("batch", "microbatch")),
)  # fmt: skip


def foretold_text(analysis: Analysis, cells: Sequence[Cell], settings: Settings) -> str:
    """Each step at the most clients, predicted from the mode before it and measured in the one after; "" where no two of
    the modes were driven. A step that cannot be predicted is listed with the reason."""
    most = max((cell.clients for cell in cells), default=0)
    at_most = {cell.mode: cell for cell in cells if cell.clients == most and cell.seen.latencies_ns}
    lines = [
        f"  {step.before} → {step.after} ({step.said}): "
        + _told(_alone(analysis, at_most[step.before], _costs(step, cells, most)), at_most[step.after], step.change(settings))
        for step in STEPS if {step.before, step.after} <= at_most.keys()
    ]  # fmt: skip
    return (
        "\n".join([f"Predicted from the mode before (95% interval), and measured, with {most} clients:", *lines])
        if lines
        else ""
    )


def _costs(step: Step, cells: Sequence[Cell], most: int) -> list[Cell]:
    return [cell for cell in cells if cell.mode in step.costs and cell.clients < most]


def _told(recorded: Analysis, after: Cell, change: Mapping[str, Any]) -> str:
    try:
        found = whatif(recorded, **change)
    except InputError as refused:
        return str(refused)
    p50, rate = found.p50, found.throughput
    return (
        f"p50 {p50.before / 1e6:.1f} → {p50.after / 1e6:.1f} ms ({p50.low / 1e6:.1f} to {p50.high / 1e6:.1f}), "
        f"measured {after.seen.percentile_ns(0.5) / 1e6:.1f} ms; {rate.after:.1f} requests/s ({rate.low:.1f} to {rate.high:.1f}), "
        f"measured {after.seen.requests_per_s:.1f}"
    )


def _alone(analysis: Analysis, cell: Cell, costs: Sequence[Cell]) -> Analysis:
    """The analysis of one cell, with the spans of those alone that tell what calls cost: all ran in the same process."""
    is_own = analysis.requests["endpoint"] == label(cell.mode, cell.clients)
    began = analysis.spans["trace_id"].map(analysis.spans.groupby("trace_id")["start_ns"].min())
    within = [began.between(one.seen.started_ns, one.seen.ended_ns) for one in (cell, *costs)]
    spans = pd.DataFrame(analysis.spans[pd.concat(within, axis=1).any(axis=1)]).reset_index(drop=True)
    return replace(analysis, requests=analysis.requests[is_own], spans=spans)
