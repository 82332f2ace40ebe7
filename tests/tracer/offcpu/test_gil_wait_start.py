"""When a call's wait for the GIL began, by looks at its thread and by how often that slept. Pure, in drawings."""

import pytest

from whywait.tracer.host.thread_clocks import NOT_COUNTED
from whywait.tracer.offcpu.gil_wait_start import Onset, onset
from whywait.tracer.offcpu.state_split import Memory, Split, returned
from whywait.tracer.sampler.child.record_writer import goes_on
from whywait.tracer.sampler.shared.thread_records import CALL, GIL, RUNNING, pack_round, unpack_round
from whywait.tracer.sampler.thread_samples import Stay

MS = 1_000_000
INTERVAL = 5 * MS
FULL = 5.06  # how long a round lasts that nobody ends
START, END = 100, 120


def called(at: float, until: float | None = None) -> Stay:
    return Stay(int(at * MS), int((at if until is None else until) * MS), CALL, 45)


def waited(at: float, began: float | None = None, sleeps: int = 0) -> Stay:
    number = 0 if began is None else pack_round(int((at - began) * MS), sleeps)
    return Stay(int(at * MS), int(at * MS), GIL, number)


def ran(at: float) -> Stay:
    return Stay(int(at * MS), int(at * MS), RUNNING, 0)


def began(*stays: Stay, sleeps: int = NOT_COUNTED, blocks: bool = True, contended: bool = True) -> Onset | None:
    return onset(START * MS, END * MS, stays, sleeps, INTERVAL, blocks=blocks, contended=contended)


def ms(found: Onset | None) -> float:
    assert found is not None
    assert START * MS <= found.at_ns <= END * MS
    assert found.error_ns >= 0
    return found.at_ns / MS


@pytest.mark.parametrize(
    ("stays", "at_ms"),
    [
        pytest.param([called(103), waited(112, 110.5, 1)], 110.5, id="its first round was seen"),
        pytest.param([called(103, 109), waited(112, 110.5, 1)], 110.5, id="whenever it was seen in the call"),
        pytest.param([called(103), waited(112, 110.5, 2)], 110.5 - FULL, id="one round had passed"),
        pytest.param([called(107), waited(112, 110.5, 2)], 107, id="but was seen in the call since"),
        pytest.param([waited(96, 95, 1), called(103), waited(112, 110.5, 1)], 110.5, id="an earlier wait"),
        pytest.param([waited(101, 100.1, 1), called(103), waited(112, 110.5, 1)], 110.5, id="on its way in"),
        pytest.param([called(103), ran(109), waited(112, 110.5, 1)], 110.5, id="run meanwhile"),
        pytest.param([waited(112, 110.5, 1)], 110.5, id="not seen in the call, and slept there"),
        pytest.param([waited(102, 100.02, 3)], 100, id="the data was there"),
        pytest.param([waited(100.1, 100.1, 1), waited(112, 110.5, 1)], 110.5, id="it had to give up the GIL"),
        pytest.param([waited(112, 100.02 + 2 * FULL, 7)], 100, id="and two rounds had passed"),
        pytest.param([called(103), waited(112), waited(118)], 107.5, id="when the round began was not told"),
    ],
)
def test_the_first_round_that_was_seen_tells_it(stays: list[Stay], at_ms: float) -> None:
    assert ms(began(*stays)) == pytest.approx(at_ms, abs=0.01)


def test_what_sleeps_are_left_for_rounds_that_nobody_saw() -> None:
    seen = called(103), waited(112, 110.5, 4)
    assert ms(began(*seen, sleeps=3)) == pytest.approx(110.5)  # its data, this round, and one to the end
    assert ms(began(*seen, sleeps=4)) == pytest.approx(110.5 - FULL)
    assert ms(began(waited(112, 110.5, 9), sleeps=3)) == pytest.approx(110.5)


def test_who_was_seen_to_run_before_its_first_round_may_have_lacked_a_cpu() -> None:
    found = began(called(103), ran(109), waited(112, 110.5, 1))
    assert found is not None
    assert found.queued_before_ns == 1.5 * MS
    unseen = began(called(103), waited(112, 110.5, 1), ran(115))
    assert unseen is not None
    assert unseen.queued_before_ns == 0


