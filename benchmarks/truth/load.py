"""Drives one cell: sends its requests, their helpers, and some traffic beside them."""

import functools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Final

from benchmarks.truth import plan
from benchmarks.truth.client import call, felt_ns, hang_up
from benchmarks.truth.context import WRITTEN_NS
from benchmarks.truth.fault import FAULTS, LEAD_S, MIDDLE, Fault
from benchmarks.truth.plan import Cell
from benchmarks.truth.record import Part, Truth, merged, truth_from
from whywait.analysis.causes import Cause

BESIDE_EVERY_S: Final = 0.05
PAIR_REQUESTS, BESIDE_REQUESTS = 3, 3
NULL_CLIENTS: Final = 2


def drive(port: int, cell: Cell) -> list[dict[str, Any]]:
    """Runs the cell's load; returns what the service noted of it, with what each request took by its client's clock."""
    felt_ns.clear()
    hang_up()
    dice = Random(f"{cell.key}")
    {plan.FAULT: _faults, plan.BESIDE: _beside, plan.PAIR: _pairs, plan.NULL: _nulls, plan.PROGRAM: _program}[
        cell.kind
    ](port, cell, dice)
    told: list[dict[str, Any]] = json.loads(call(port, "/cell/truth"))
    return [_with_client(one) for one in told if one["request"].startswith(f"{cell.key}-")]


def _with_client(told: dict[str, Any]) -> dict[str, Any]:
    client_ns = felt_ns.get(told["request"], 0)
    if WRITTEN_NS in told:  # the client took the rest after the server had written all
        part = Part(Cause.REQUEST_IO, client_ns - told[WRITTEN_NS])
        told = told | Truth(told["request"], merged([*truth_from(told).parts, part])).as_json()
    return told | {"client_ns": client_ns}


@contextmanager
def _prepared(port: int, *of: tuple[Fault, float]) -> Iterator[None]:
    for one, amount in of:
        call(port, f"/cell/begin/{one.name}?amount={amount}")
    try:
        yield
    finally:
        for one, amount in reversed(of):
            call(port, f"/cell/end/{one.name}?amount={amount}")


@contextmanager
def _traffic(port: int, wanted: bool = True) -> Iterator[None]:
    """Someone else's small requests, all the time."""
    if not wanted:
        yield
        return
    over = threading.Event()

    def send() -> None:
        number = 0
        while not over.wait(BESIDE_EVERY_S):
            call(port, f"/healthy/hello/traffic-{number}")
            number += 1

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _with_helper(of: Fault, port: int, amount: float, rid: str, send: Callable[[], Any]) -> None:
    if of.helper is None:
        send()
        return
    help_path = f"/help/{of.name}/{rid}-helper?amount={amount}"
    first, second = (lambda: call(port, help_path), send) if of.helper_first else (send, lambda: call(port, help_path))
    thread = threading.Thread(target=first)
    thread.start()
    time.sleep(LEAD_S)
    second()
    thread.join()


def _faults(port: int, cell: Cell, dice: Random) -> None:
    of = FAULTS[cell.name]
    amount = of.amount(cell.intensity) * dice.uniform(0.85, 1.15)
    with _prepared(port, (of, amount)), _traffic(port, of.traffic):
        for number in range(of.count(cell.intensity)):
            rid = f"{cell.key}-{number}"
            path = f"{of.path}/{of.name}/{rid}?amount={amount}"
            _with_helper(of, port, amount, rid, functools.partial(call, port, path, kind=of.client, amount=amount))
            if not of.last:
                time.sleep(dice.uniform(0.002, 0.012))


def _beside(port: int, cell: Cell, dice: Random) -> None:
    of = FAULTS[cell.name]
    amount = of.amount(MIDDLE)
    with _prepared(port, (of, amount)), _traffic(port):
        for number in range(BESIDE_REQUESTS):
            rid = f"{cell.key}-{number}"
            path = f"/beside/{of.name}/{rid}?amount={amount}"
            _with_helper(of, port, amount, rid, functools.partial(call, port, path))
            time.sleep(dice.uniform(0.002, 0.012))


def _pairs(port: int, cell: Cell, dice: Random) -> None:
    first, second = (FAULTS[name] for name in cell.name.split("+"))
    one, other = (of.amount(cell.intensity) * dice.uniform(0.85, 1.15) for of in (first, second))
    with _prepared(port, (first, one), (second, other)), _traffic(port):
        for number in range(PAIR_REQUESTS):
            rid = f"{cell.key}-{number}"
            path = f"/pair/{first.name}/{second.name}/{rid}?one={one}&other={other}"
            _with_helper(first, port, one, rid, functools.partial(call, port, path, kind=first.client, amount=one))
            time.sleep(dice.uniform(0.002, 0.012))


def _nulls(port: int, cell: Cell, dice: Random) -> None:
    kind = "small body" if cell.name == "a_small_body" else "plain"
    path = f"/healthy/{cell.name}"
    for number in range(3):  # what is made on first use is not what this is about
        call(port, f"{path}/warm-{number}", kind=kind)

    def client(which: int, pause: Random) -> None:
        for number in range(plan.NULL_REQUESTS // NULL_CLIENTS):
            call(port, f"{path}/{cell.key}-{which}-{number}", kind=kind)
            time.sleep(pause.uniform(0.001, 0.008))

    _at_once([functools.partial(client, which, Random(f"{cell.key}{which}")) for which in range(NULL_CLIENTS)])


def _program(port: int, cell: Cell, dice: Random) -> None:
    """A program twice at once, so that the two meet at pools, locks and the loop."""

    def client(which: int) -> None:
        time.sleep(which * 0.004)
        call(port, f"/program/{cell.name}/{cell.key}-{which}")

    for _ in range(plan.PROGRAM_REPEATS):
        _at_once([functools.partial(client, which) for which in range(2)])


def _at_once(of: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=one) for one in of]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
