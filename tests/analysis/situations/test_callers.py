"""Drawn requests that wait in one function of the user's: who called it is told, where several did."""

import pytest

from tests.analysis.drawing import drawn
from whywait.analysis.pipeline import analyze
from whywait.analysis.situations.situation import Situation
from whywait.analysis.verdicts.sentences import verdict
from whywait.tracer import schema

WAITS = """
    server GET        |---------------------------------------|
    task   root       |---------------------------------------|
    wait   a    root  |---------|                               waker=io for=receive
    wait   b    root            |----|                          waker=io for=receive
    wait   c    root                 |----|                     waker=io for=receive
    wait   d    root                      |----|                waker=io for=receive
    wait   e    root                           |----|           waker=io for=receive
"""
SEND = {
    schema.CODE_FUNCTION: "Api.send", schema.CODE_FILE: "/srv/api.py", schema.FOR_MODULE: "net", schema.FOR_CALL: "Client.get",
    schema.FOR_PACKAGE: "net",
}  # fmt: skip
GET, ORDERS, ITEM = "Api.get (srv/api.py)", "load_orders (srv/app.py)", "load_item (srv/app.py)"


def test_the_nearest_callers_that_differ_are_told_and_counted_apart() -> None:
    chains = {"a": [GET, ORDERS], **{one: [GET, ITEM] for one in "bcde"}}
    (found,) = verdict(analyze(drawn(WAITS, {name: SEND | {schema.CALLERS: one} for name, one in chains.items()})))
    assert f"Of it, by who called: {ITEM} 20.0 ms, {ORDERS} 10.0 ms." in found.text
    (serial,) = (one for one in found.judgement.situations if one.kind is Situation.SERIAL_AWAITS)
    assert serial.numbers["what"].endswith(f", called by {ITEM}")
    assert serial.numbers["times"] == 4


@pytest.mark.parametrize("chain", [[], [GET], [GET, ITEM]])
def test_where_all_were_called_alike_nobody_is_told(chain: list[str]) -> None:
    (found,) = verdict(analyze(drawn(WAITS, dict.fromkeys("abcde", SEND | {schema.CALLERS: chain}))))
    assert "by who called" not in found.text
    (serial,) = (one for one in found.judgement.situations if one.kind is Situation.SERIAL_AWAITS)
    assert "called by" not in serial.numbers["what"]


@pytest.mark.parametrize("hostile", ["text", [1, {}], 5])
def test_what_is_no_list_of_names_is_harmless(hostile: object) -> None:
    assert verdict(analyze(drawn(WAITS, {"a": SEND | {schema.CALLERS: hostile}, "b": SEND})))
