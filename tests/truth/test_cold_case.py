"""The story's service, cold: what the report says of it unaided, at 1 to 64 clients, against what its own clocks and its
clients say, and against the changes that its author tried, made."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final, NamedTuple

import pandas as pd
import pytest

from demo_service.driver.connection import Connection
from testbed.disturbed import disturbed
from testbed.machine import others_since_now
from testbed.service import get, traced_service
from whywait import analysis
from whywait.analysis.capacity.demand import Resource
from whywait.analysis.causes import Cause
from whywait.analysis.model import Analysis
from whywait.analysis.report.foretold import foretold
from whywait.analysis.report.told import Told, told_of
from whywait.analysis.situations.running.timers import TIMES
from whywait.analysis.situations.situation import Situation, numbers
from whywait.analysis.verdicts.capacity_words import sentences

MS: Final = 1e6
PODS: Final = json.dumps([{f"feature_{number}": pod / 7 for number in range(8)} for pod in range(7)]).encode()
ROUNDS: Final = {1: 32, 4: 8, 16: 3, 64: 2}  # requests of each client; a prediction takes 30 in all
OTHERS: Final = 0.2  # of a CPU, used by other programs: then the GIL is not what saturates first
NOTHING: Final = 0.25  # of p50: what a change brings that brings nothing, on a machine that does other things, too
BATCH: Final = 0.25  # error of the batch's p50 at the median number of clients; aimed at: 0.15
HOLD: Final = 0.85  # of the intervals, over two recordings; over one all
NEAR: Final = 1.15  # of the service's own clocks, against the tracer's
BATCHES: Final = 4  # times as many requests, as one takes a tenth of the time
SETTLED_S: Final = 1.5  # the traces have not grown for so long: what was kept is built, and takes no more CPU
SETTLES_S: Final = 30.0


class Cell(NamedTuple):
    """What clients felt, and what the service's own clocks said of its predicts: by the wall, and CPU time, ns."""

    start_s: float
    end_s: float
    felt_ns: list[int]
    stamps: list[tuple[int, int]]

    @property
    def p50_ns(self) -> float:
        return median(self.felt_ns)

    @property
    def per_s(self) -> float:
        return len(self.felt_ns) / (self.end_s - self.start_s)


class Found(NamedTuple):
    traces: pd.DataFrame
    cells: dict[tuple[str, int], Cell]
    others: float  # CPUs that other programs used meanwhile

    def undisturbed(self) -> None:
        """What saturates first is another thing where others use the CPUs."""
        if self.others > OTHERS:
            disturbed(f"other programs used {self.others:.2f} of a CPU")


async def _sent(url: str, path: str, clients: int, rounds: int) -> list[int]:
    async def client() -> list[int]:
        connection = Connection(url)
        took = [await connection.post(path, PODS, {"content-type": "application/json"}) for _ in range(rounds)]
        connection.close()
        assert {status for status, *_ in took} == {200}
        return [ns for *_, ns in took]

    return [ns for one in await asyncio.gather(*(client() for _ in range(clients))) for ns in one]


def driven(url: str, path: str, clients: int, rounds: int) -> Cell:
    start_s = time.time()
    felt_ns = asyncio.run(_sent(url, path, clients, rounds))
    end_s = time.time()
    return Cell(start_s, end_s, felt_ns, json.loads(get(f"{url}/stamps")))


def settle(output: Path) -> None:
    """Wait until the traces grow no more."""
    until_s, size, since_s = time.monotonic() + SETTLES_S, -1, time.monotonic()
    while time.monotonic() < min(until_s, since_s + SETTLED_S):
        time.sleep(0.1)
        if size != (size := sum(one.stat().st_size for one in output.rglob("*.jsonl*"))):
            since_s = time.monotonic()


@contextmanager
def cold_service(output: Path, keep: str) -> Iterator[Callable[..., Cell]]:
    with traced_service(output, app="tests.truth.cold_app:app", environment={"WHYWAIT_KEEP": keep}) as url:
        for path in ("to_thread", "batch"):
            driven(url, f"/{path}", 1, 2)

        def cell(path: str, clients: int, rounds: int, said: str = "") -> Cell:
            get(f"{url}/set?{said}")
            one = driven(url, f"/{path}", clients, rounds)
            settle(output)
            return one

        yield cell


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return recorded(tmp_path_factory.mktemp("cold"))


def recorded(output: Path) -> Found:
    others = others_since_now()
    try:
        with cold_service(output, "all") as cell:
            cells = {
                (path, clients): cell(path, clients, times * rounds)
                for clients, rounds in ROUNDS.items()
                for path, times in (("to_thread", 1), ("batch", BATCHES))
            }
            cells["pool_per_request", 16] = cell("pool_per_request", 16, 1)
            used = others()
    except AssertionError as lost:  # spans are built where no CPU is wanted otherwise
        if (used := others()) > OTHERS:
            disturbed(f"other programs used {used:.2f} of a CPU: {lost}")
        raise
    return Found(analysis.load_traces(output).spans, cells, used)


def analysed(found: Found, path: str, clients: int, beside: tuple[str, int] | None = None) -> Analysis:
    """The requests of one cell, as if they alone had been recorded, or another cell's before or after them."""
    spans = found.traces
    began = spans["trace_id"].map(spans.groupby("trace_id")["start_ns"].min())
    chosen = pd.Series(False, index=spans.index)
    for name in ((path, clients), beside):
        if name is not None:
            cell = found.cells[name]
            chosen |= began.between((cell.start_s - 0.02) * 1e9, cell.end_s * 1e9)
    whole = analysis.analyze(spans[chosen].reset_index(drop=True))
    own = analysis.only_endpoint(whole, f"/{path}")
    assert len(own.requests) == len(found.cells[path, clients].felt_ns)
    return own


