"""A real service, twice, with one known thing changed between: the comparison finds it, and nothing else."""

import json
import statistics
import threading
from pathlib import Path

import pytest

from testbed.disturbed import disturbed
from testbed.service import get, traced_service
from whywait import analysis
from whywait.analysis.changes.comparison import Change
from whywait.tracer import schema

REQUESTS = 16  # p50 needs 8


def run(output: Path, *paths: str, answers: list[str] | None = None) -> analysis.Analysis:
    """Traces a service that answers each path REQUESTS times, each by a client of its own, at once."""
    got = [] if answers is None else answers
    with traced_service(output) as url:

        def client(path: str) -> None:
            for _ in range(REQUESTS):
                got.append(get(f"{url}{path}"))

        clients = [threading.Thread(target=client, args=(path,)) for path in paths]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
    return analysis.analyze(output)


def change(before: analysis.Analysis, after: analysis.Analysis, endpoint: str) -> Change:
    compared = analysis.compare(before, after, 50)
    (one,) = [one for one in compared.changes if one.endpoint == endpoint]
    assert sum(part.delta_ns for part in one.causes) == one.delta_ns == one.after_ns - one.before_ns
    return one


def without_a_cpu_ms(found: analysis.Analysis) -> float:
    """The kernel's count of the time that the threads of a request spent in the run queue, per request."""
    waited_ns = sum(one.get(schema.RUN_QUEUE_NS, 0) for one in found.spans["attributes"])
    return float(waited_ns / 1e6 / len(found.requests))


def test_a_second_client_waits_for_the_lock(tmp_path: Path) -> None:
    before = run(tmp_path / "before", "/books?ms=20")
    answers: list[str] = []
    after = run(tmp_path / "after", "/books?ms=20", "/books?ms=20", answers=answers)
    waited_ns = statistics.median(had_ns - asked_ns for asked_ns, had_ns, _ in map(json.loads, answers))
    found = change(before, after, "GET /books")
    (blamed,) = found.blamed
    assert blamed.cause == "lock_wait"
    assert waited_ns > 5e6
    assert abs(blamed.delta_ns - waited_ns) < 5e6
    assert blamed.mover is not None
    assert blamed.mover.name == "keep_books"
    assert "truth/app.py" in blamed.mover.place


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> analysis.Analysis:
    return run(tmp_path_factory.mktemp("roomy"), "/pool/6?jobs=6&ms=15")


def test_a_smaller_pool_queues(roomy: analysis.Analysis, tmp_path: Path) -> None:
    found = change(roomy, run(tmp_path / "after", "/pool/2?jobs=6&ms=15"), "GET /pool/{size}")
    (blamed,) = found.blamed
    assert blamed.cause == "pool_queue"
    assert abs(blamed.delta_ns - 30e6) < 10e6  # three rounds instead of one
    assert blamed.mover is not None
    assert blamed.mover.name == "nap"


def test_the_same_service_again_is_no_change(roomy: analysis.Analysis, tmp_path: Path) -> None:
    """The two runs are minutes apart at times: where others had the CPU in one of them, they do differ."""
    again = run(tmp_path / "again", "/pool/6?jobs=6&ms=15")
    found = change(roomy, again, "GET /pool/{size}")
    without_cpu_ms = [without_a_cpu_ms(one) for one in (roomy, again)]
    if found.blamed and max(without_cpu_ms) > 1:
        disturbed("not alone here: without a CPU for {:.1f} and {:.1f} ms of a request".format(*without_cpu_ms))
    assert found.blamed == ()
    itself = change(roomy, roomy, "GET /pool/{size}")
    assert (itself.delta_ns, itself.certain, itself.blamed, itself.against) == (0, False, (), ())
