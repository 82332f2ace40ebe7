"""A replay agrees with what queueing theory says of the same queues."""

from math import exp
from random import Random

import pytest

from whywait.analysis.errors import InputError
from whywait.analysis.prediction.programs import LOOP, Give, Join, Load, Pause, Program, Resources, Run, Start, Take
from whywait.analysis.prediction.replay import replay

MS = 1e6


def alone(*steps):
    return Program((steps,))


def mean_value_analysis(clients, think, demand):
    """Throughput per ms of one station and a delay, by exact mean value analysis."""
    queue, throughput = 0.0, 0.0
    for number in range(1, clients + 1):
        felt = demand * (1 + queue)
        throughput = number / (felt + think)
        queue = throughput * felt
    return throughput


def test_a_closed_loop_at_one_station_has_the_throughput_of_mean_value_analysis():
    random = Random(3)
    programs = [
        alone(Pause(random.expovariate(1 / 20) * MS), Take("lock"), Pause(random.expovariate(1 / 5) * MS), Give("lock"))
        for _ in range(6_000)
    ]
    found = replay(programs, Resources({"lock": 1}), Load(5))
    assert found.throughput / 1e3 == pytest.approx(mean_value_analysis(5, 20, 5), rel=0.04)


def test_an_open_load_at_one_station_waits_as_long_as_the_theory_of_one_queue_says():
    random = Random(3)
    programs = [alone(Take("lock"), Pause(random.expovariate(1 / 5) * MS), Give("lock")) for _ in range(15_000)]
    found = replay(programs, Resources({"lock": 1}), Load(rate=100))
    assert sum(found.felt_ns) / len(found.felt_ns) / MS == pytest.approx(10, rel=0.1)  # 1 / (1/5 - 1/10)


@pytest.mark.parametrize(
    ("gil", "cpus", "clients", "per_second"),
    [(True, 2, 4, 125), (False, 2, 4, 250), (False, 2, 1, 125), (False, 8, 4, 500)],
)
def test_computing_is_limited_by_the_gil_or_by_the_cpus(gil, cpus, clients, per_second):
    found = replay([alone(Run(8 * MS, gil))] * 400, Resources(cpus=cpus), Load(clients))
    assert found.throughput == pytest.approx(per_second, rel=0.02)


def test_threads_of_others_take_their_share_of_the_cpus():
    """Of a Poisson number of others, N, the mean of min(1, 2 / (1 + N)): 2 (1 - e^-m) / m, less what is over 1 at N = 0."""
    share = 2 * (1 - exp(-3)) / 3 - exp(-3)
    found = replay([alone(Run(8 * MS))] * 400, Resources(cpus=2, rivals=3), Load(1))
    assert found.throughput == pytest.approx(125 * share, rel=0.02)
    assert found.cpu_wait_share == pytest.approx(1 - share, rel=0.02)


def test_few_others_take_little_also_where_all_cpus_are_used():
    found = replay([alone(Run(8 * MS, False))] * 400, Resources(cpus=2, rivals=0.1), Load(2))
    assert 235 < found.throughput < 245  # of 250


def test_what_was_waited_for_the_gil_is_told():
    assert replay([alone(Run(4 * MS))] * 400, Resources(), Load(2)).gil_wait_ns == pytest.approx(4 * MS, rel=0.02)
    assert replay([alone(Run(4 * MS, False))] * 400, Resources(), Load(2)).gil_wait_ns == 0


def test_who_holds_the_gil_is_asked_to_drop_it_after_the_switch_interval():
    short, long = alone(Run(1 * MS)), alone(Run(40 * MS))
    found = replay([long, short] * 200, Resources(cpus=2), Load(2))
    assert min(found.felt_ns) < 15 * MS  # without turns a short one waits for 40 ms


def test_two_processes_have_two_gils_and_share_the_cpus():
    programs = [alone(Run(8 * MS))] * 400
    assert replay(programs, Resources(cpus=4, processes=2), Load(30)).throughput == pytest.approx(250, rel=0.02)
    assert replay(programs, Resources(cpus=1, processes=2), Load(30)).throughput == pytest.approx(125, rel=0.02)


def test_a_request_goes_on_when_the_last_of_its_jobs_has_ended():
    def job(ms):
        return (Take("pool"), Pause(ms * MS), Give("pool"))

    program = Program(((Start(1), Start(2), Join((1, 2)), Pause(1 * MS)), job(10), job(20)))
    assert set(replay([program] * 40, Resources({"pool": 2}), Load(1)).felt_ns) == {21 * MS}
    assert replay([program] * 40, Resources({"pool": 1}), Load(1)).felt_ns[0] == 31 * MS


def test_requests_that_wait_for_one_another_in_a_circle_are_not_predicted():
    program = Program(((Take("lock"), Start(1), Join((1,)), Give("lock")), (Take("lock"), Give("lock"))))
    with pytest.raises(InputError, match="in a circle"):
        replay([program] * 4, Resources({"lock": 1}), Load(1))


def test_a_thread_keeps_the_gil_from_one_thing_that_it_does_to_the_next():
    """Three requests on the loop, 1 ms each, beside a job that computes all the time: they wait once, not each."""
    on_loop, job = alone(Take(LOOP), Run(1 * MS), Give(LOOP)), alone(Run(400 * MS))
    found = replay([job, on_loop, on_loop, on_loop], Resources({LOOP: 1}), Load(4), whole=True)
    assert [round(ns / MS) for ns in found.felt_ns] == [6, 7, 8, 403]
