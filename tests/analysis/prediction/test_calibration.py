"""A replay that lacks something is fitted by what would cause it: by computing where that is what all wait for."""

from whywait.analysis.prediction.calibration import calibrated, figures_of
from whywait.analysis.prediction.holds import Recording
from whywait.analysis.prediction.programs import Load, Pause, Program, Resources, Run
from whywait.analysis.prediction.replay import replay

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
