"""Loads spans from files, Jaeger or frames into one frame. `clean` checks them afterwards."""

from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Final

import pandas as pd

from whywait.analysis.errors import InputError
from whywait.analysis.load import jaeger
from whywait.analysis.load.files import no_collection
from whywait.analysis.load.many_files import read_path
from whywait.analysis.load.otlp import frame_of, in_order
from whywait.analysis.model import SPAN_COLUMNS, Traces

DEFAULT_LIMIT: Final = 10_000
Source = str | PathLike[str] | pd.DataFrame


@no_collection()
def load_traces(
    source: Source,
    *,
    service: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    limit: int = DEFAULT_LIMIT,
    skip_bad_lines: bool = False,
) -> Traces:
    """Return the spans of a source as one frame with SPAN_COLUMNS, in an order that depends on the spans alone.
    `source`: a file of OTLP JSON Lines, a directory of them, "-" (standard input), the URL of a Jaeger, or a frame.
    `service` keeps the traces in which it took part (required for a Jaeger with several). `start` and `end` bound the
    spans' start; a Jaeger is asked for the last hour otherwise, for at most `limit` traces. A bad line raises, or
    with `skip_bad_lines` becomes a finding. Raises InputError when there is no usable span."""
    if isinstance(source, pd.DataFrame):
        missing = [name for name in SPAN_COLUMNS if name not in source.columns]
        if missing:
            raise InputError(
                f"the frame is without the columns {', '.join(missing)}; expected {', '.join(SPAN_COLUMNS)}"
            )
        return _only(Traces(in_order(source.loc[:, list(SPAN_COLUMNS)])), service, start, end)
    name = str(source)
    if name.startswith(("http://", "https://")):
        rows, findings = jaeger.read(name, service=service, start=start, end=end, limit=limit)
        return Traces(frame_of(rows), findings)
    spans, findings = read_path(Path(name), skip_bad_lines=skip_bad_lines)
    return _only(Traces(in_order(spans), findings), service, start, end)


def _only(traces: Traces, service: str | None, start: datetime | None, end: datetime | None) -> Traces:
    """Keep whole traces: those that touch the service and begin within the bounds."""
    spans = traces.spans
    keep = pd.Series(True, index=spans.index)
    if service is not None:
        keep &= spans["trace_id"].isin(_of_service(spans, service)["trace_id"])
    if start is not None or end is not None:
        first = -(2**63) if start is None else jaeger.epoch_ns(start)
        last = 2**63 - 1 if end is None else jaeger.epoch_ns(end)
        keep &= spans.groupby("trace_id")["start_ns"].transform("min").between(first, last, inclusive="left")
    if not keep.any():
        raise InputError("no spans in the chosen time: widen or drop the bounds")
    return traces if keep.all() else Traces(spans[keep].reset_index(drop=True), traces.findings)


def _of_service(spans: pd.DataFrame, service: str) -> pd.DataFrame:
    known = sorted(set(spans["service"]))
    if service not in known:
        raise InputError(f"no service {service!r} in these traces; found: {', '.join(map(repr, known))}")
    return spans[spans["service"] == service]