def test_what_was_seen_is_surer_than_what_was_not() -> None:
    seen = began(called(103), waited(112, 110.5, 1))
    missed = began(called(103), waited(112, 110.5, 2))
    unseen = began(called(103), sleeps=3)
    assert seen is not None
    assert missed is not None
    assert unseen is not None
    assert seen.error_ns < 0.1 * MS < missed.error_ns
    assert seen.error_ns < 0.1 * MS < unseen.error_ns


@pytest.mark.parametrize(
    ("stays", "sleeps", "blocks"),
    [
        pytest.param([], 0, True, id="it never slept"),
        pytest.param([], 1, True, id="it slept for its data"),
        pytest.param([called(103)], 1, True, id="and was seen to"),
        pytest.param([called(103)], 1, False, id="though such calls seldom do"),
        pytest.param([ran(119)], 1, True, id="and lacked a CPU"),
    ],
)
def test_who_slept_once_waited_for_no_gil(stays: list[Stay], sleeps: int, blocks: bool) -> None:
    assert began(*stays, sleeps=sleeps, blocks=blocks) == Onset(END * MS, 0)


def test_a_wait_that_nobody_saw_is_rather_short() -> None:
    known = ms(began(called(112), sleeps=2))
    assert END - FULL < known < END  # one round at most
    assert ms(began(sleeps=3)) < known
    assert ms(began(called(119), sleeps=9)) >= 119  # the call was seen


def test_a_call_that_was_seen_to_run_was_over_by_then() -> None:
    assert 112 <= ms(began(called(112), ran(114), sleeps=4)) <= 114


def test_a_call_that_seldom_sleeps_slept_for_the_gil() -> None:
    assert ms(began(sleeps=1, blocks=False)) < END
    assert ms(began(waited(112, 110.5, 3), blocks=False)) == START


def test_where_nobody_waits_for_the_gil_a_second_sleep_is_the_calls_own() -> None:
    assert began(called(103), sleeps=4, contended=False) == Onset(END * MS, 0)


def test_what_was_neither_seen_nor_counted_cannot_be_told() -> None:
    assert began() is None
    assert began(called(103)) is None
    assert onset(5, 5, [], 1, INTERVAL, blocks=True, contended=True) is None


@pytest.mark.parametrize("ago_ns", [0, 1_500_000, 4_999_000])
@pytest.mark.parametrize("turns", [0, 1, 900])
def test_what_a_record_says_of_a_round(ago_ns: int, turns: int) -> None:
    number = pack_round(ago_ns, turns)
    assert 0 < number < 2**31
    assert unpack_round(number) == (ago_ns, turns)


def test_what_does_not_fit_a_record_is_cut_short() -> None:
    ago_ns, turns = unpack_round(pack_round(10**12, 10**9)) or (0, 0)
    assert ago_ns >= 10**9
    assert turns >= 1_000
    assert pack_round(10**12, 10**9) < 2**31
    assert unpack_round(0) is None


@pytest.mark.parametrize(
    ("later_ms", "turns", "same"),
    [
        pytest.param(0, 0, True, id="the same round"),
        pytest.param(FULL, 1, True, id="the next"),
        pytest.param(3 * FULL, 3, True, id="three later"),
        pytest.param(2.0, 1, False, id="had the GIL meanwhile, or was woken in vain"),
        pytest.param(12.0, 1, False, id="slept in something else"),
        pytest.param(FULL, 4, False, id="ran oftener than rounds passed"),
    ],
)
def test_rounds_of_one_wait(later_ms: float, turns: int, same: bool) -> None:
    assert goes_on(100 * MS, int((100 + later_ms) * MS), turns, INTERVAL) is same
    assert not goes_on(0, 100 * MS, 1, INTERVAL)


def test_who_comes_back_runs_no_longer_than_that_takes() -> None:
    split = Split(6 * MS, 0, 0, 4, MS, 3 * MS, True)
    found = returned(split)
    assert found.running_ns < 0.1 * MS
    assert found.gil_ns + found.running_ns == 9 * MS
    assert returned(split._replace(gil_ns=0)) == split._replace(gil_ns=0)  # nobody was seen to wait for it


def test_shares_of_a_kind() -> None:
    memory = Memory()
    assert memory.share("read", GIL) == 0
    memory.split("read", 4 * MS, {GIL: 1, CALL: 3}, running=False)
    assert memory.share("read", GIL) == 0.25
    assert memory.share("read", GIL, CALL) == 1
    assert memory.share("write", GIL) == 0
