"""What the recording of a mode says of more clients, beside what was measured with them."""

from collections.abc import Sequence
from dataclasses import replace

from demo_service.chapters.story_cells import Cell, label
from whywait.analysis import Analysis, InputError, whatif


def foretold_text(analysis: Analysis, cells: Sequence[Cell]) -> str:
    """Each mode with the most clients, predicted from its own recording with fewer, and measured; "" with one number of
    clients. A mode that cannot be predicted is listed with the reason."""
    lines = []
    for after in cells:
        fewer = [cell for cell in cells if cell.mode == after.mode and cell.clients < after.clients]
        if fewer and after.clients == max(cell.clients for cell in cells) and after.seen.latencies_ns:
            lines.append(f"  {after.mode}: {_told(analysis, max(fewer, key=lambda one: one.clients), after)}")
    return "\n".join(["Predicted from fewer clients (95% interval), and measured:", *lines]) if lines else ""


def _told(analysis: Analysis, before: Cell, after: Cell) -> str:
    try:
        found = whatif(_alone(analysis, before), clients=after.clients)
    except InputError as refused:
        return f"{before.clients} → {after.clients} clients: {refused}"
    p50, rate = found.p50, found.throughput
    return (
        f"{before.clients} → {after.clients} clients: p50 {p50.after / 1e6:.1f} ms ({p50.low / 1e6:.1f} to {p50.high / 1e6:.1f}), "
        f"measured {after.seen.percentile_ns(0.5) / 1e6:.1f} ms; {rate.after:.1f} requests/s ({rate.low:.1f} to {rate.high:.1f}), "
        f"measured {after.seen.requests_per_s:.1f}"
    )


def _alone(analysis: Analysis, cell: Cell) -> Analysis:
    """The analysis of one cell, without the spans of the others, which ran in the same process; with those of no cell,
    such as a batcher's."""
    is_own = analysis.requests["endpoint"] == label(cell.mode, cell.clients)
    others = set(analysis.requests.loc[~is_own, "trace_id"])
    spans = analysis.spans[~analysis.spans["trace_id"].isin(others)].reset_index(drop=True)
    return replace(analysis, requests=analysis.requests[is_own], spans=spans)
