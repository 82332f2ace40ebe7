"""The closed set of situations: patterns over many requests. One file of this folder finds each, as numbers."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Protocol

import pandas as pd

from whywait.analysis.causes import Cause


class Situation(StrEnum):
    """The kind of a pattern among the requests of one endpoint."""

    MANY_JOBS = "many_jobs"
    FEW_JOBS = "few_jobs"
    POOL_PER_REQUEST = "pool_per_request"
    LOOP_BLOCKED = "loop_blocked"
    SERIAL_COLLECTION = "serial_collection"
    GIL_STARVATION = "gil_starvation"
    CONNECTIONS_HELD = "connections_held"
    LOCK_CONVOY = "lock_convoy"
    SUBMIT_LOCK = "submit_lock"
    CPU_OTHER_PROCESSES = "cpu_other_processes"
    CPU_SIBLING_PROCESSES = "cpu_sibling_processes"
    CPU_OWN_THREADS = "cpu_own_threads"
    CPU_NATIVE_THREADS = "cpu_native_threads"
    CPU_QUOTA = "cpu_quota"
    OVERSUBSCRIBED = "oversubscribed"
    UNEXPLAINED = "unexplained"


class Found(Protocol):
    """A situation: a frozen dataclass; its other fields are numbers and names."""

    @property
    def kind(self) -> Situation:
        """The kind of the situation."""


def numbers(found: Any) -> dict[str, Any]:
    """Return the fields of a situation's record, without its kind."""
    return {name: value for name, value in asdict(found).items() if name != "kind"}


@dataclass(frozen=True, slots=True)
class Group:
    """The analysed requests of one endpoint. All amounts are estimates for all requests, dropped ones included."""

    endpoint: str
    requests: pd.DataFrame  # REQUEST_COLUMNS
    count: float  # requests, an estimate under tail sampling
    mean_wall_ns: float
    means: dict[Cause, float]  # ns per request
    shares: dict[Cause, float]  # of the wall time
    significant: tuple[Cause, ...]  # largest first
    causes: pd.DataFrame  # CAUSE_COLUMNS
    culprits: pd.DataFrame  # CULPRIT_COLUMNS
    jobs: pd.DataFrame  # of `pool_use`
    orders: pd.DataFrame  # of `serial_collection`
    spans: pd.DataFrame  # of all requests
    attributes: dict[str, dict[str, Any]]  # by identity, of spans that waited for a lock

    def of(self, cause: Cause) -> pd.DataFrame:
        """Return the rows of `causes` with this cause; none where the cause is not significant."""
        return self.causes[(self.causes["cause"] == cause) & (cause in self.significant)]

    def attributes_of(self, rows: pd.DataFrame) -> list[dict[str, Any]]:
        """Return for each of these rows the attributes of its span."""
        return [self.attributes.get(key, {}) for key in rows["span_id"]]


Detector = Callable[[Group], Iterable[Found]]
