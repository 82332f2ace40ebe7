"""When data came that a server reads now, and what a proxy's header says: drawings of a loop's past, and texts."""

import time
from collections.abc import Mapping
from time import perf_counter_ns

import pytest

from whywait.tracer.hotpath.opening.open_request import Arrival
from whywait.tracer.probes.requests.arrival import awake_since, behind_proxy, came_at, sent_unix_ns
from whywait.tracer.records.loop import Callback, Loop

MS = 1_000_000
TICK_NS = 3 * MS  # within two thirds of it the time of a read is a whole one


def loop_that_selects(drawing: str) -> Loop:
    """One character is a ms: `~` asleep in a select, `.` callbacks, `P` a poll for a moment. The end is now."""
    loop = Loop(1, 1)
    loop.selects = True
    at = 0
    for at, what in enumerate(drawing + "."):
        if what == "P" or (what == "~" and drawing[at - 1 : at] != "~"):
            loop.polled_from_ns, loop.poll_ns = loop.poll_ns, at * MS
            loop.select_end_ns = at * MS
        if what == "~":
            loop.woke_ns = (at + 1) * MS
            loop.select_end_ns = loop.woke_ns
    return loop


@pytest.mark.parametrize(
    ("drawing", "age", "came", "is_new"),
    [
        ("~~~~~~~~~~", 0, 10, False),  # it woke the loop
        ("~~~~~~~~~~", 3, 10, False),  # no more than a tick: the same
        ("~~~~~~~~~~", 8, 2, False),  # a late wake-up: the loop had no CPU
        ("~~~~~~~~~~", 99, 0, False),  # no earlier than the poll before
        ("P........P", 5, 5, False),  # while the loop was busy
        ("P........P", 1, 8, False),  # the same, between 7 and the poll
        ("~~~~~~~..P", 3, 8, False),  # after it woke up, and before the poll
        ("P........P", 99, 0, False),  # the poll before did not find it
        ("P...P....P", 8, 4, False),
        ("P...P....P..", 0, 9, False),  # the latest poll found it, callbacks ran first
        ("P...P....P..", 3, 8, False),
        ("~~P...P....P", 8, 6, False),
        ("~~P...P....P", 8, 4, True),  # a new connection: accepted rounds after it came
    ],
)
def test_data_came_between_the_polls(drawing: str, age: int, came: int, is_new: bool) -> None:
    loop = loop_that_selects(drawing)
    now = len(drawing) * MS
    assert came_at(loop, now, age * MS, is_new, TICK_NS) == came * MS
    if age == 0 and loop.woke_ns == loop.select_end_ns:
        assert came * MS == loop.woke_ns, "so that `arrival_of` need not ask"


@pytest.mark.parametrize(
    ("ended", "age", "came"), [(2, 0, 10), (2, 3, 10), (2, 7, 3), (2, 50, -40), (10, 0, 9), (10, 5, 5)]
)
def test_libuv_slept_where_no_callback_ran(ended: int, age: int, came: int) -> None:
    loop = Loop(1, 1)
    loop.ended_ns = ended * MS
    assert came_at(loop, 10 * MS, age * MS, True, TICK_NS) == came * MS


def test_libuv_had_not_found_it_a_round_before() -> None:
    loop = Loop(1, 1)
    for ended_ns in (20 * MS, 30 * MS):  # rounds of callbacks; data is read after each
        loop.ended_ns = ended_ns
        came_at(loop, ended_ns, 0, False, TICK_NS)
    assert came_at(loop, 30 * MS, 99 * MS, False, TICK_NS) == 20 * MS
    assert came_at(loop, 30 * MS, 0, False, TICK_NS) == 29 * MS


def test_what_libuv_reads_in_a_round_that_began_with_its_sleep_came_after_it() -> None:
    loop = Loop(1, 1)
    loop.ended_ns = 2 * MS
    assert came_at(loop, 10 * MS, 0, False, TICK_NS) == 10 * MS
    loop.ended_ns = 11 * MS
    assert came_at(loop, 11 * MS, 0, False, TICK_NS) * 2 == (10 + 11) * MS


@pytest.mark.parametrize(
    ("callbacks", "sent", "since"),
    [
        ([(2, 4), (4, 9)], 1, 2),  # two long ones, the loop did not sleep between them
        ([(2, 4), (4, 9)], 3, 3),  # the first was running when the proxy had the request
        ([(2, 4), (6, 9)], 1, 6),  # it slept before 6, and read all that had come
        ([(2, 4)], 1, 9),  # it slept
        ([], 1, 9),
    ],
)
def test_where_the_kernel_does_not_tell_a_loop_that_sleeps_reads_at_once(
    callbacks: list[tuple[int, int]], sent: int, since: int
) -> None:
    loop = Loop(1, 1)
    for start, end in callbacks:
        loop.callbacks.append(Callback(start * MS, end * MS, (end - start) * MS, 1, 0, 0, None, None, None))
    assert awake_since(loop, 9 * MS, sent * MS) == since * MS
    loop.selects, loop.woke_ns = True, 5 * MS
    assert awake_since(loop, 9 * MS, sent * MS) == 5 * MS


SECOND = 1_700_000_000
STAMP = SECOND * 10**9 + 123_000_000


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({b"x-request-start": b"t=1700000000.123"}, STAMP),  # nginx
        ({b"x-request-start": b"t=1700000000123000"}, STAMP),  # HAProxy, Apache
        ({b"x-request-start": b"1700000000123"}, STAMP),  # Heroku
        ({b"x-queue-start": b"t=1700000000123000000"}, STAMP),
        ({b"x-request-start": b"1700000000"}, SECOND * 10**9),
        ({b"x-amzn-trace-id": b"Root=1-65535555-abcdefabcdef;Self=1-6553f100-abc"}, (SECOND + 1) * 10**9),
        ({b"x-amzn-trace-id": b"Root=1-6553f100-abcdefabcdef"}, (SECOND + 1) * 10**9),
        ({b"x-request-start": b"t=nan"}, None),
        ({b"x-request-start": b"-5"}, None),
        ({b"x-request-start": b"t=17"}, None),
        ({}, None),
    ],
)
def test_headers_of_proxies(headers: Mapping[bytes, bytes], says: int | None) -> None:
    assert sent_unix_ns(headers) == says


@pytest.mark.parametrize(
    ("ago_s", "used", "ahead_s"), [(0.5, True, 0), (-5, False, 5), (-0.003, False, 0), (3_600, False, -3_600)]
)
def test_what_cannot_be_right_is_told_and_not_used(ago_s: float, used: bool, ahead_s: float) -> None:
    arrival = Arrival(perf_counter_ns(), "kernel")
    found, ahead_ns = behind_proxy(arrival, {b"x-request-start": f"t={time.time() - ago_s:.6f}".encode()})
    assert found.known_from == ("proxy" if used else "kernel")
    assert (arrival.at_ns - found.sent_ns) / 1e9 == pytest.approx(ago_s, abs=0.1) if used else found == arrival
    assert ahead_ns / 1e9 == pytest.approx(ahead_s, abs=0.1)
