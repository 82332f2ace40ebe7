"""The closed set of situations: patterns over many requests. One file of this folder finds each, as numbers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pandas as pd

from whywait.analysis.causes import Cause
from whywait.analysis.situations.holders.chain import Meanwhile
from whywait.analysis.situations.holders.holders import Holders
from whywait.analysis.situations.thresholds import MIN_MEAN_NS, MIN_SHARE
from whywait.analysis.spans.by_trace import ByTrace
from whywait.tracer.schema import KIND


class Situation(StrEnum):
    """The kind of a pattern among the requests of one endpoint."""

    MANY_JOBS = "many_jobs"
    FEW_JOBS = "few_jobs"
    SENSITIVE_THREAD = "sensitive_thread"
    POOL_PER_REQUEST = "pool_per_request"
    COMPUTES_ON_LOOP = "computes_on_loop"
    COMPUTES_IN_WORKER = "computes_in_worker"
    LOOP_BLOCKED = "loop_blocked"
    LOOP_TURNS = "loop_turns"
    SERIAL_COLLECTION = "serial_collection"
    GIL_STARVATION = "gil_starvation"
    CONNECTIONS_HELD = "connections_held"
    HELD_AFTERWARDS = "held_afterwards"
    BACKGROUND_HOLDS = "background_holds"
    GIL_HELD = "gil_held"
    TIMERS = "timers"
    LOCK_CONVOY = "lock_convoy"
    IMPORT_LOCK = "import_lock"
    SUBMIT_LOCK = "submit_lock"
    NATIVE_QUEUE = "native_queue"
    CPU_OTHER_PROCESSES = "cpu_other_processes"
    CPU_SIBLING_PROCESSES = "cpu_sibling_processes"
    CPU_OWN_THREADS = "cpu_own_threads"
    CPU_NATIVE_THREADS = "cpu_native_threads"
    CPU_QUOTA = "cpu_quota"
    OVERSUBSCRIBED = "oversubscribed"
    FAILED_REQUESTS = "failed_requests"
    LOOP_HELD = "loop_held"
    NAGLE = "nagle"
    STREAMED = "streamed"
    HOLDERS_WAIT = "holders_wait"
    HOLDERS_COMPUTE = "holders_compute"
    HOLDERS_NEED_GIL = "holders_need_gil"
    HOLDERS_NEED_CPU = "holders_need_cpu"
    HOLDERS_NEED_LOOP = "holders_need_loop"
    HOLDERS_QUEUE = "holders_queue"
    HOLDERS_COLLECT = "holders_collect"
    ASKED_TO_COLLECT = "asked_to_collect"
    STAMPEDE = "stampede"
    CLIENT_PER_REQUEST = "client_per_request"
    CONNECTS = "connects"
    ASKS_ITSELF = "asks_itself"
    SERVED_IN_TURN = "served_in_turn"
    ROW_HELD = "row_held"
    CONSUMER = "consumer"
    BATCHES = "batches"
    MESSAGES_IN_TURN = "messages_in_turn"
    BY_TASK = "by_task"
    BY_THREAD = "by_thread"
    LARGE_TRANSFER = "large_transfer"
    STAMPEDE_WORK = "stampede_work"
    HOLDS_ONE = "holds_one"
    WAIT_CYCLE = "wait_cycle"
    BLOCKS_LOOP = "blocks_loop"
    IN_WORKER = "in_worker"
    THREAD_HOPS = "thread_hops"
    DATABASE = "database"
    LARGE_ANSWER = "large_answer"
    OTHER_SERVICE = "other_service"
    CHILD_PROCESS = "child_process"
    PAUSE = "pause"
    SLOW_READER = "slow_reader"
    CALLERS = "callers"
    SERIAL_AWAITS = "serial_awaits"
    RATE_LIMIT = "rate_limit"
    RETRIES = "retries"
    POLLING = "polling"
    PACED = "paced"
    SIGNAL = "signal"
    SPINS = "spins"
    TIME_LIMIT = "time_limit"
    LIMIT_IN_VAIN = "limit_in_vain"
    WINDOW = "window"
    INNER_LIMIT = "inner_limit"
    STRAGGLER = "straggler"
    COLD_START = "cold_start"
    SLOWEST_DIFFER = "slowest_differ"
    UNFINISHED = "unfinished"
    UNEXPLAINED = "unexplained"
    OWN_WORK = "own_work"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A situation. Its numbers are named where it is found; its sentence and its remedy take them by name."""

    kind: Situation
    of: Cause | None  # whose wait it is; None: of no single cause
    numbers: Mapping[str, Any]


