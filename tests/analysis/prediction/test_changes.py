"""What a change does to the steps of requests."""

import pytest

from tests.analysis.drawing import drawn
from whywait.analysis.errors import InputError
from whywait.analysis.pipeline import analyze
from whywait.analysis.prediction.changes import Change, changed
from whywait.analysis.prediction.holds import Recording
from whywait.analysis.prediction.programs import Load, Pause, Program, Resources, Run
from whywait.analysis.prediction.replay import replay
from whywait.analysis.prediction.whatif import whatif

MS = 1e6
ASKS = Program(
    ((Run(1 * MS, True, ("ask",)), Pause(20 * MS, ("ask",)), Run(1 * MS, True, ("ask",)), Pause(30 * MS, ("ask",)), Pause(5 * MS, ("other",))),)
)  # fmt: skip


def felt(change: Change) -> float:
    steps, after = changed([ASKS] * 10, Resources(), Recording(), change)
    return replay(steps, after, Load(1)).felt_ns[0] / MS


@pytest.mark.parametrize(
    ("change", "ms"),
    [
        (Change(), 57), (Change(together=("ask",)), 37), (Change(faster={"ask": 2}), 31), (Change(without=("ask",)), 5),
    ],
)  # fmt: skip
def test_waits_of_a_function_pass_at_once_or_faster_or_not_at_all(change: Change, ms: float) -> None:
    assert felt(change) == pytest.approx(ms)


def test_what_was_computed_around_the_waits_of_a_function_goes_with_it_or_stays() -> None:
    around = Program(((Run(2 * MS, True, (), near=("ask",)), Pause(20 * MS, ("ask",)), Run(3 * MS, True, ("other",))),))
    for near, ms in ((False, 5), (True, 3)):
        steps, after = changed([around] * 10, Resources(), Recording(), Change(without=("ask",)), near=near)
        assert replay(steps, after, Load(1)).felt_ns[0] / MS == pytest.approx(ms)


def test_a_function_that_is_not_in_the_recording_is_an_error_that_names_those_that_are() -> None:
    with pytest.raises(InputError, match="no function 'fetch' in this recording; it has: ask, other"):
        felt(Change(together=("fetch",)))


def test_one_request_is_too_few_and_is_no_plural() -> None:
    found = analyze(drawn("server GET |-----|\ntask root |-----| cpu=2"))
    with pytest.raises(InputError, match=r"^cannot predict from 1 request: record at least "):
        whatif(found, clients=2)
