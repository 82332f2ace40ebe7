"""What of a wait for a socket is a wait for the GIL: a loop's poll ends when Python runs again. Pure, in drawings."""

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest

from whywait.tracer.offcpu.gil_holders import HolderPast
from whywait.tracer.offcpu.state_split import Memory
from whywait.tracer.offcpu.thread_observer import Observed
from whywait.tracer.records.loop import Callback, Loop
from whywait.tracer.records.request import IO, IO_LATE, TIMER, Mark, Request, Wait
from whywait.tracer.sampler.shared.thread_records import GIL, POLL, RUNNING
from whywait.tracer.sampler.thread_samples import Samples, Seen, Stay
from whywait.tracer.schema import WAIT_AWAIT
from whywait.tracer.spans.past import Past
from whywait.tracer.spans.request_context import Drawing
from whywait.tracer.spans.waits.wait_spans import add_wait

MS = 1_000_000
STATES = {"p": POLL, "g": GIL, "r": RUNNING}


def told_ms(samples: str, by: Mark = IO, ran_until: int = 0, memory: Memory | None = None) -> float:
    """The GIL's part of a wait as long as the drawing, which has a sample of its loop's thread each millisecond; the
    loop's latest callback ended at `ran_until`."""
    stays = [Stay(at * MS, at * MS, STATES[one], 0) for at, one in enumerate(samples) if one in STATES]

    def within(_: int, start_ns: int, end_ns: int) -> list[Stay]:
        return [one for one in stays if start_ns <= one.first_ns <= end_ns]

    def seen(thread_id: int, *stretch: int, woken: bool = False) -> Seen:
        return Seen(Counter(one.state for one in within(thread_id, *stretch)), Counter(), [])

    found = SimpleNamespace(
        stays=within, seen=seen, run_queue_ns=lambda *_: 0, run_queue_around_ns=lambda *_: 0,
        cpu=SimpleNamespace(libraries={}, process=SimpleNamespace(id=0), during=lambda *_: (), throttled=lambda *_: []),
    )  # fmt: skip
    observed = Observed(cast(Samples, found), memory or Memory(), HolderPast({}, {}, {}, {}, {}))
    end_ns = len(samples) * MS
    request = Request(1, 1, 1, 0, 0)
    request.end_ns, request.loop = end_ns, Loop(5, 7)
    past = Past(callbacks={5: [Callback(0, ran_until * MS, 0, 1, 0, 0, None, None, None)]})
    drawing = Drawing(request, past, (), MS, {}, observed)
    add_wait(drawing, request.root, Wait(WAIT_AWAIT, 0, end_ns, end_ns, by, None, 0), {})
    about: Any = drawing.made[0].about
    return (about.off_cpu.gil_ns or 0) / MS


@pytest.mark.parametrize("by", [IO, IO_LATE])
def test_the_loop_slept_until_its_data_came_and_waited_for_the_gil_then(by: Mark) -> None:
    assert told_ms("ppppppppppppgggggggg", by) == pytest.approx(8.5)  # from between two samples on


@pytest.mark.parametrize("samples", ["pppppppppppppppppppp", "prprprrpprrrprprprpp", "                    "])
def test_nothing_of_it_is_the_gils_where_no_sample_shows_that(samples: str) -> None:
    assert told_ms(samples) == 0


def test_what_the_loop_waited_before_it_polled_again_is_not_of_this_poll() -> None:
    assert told_ms("ppgggggrrrpppppppppp", ran_until=10) == 0


def test_a_timer_is_due_at_its_time_whatever_the_loop_does() -> None:
    assert told_ms("ppppppppppppgggggggg", TIMER) == 0


@pytest.mark.parametrize(("before", "least_ms", "most_ms"), [("pgggg", 2, 4), ("ppppp", 0, 0)])
def test_an_end_without_a_sample_is_divided_as_those_before(before: str, least_ms: float, most_ms: float) -> None:
    memory = Memory()
    for _ in range(9):
        told_ms(before, memory=memory)
    assert least_ms <= told_ms("pppppppp    ", memory=memory) <= most_ms
    assert told_ms("pppppppprrrr", memory=memory) <= 1  # it ran others
