"""What another order of collection could gain: only by results that lay done while a slower one was awaited."""

from tests.analysis.drawing import UNIT_NS, drawn
from whywait import analysis
from whywait.analysis.situations.serial_collection import serial_collection

# the collector hears of the slow job's end three units late: that is its way back, and no order's fault
WOKEN_LATE = """
    server GET        |----------------------------------|
    task   root GET   |----------------------------------|   cpu=18
    job    slow root  |----------------|
    run    r1   slow   |------------|
    wait   w    root  |----------------|                     type=await waker=slow
    job    b    root  |---------------------|
    run    r2   b      |----|
    job    c    root  |----------------------------|
    run    r3   c      |-----|
"""


def test_who_was_waited_for_last_could_not_have_been_handled_sooner() -> None:
    (row,) = serial_collection(analysis.analyze(drawn(WOKEN_LATE))).to_dict("records")
    assert row["lay_ns"] == ((22 - 6) + (29 - 7)) * UNIT_NS
    assert row["gain_ns"] == (29 - 22) * UNIT_NS  # b's handling; how long c's took is not seen


def test_in_the_order_of_their_ends_nothing_is_gained() -> None:
    drawing = """
        server GET        |---------------------------|
        task   root GET   |---------------------------|   cpu=8
        job    a    root  |-----|
        run    r1   a      |-|
        wait   w1   root  |-----|                         type=await waker=a
        job    b    root  |-----------------|
        run    r2   b      |-------------|
        wait   w2   root           |--------|             type=await waker=b
    """
    assert serial_collection(analysis.analyze(drawn(drawing))).empty