def numbers(found: Pattern) -> dict[str, Any]:
    """Return a situation's numbers, and whose wait it is."""
    return {**({} if found.of is None else {"of": found.of}), **found.numbers}


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
    stopped: Mapping[Any, pd.DataFrame]  # of all endpoints, waits for what computed, by culprit and its file
    jobs: pd.DataFrame  # of `pool_use`
    orders: pd.DataFrame  # of `serial_collection`
    holders: Holders  # of all endpoints
    spans: ByTrace  # of all requests
    meanwhile: Mapping[Cause, tuple[Meanwhile, ...]]  # of each significant cause
    held: pd.DataFrame  # HELD_COLUMNS of its service
    attributes: dict[str, dict[str, Any]]  # by identity, of spans that waited and of their activities
    _known: dict[str, Any] = field(default_factory=dict, init=False)  # what was asked before

    @property
    def least_ns(self) -> float:
        """The least that is told, ns per request."""
        return max(MIN_MEAN_NS, MIN_SHARE * self.mean_wall_ns)

    def significant_of(self, *causes: Cause) -> list[Cause]:
        """Return those of these causes that are significant, in this order."""
        return [cause for cause in causes if cause in self.significant]

    def of(self, cause: Cause) -> pd.DataFrame:
        """Return the rows of `causes` with this cause; none where the cause is not significant."""
        return self._by_cause("causes", cause if cause in self.significant else None)

    def culprits_of(self, cause: Cause) -> pd.DataFrame:
        """Return the rows of `culprits` with this cause."""
        return self._by_cause("culprits", cause)

    def behind(self, cause: Cause) -> pd.DataFrame:
        """Return the rows of `holders` of these requests' waits of this cause."""
        return self.holders.behind(self.endpoint, cause)

    def _by_cause(self, name: str, cause: Cause | None) -> pd.DataFrame:
        table: pd.DataFrame = getattr(self, name)
        by_cause: dict[Any, pd.DataFrame] = self._once(name, lambda: dict(iter(table.groupby("cause", sort=False))))
        return by_cause.get(cause, table[:0])

    @property
    def own_spans(self) -> pd.DataFrame:
        """The spans of the traces of these requests."""
        found: pd.DataFrame = self._once("spans", lambda: self.spans.of(self.requests["trace_id"]))
        return found

    def _once(self, name: str, find: Callable[[], Any]) -> Any:
        if name not in self._known:
            self._known[name] = find()
        return self._known[name]

    def kinds_of(self, rows: pd.DataFrame) -> "pd.Series[Any]":
        """Return for each of these rows the kind of its activity (schema.KIND_*)."""
        return rows["activity_id"].map(lambda key: self.attributes.get(key, {}).get(KIND, ""))

    def attributes_of(self, rows: pd.DataFrame) -> list[dict[str, Any]]:
        """Return for each of these rows the attributes of its span."""
        return [self.attributes.get(key, {}) for key in rows["span_id"]]

    def most_of(self, cause: Cause, are: Callable[[dict[str, Any]], bool]) -> pd.DataFrame:
        """Return those rows of a cause whose span's attributes are so, where they have half of its time; else none."""
        own = self.of(cause)
        if own.empty:
            return own
        chosen = own.loc[[are(attributes) for attributes in self.attributes_of(own)]]
        return chosen if chosen["amount_ns"].sum() * 2 >= own["amount_ns"].sum() else chosen.head(0)


Detector = Callable[[Group], Iterable[Pattern]]
