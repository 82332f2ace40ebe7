"""Joins what the clients saw with what the traces show, cell by cell (a mode at a number of clients)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pandas as pd

from demo_service.load import LoadResult
from demo_service.settings import CLIENT_REQUEST
from whywait.analysis import Analysis
from whywait.analysis.measure.weights import percentiles, weights_of
from whywait.analysis.text import counted

THREADED: Final = ("to_thread", "dedicated_pool", "per_request_pool", "sequential")
BATCHED: Final = ("batch", "microbatch")


@dataclass(frozen=True, slots=True)
class CauseShare:
    """A cause's part of a cell: mean per request, and share of all wall time."""

    cause: str
    mean_ns: float
    share: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of the story's table."""

    mode: str
    clients: int
    seen: LoadResult
    traced: int  # requests analysed
    incomplete: int  # requests traced, but not whole: not analysed
    felt_p50_ns: float  # what the traces say that clients felt, 0 if none was traced
    causes: tuple[CauseShare, ...]  # longest first, all that occurred
    told_ns: tuple[int, ...]  # what the traces say of each request that a client measured, 0 if it was not traced whole

    @property
    def accounted(self) -> float:
        """The share of all time measured by clients that the traces tell of; what they tell beyond it is not counted."""
        measured_ns = self.seen.latencies_ns
        return sum(map(min, self.told_ns, measured_ns)) / max(1, sum(measured_ns))

    @property
    def errors_ns(self) -> tuple[int, ...]:
        """Of each request traced, how far what is told is from what its client measured."""
        pairs = zip(self.told_ns, self.seen.latencies_ns, strict=True)
        return tuple(abs(told - measured) for told, measured in pairs if told)

    def mean_ns(self, cause: str) -> float:
        """Mean ns per request of `cause`, 0 if it did not occur."""
        return next((one.mean_ns for one in self.causes if one.cause == cause), 0.0)

    def share(self, cause: str) -> float:
        """Share of `cause` in the cell's wall time, 0 if it did not occur."""
        return next((one.share for one in self.causes if one.cause == cause), 0.0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a batched cell differs from a threaded one at the same number of clients."""

    slow: Cell
    fast: Cell

    @property
    def factor(self) -> float:
        """How many times faster at the clients' p50."""
        return self.slow.seen.percentile_ns(0.5) / max(1, self.fast.seen.percentile_ns(0.5))

    @property
    def saved(self) -> tuple[tuple[str, float, float], ...]:
        """(cause, mean ns before, mean ns after), the greatest saving first."""
        names = {one.cause for one in (*self.slow.causes, *self.fast.causes)}
        rows = [(name, self.slow.mean_ns(name), self.fast.mean_ns(name)) for name in sorted(names)]
        return tuple(sorted(rows, key=lambda row: row[2] - row[1]))


def label(mode: str, clients: int) -> str:
    return f"{mode} × {counted(clients, 'client')}"


def only_cells(analysis: Analysis, results: Sequence[LoadResult]) -> Analysis:
    """The analysis with just the requests that the cells' clients measured, each under its cell's label as endpoint.
    Warm-up, health checks and background work stay in `spans` alone."""
    cell_of = {one: label(result.mode, result.clients) for result in results for one in result.ids}
    labels = analysis.requests.set_index("request_id")["trace_id"].map(_named(analysis)).map(cell_of)
    names = labels.dropna()
    return replace(
        analysis,
        requests=_labelled(analysis.requests, names),
        causes=_labelled(analysis.causes, names),
        culprits=_labelled(analysis.culprits, names),
    )


def _named(analysis: Analysis) -> "pd.Series[str]":
    """How the client calls the request of each trace."""
    names = analysis.spans["attributes"].map(lambda one: one.get(CLIENT_REQUEST))
    return names.set_axis(analysis.spans["trace_id"]).dropna()


def _labelled(frame: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    kept = frame[frame["request_id"].isin(names.index)]
    return kept.assign(endpoint=kept["request_id"].map(names))


def cells_of(analysis: Analysis, results: Sequence[LoadResult]) -> list[Cell]:
    """One cell per result, in their order, from an analysis made by `only_cells`."""
    names = _named(analysis)
    return [_cell(analysis, result, names) for result in results]


def _cell(analysis: Analysis, result: LoadResult, names: "pd.Series[str]") -> Cell:
    name = label(result.mode, result.clients)
    requests = analysis.requests[analysis.requests["endpoint"] == name]
    whole = analysis.analysed[analysis.analysed["endpoint"] == name]
    causes = analysis.causes[analysis.causes["endpoint"] == name]
    total_ns = max(1, int(whole["wall_ns"].sum()))
    amounts = causes.groupby(causes["cause"].astype(str))["amount_ns"].sum().sort_values(ascending=False)
    shares = tuple(
        CauseShare(str(cause), float(amount) / max(1, len(whole)), float(amount) / total_ns)
        for cause, amount in amounts.items()
        if amount > 0
    )
    felt_p50_ns = float(percentiles(whole["wall_ns"], weights_of(whole), (50,))[0]) if len(whole) else 0.0
    told = dict(zip(whole["trace_id"].map(names), whole["wall_ns"].map(int), strict=True))
    told_ns = tuple(told.get(one, 0) for one in result.ids)
    cut = len(requests) - len(whole)
    return Cell(result.mode, result.clients, result, len(whole), cut, felt_p50_ns, shares, told_ns)


def comparison(cells: Sequence[Cell]) -> Comparison | None:
    """Threads against a batch at the most clients; None unless both kinds were driven."""
    most = max((cell.clients for cell in cells), default=0)
    by_mode = {cell.mode: cell for cell in cells if cell.clients == most and cell.seen.latencies_ns}
    slow, fast = (next(filter(None, map(by_mode.get, kind)), None) for kind in (THREADED, BATCHED))
    return None if slow is None or fast is None else Comparison(slow, fast)