@pytest.fixture(scope="module")
def told(found: Found) -> dict[int, Told]:
    return {clients: told_of(analysed(found, "to_thread", clients)) for clients in ROUNDS}


def test_timers_read_too_much_and_asyncio_is_not_the_cause(found: Found, told: dict[int, Told]) -> None:
    for clients in ROUNDS:
        (one,), stamps = told[clients].verdicts, found.cells["to_thread", clients].stamps
        timers = [numbers(each) for each in one.judgement.situations if each.kind is Situation.TIMERS]
        read_ns, own_ns = (fmean(each) for each in zip(*stamps, strict=True))
        assert clients == 1 or read_ns > NEAR * TIMES * own_ns
        if not timers:  # of one client they read about so much
            assert read_ns < NEAR * TIMES * own_ns, clients
            continue
        assert read_ns > TIMES / NEAR * own_ns, clients
        (timer,) = timers
        assert timer["function"] == "predict"
        assert timer["read_ns"] == pytest.approx(read_ns, rel=0.1)
        times = timer["read_ns"] / timer["own_ns"]
        assert times == pytest.approx(read_ns / own_ns, rel=0.15)
        assert timer["gil_ns"] + timer["run_queue_ns"] + timer["logging_ns"] > 0.5 * read_ns
        said = " ".join(one.situations)
        assert f"{times:.0f} times the" in said
        assert "asyncio is not the cause" in said
        assert "Each request handed 14 jobs of predict to a pool; one batch would serve." in said


def test_who_is_ahead(told: dict[int, Told]) -> None:
    """One client's fourteen jobs delay each other; of more clients, the other requests do."""
    for clients in ROUNDS:
        (one,) = told[clients].verdicts
        first = one.judgement.reasons[0]
        assert (first.cause, first.culprit) == (Cause.POOL_QUEUE, "predict")
        assert first.other_requests_share == 0 if clients == 1 else first.other_requests_share > 0.5


def test_a_pool_for_each_request_is_named(found: Found) -> None:
    (one,) = told_of(analysed(found, "pool_per_request", 16)).verdicts
    assert Situation.POOL_PER_REQUEST in {each.kind for each in one.judgement.situations}


def test_what_the_author_tried_brings_nothing_as_the_report_says(found: Found, tmp_path: Path) -> None:
    own = analysed(found, "to_thread", 16, ("batch", 1))
    with_words = foretold(own, told_of(own))
    if not with_words.predictions:
        found.undisturbed()
    assert with_words.predictions, with_words.verdicts[0].remedy
    prediction: Any = with_words.predictions["POST /to_thread"]
    assert prediction["options"] == "--batch predict"
    p50 = prediction["felt_p50_ns"]
    assert p50["after"] < 0.5 * p50["before"]
    tried = prediction["often_tried"]
    settings = {
        "--pool 'default executor=12'": "workers=12", "--without logging_wait": "logged=false",
        "--switch-interval 0.5": "interval=0.0005",
    }  # fmt: skip
    assert tried.keys() == settings.keys()
    with cold_service(tmp_path, "slow") as cell:
        usual = [cell("to_thread", 16, 2).p50_ns]
        after_ns = {}
        for options, said in settings.items():
            after_ns[options] = cell("to_thread", 16, 2, said).p50_ns
            usual.append(cell("to_thread", 16, 2).p50_ns)
    for options, one_ns in after_ns.items():
        # of few replays, so that it may err on the side of a loss
        assert 1 - NOTHING / 2 < tried[options]["after"] / tried[options]["before"] < 1 + NOTHING, options
        assert one_ns > (1 - NOTHING) * min(usual), options


def test_the_interpreter_is_the_limit_and_what_a_batch_brings(
    found: Found, told: dict[int, Told], tmp_path: Path
) -> None:
    """The batch is predicted from requests of one row in each job, and what some of fourteen took: one client's batches."""
    found.undisturbed()
    for clients in ROUNDS:
        (process,), cell = told[clients].processes, found.cells["to_thread", clients]
        assert process.limit is not None, clients
        assert process.limit.resource is Resource.GIL, clients
        own_ns = sum(own for _, own in cell.stamps) / len(cell.felt_ns)
        assert 0.95 * own_ns < process.limit.demand_ns < 1.6 * own_ns  # what the server and asyncio compute, too
        (words,) = sentences(told[clients].processes)
        assert words.startswith("The GIL is the limit: each POST /to_thread needs it for")
        assert "More threads or a larger pool cannot help; less Python per request or more processes can." in words
    outcomes = batches(found)
    if not fits(
        outcomes, 1.0
    ):  # a few dozen requests vary, and a 95% interval fails now and then: another recording decides
        outcomes += batches(recorded(tmp_path))
        assert fits(outcomes, HOLD), outcomes


def fits(outcomes: list[tuple[float, bool]], hold: float) -> bool:
    """Return whether the errors are within the bound, and this share of the intervals holds."""
    return median(error for error, _ in outcomes) < BATCH and fmean(holds for _, holds in outcomes) >= hold


def batches(found: Found) -> list[tuple[float, bool]]:
    """Return by how much the prediction of the batch's p50 errs for each number of clients, and whether its interval holds."""
    outcomes = []
    for clients in ROUNDS:
        prediction = analysis.whatif(analysed(found, "to_thread", clients, ("batch", 1)), batch=["predict"])
        measured_ns = found.cells["batch", clients].p50_ns
        assert prediction.clients == pytest.approx(clients, abs=1)
        holds = prediction.p50.low < measured_ns < prediction.p50.high
        outcomes.append((abs(prediction.p50.after / measured_ns - 1), holds))
    return outcomes
