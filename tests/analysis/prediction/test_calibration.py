"""A replay that lacks something is fitted by what would cause it: by computing where that is what all wait for."""

from random import Random

import pytest

from whywait.analysis.prediction.calibration import calibrated, figures_of, load_of
from whywait.analysis.prediction.holds import Recording
from whywait.analysis.prediction.programs import Load, Pause, Program, Resources, Run
from whywait.analysis.prediction.replay import replay
from whywait.analysis.prediction.whatif import _range

MS = 1_000_000


def after_fitting(recorded_ms: float, clients: int, later: int) -> list[float]:
    """Of requests that compute for 5 ms and waited 5 ms for the GIL, recorded with so many clients: what the fitted
    replay takes with these, and with those of later, ms."""
    found = Recording([Program(((Run(5 * MS), Pause(5 * MS, (), "gil_wait", True)),))] * 40)
    found.felt_ns = [int(recorded_ms * MS)] * 40
    found.starts_ns = [int(number * recorded_ms * MS / clients) for number in range(40)]
    resources, load = Resources(cpus=2), Load(clients)
    programs, _ = calibrated(found, resources, load, figures_of(found))
    times = (replay(programs * 5, resources, Load(many)).felt_ns for many in (clients, later))
    return [sum(one) / len(one) / MS for one in times]


def test_what_saturates_is_made_longer_and_so_scales_with_the_clients() -> None:
    four_ms, one_ms = after_fitting(22, 4, 1)
    assert abs(four_ms - 22) < 0.6
    assert abs(one_ms - 5.5) < 0.2


def test_what_computing_cannot_have_caused_stays_a_wait() -> None:
    one_ms, four_ms = after_fitting(8, 1, 4)
    assert abs(one_ms - 8) < 0.2
    assert abs(four_ms - 20) < 0.6  # it waits while others compute


def loaded(clients: int, felt_ms: float, think_ms: float, overlap_ms: float = 0.0) -> Recording:
    """Requests of clients that think between them; a server's end of one is after the client has it, by the overlap."""
    random, found = Random(2), Recording()
    for _ in range(clients):
        now = random.uniform(0, felt_ms)
        for _ in range(200):
            took = random.uniform(0.7, 1.3) * felt_ms
            found.starts_ns.append(int(now * MS))
            found.felt_ns.append(int((took + overlap_ms) * MS))
            now += took + random.expovariate(1 / think_ms) if think_ms else took
    return found


@pytest.mark.parametrize(
    ("clients", "think_ms", "overlap_ms"),
    [(1, 0, 0), (1, 0, 0.5), (4, 0, 0), (4, 0, 0.5), (6, 0, 0.3), (6, 4, 0), (20, 0, 0), (20, 0, 0.2), (20, 4, 0)],
)
def test_the_clients_of_a_closed_load_are_counted_also_where_their_requests_overlap(
    clients: int, think_ms: float, overlap_ms: float
) -> None:
    load = load_of(loaded(clients, 20, think_ms, overlap_ms))
    assert load.rate is None
    assert load.clients == pytest.approx(clients, rel=0.05)
    assert load.think_ns / MS == pytest.approx(think_ms, abs=0.1 * (20 + think_ms))


@pytest.mark.parametrize(("clients", "each", "think_ms"), [(16, 3, 0), (16, 3, 20), (64, 2, 0), (32, 2, 0)])
def test_clients_that_send_only_a_few_requests_are_a_closed_load(clients: int, each: int, think_ms: float) -> None:
    """A service takes one at a time; nobody comes while the last are answered."""
    random, found, waiting, now = Random(2), Recording(), [0.0] * clients, 0.0
    for number in range(clients * each):
        came = waiting.pop(0)
        now = max(now, came) + random.uniform(8, 12)
        found.starts_ns.append(int(came * MS))
        found.felt_ns.append(int((now - came) * MS))
        if number < clients * (each - 1):
            waiting.append(now + think_ms)
    load = load_of(found)
    assert (load.rate, load.clients) == (None, pytest.approx(clients, abs=1))
    assert load.think_ns / MS == pytest.approx(think_ms, abs=10)


@pytest.mark.parametrize(("share", "late_ms"), [(0.3, 10), (0.2, 15), (0.15, 20)])
def test_requests_that_are_recorded_late_are_no_more_clients(share: float, late_ms: float) -> None:
    """Its client has the answer while the server waits for the GIL to end the request."""
    random, found = Random(2), Recording()
    for _ in range(8):
        now = random.uniform(0, 20)
        for _ in range(200):
            took, late = random.uniform(14, 26), random.uniform(0, late_ms) if random.random() < share else 0.0
            found.starts_ns.append(int(now * MS))
            found.felt_ns.append(int((took + late) * MS))
            now += took + random.uniform(0, 0.5)
    load = load_of(found)
    assert (load.rate, load.clients) == (None, 8)
    assert load.think_ns < MS


@pytest.mark.parametrize("count", [60, 200, 2_000])
def test_requests_at_random_moments_are_an_open_load(count: int) -> None:
    random, found, now = Random(2), Recording(), 0.0
    for _ in range(count):
        now += random.expovariate(1 / 5)
        found.starts_ns.append(int(now * MS))
        found.felt_ns.append(int(random.uniform(14, 26) * MS))
    assert load_of(found).rate == pytest.approx(200, rel=0.2 if count < 2_000 else 0.05)


def test_what_a_queue_would_bring_that_passes_is_in_the_interval_and_not_in_the_prediction() -> None:
    found = _range(100.0, [0.5] * 4, [0.25] * 4, 0.1, 0.0)
    assert found.after == pytest.approx(50)
    assert found.low < 25
    assert found.high < 70
