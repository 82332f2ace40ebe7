"""Drawn requests that sleep again and again: in a `while` loop it is polling, elsewhere work that could run together."""

import pytest

from tests.analysis.drawing import drawn
from whywait.analysis.pipeline import analyze
from whywait.analysis.verdicts.sentences import verdict
from whywait.tracer import schema

PAUSES = """
    server GET        |------------------------|
    task   root       |------------------------|
    wait   a    root  |----|                          waker=timer for=sleep
    wait   b    root       |----|                     waker=timer for=sleep
    wait   c    root            |----|                waker=timer for=sleep
    wait   d    root                 |----|           waker=timer for=sleep
"""
PLACE = {schema.CODE_FUNCTION: "until_done", schema.CODE_FILE: "/srv/app.py", schema.FOR_MODULE: "asyncio.tasks"}


@pytest.mark.parametrize(
    ("step", "key"),
    [(schema.STEP_PAUSE, "await_io/polling"), (schema.STEP_PACE, "await_io/paced"), ("", "await_io/serial_awaits")],
)
def test_equal_pauses_of_a_loop_are_polling(step: str, key: str) -> None:
    of_each = PLACE | ({schema.FOR_STEP: step} if step else {})
    (found,) = verdict(analyze(drawn(PAUSES, dict.fromkeys("abcd", of_each))))
    assert found.judgement.reasons[0].remedy.key == key
    assert ("a loop asks again after each pause, 4 pauses per request, 20.0 ms in all" in found.text) is (
        step == schema.STEP_PAUSE
    )
