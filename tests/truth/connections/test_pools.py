"""Waits for a connection of real pools, with PostgreSQL, Redis and an HTTP server, against stamps of the program.

cold  1 2            |-connect-|---held---|                  no wait for others, though it takes time to connect
warm  1 2            |---held---|
      3 4            |~~waits~~~|---held---|                 of two connections
      5 6            |~~~~~~~~~~~~~waits~~~|---held---|
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import whywait
from testbed.databases import postgres, postgres_programs, redis_program, redis_server
from testbed.disturbed import disturbed
from testbed.slow_http import slow_http_server
from tests.tracer.conftest import Traced, traced_to
from tests.truth.connections.clients import CLIENTS, HELD_S, SIZE, Client, Servers
from whywait import analysis
from whywait.analysis.causes import Cause

__all__ = ["traced_to"]
COLD, WARM = SIZE, 3 * SIZE
NEAR = 0.05
HELD_MS = HELD_S * 1e3
# the socket that httpx reads tells its task by an event
OWN = (Cause.AWAIT_IO, Cause.BLOCKING_IO, Cause.LIMITER_WAIT)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    if postgres_programs() is None:
        pytest.skip("no PostgreSQL: Debian's package is called postgresql")
    if redis_program() is None:
        pytest.skip("no Redis: Debian's package is called redis-server")
    with postgres() as address, redis_server() as port, slow_http_server(HELD_S) as http:
        yield Servers(address, port, http)


@dataclass
class Stamps:
    """What the program itself measured, in seconds: until each request had a connection, and from then on."""

    waited: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)

    @contextlib.contextmanager
    def one(self) -> Iterator[Callable[[], None]]:
        marks: list[float] = []
        began = time.perf_counter()
        yield lambda: marks.append(time.perf_counter())
        self.waited.append(marks[0] - began)
        self.held.append((marks[-1] if len(marks) > 1 else time.perf_counter()) - marks[0])


async def on_a_loop(client: Client, servers: Servers, warm: Stamps) -> None:
    @whywait.traced(name="cold")
    async def first(pool: Any) -> None:
        with Stamps().one() as mark:
            await client.work(pool, mark)

    @whywait.traced(name="warm")
    async def handler(pool: Any) -> None:
        with warm.one() as mark:
            await client.work(pool, mark)

    async with client.made(servers) as pool:
        await asyncio.gather(*(first(pool) for _ in range(COLD)))
        await asyncio.gather(*(handler(pool) for _ in range(WARM)))


def in_threads(client: Client, servers: Servers, warm: Stamps) -> None:
    def run(work: Callable[[Any], None], count: int) -> None:
        threads = [threading.Thread(target=work, args=(pool,)) for _ in range(count)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    @whywait.traced(name="cold")
    def first(pool: Any) -> None:
        with Stamps().one() as mark:
            client.work(pool, mark)

    @whywait.traced(name="warm")
    def handler(pool: Any) -> None:
        with warm.one() as mark:
            client.work(pool, mark)

    with client.made(servers) as pool:
        run(first, COLD)
        run(handler, WARM)


def sum_ms(table: pd.DataFrame, *causes: Cause) -> float:
    return float(table.loc[table["cause"].isin(causes), "amount_ns"].sum()) / 1e6


@pytest.mark.parametrize("name", CLIENTS)
def test_the_wait_its_holders_and_the_own_time(name: str, servers: Servers, traced_to: Callable[..., Traced]) -> None:
    client, stamps = CLIENTS[name], Stamps()
    if find_spec(client.package) is None:
        pytest.skip(f"{client.package} is not installed")
    session = traced_to()
    if client.threads:
        in_threads(client, servers, stamps)
    else:
        asyncio.run(on_a_loop(client, servers, stamps))
    session.stop()
    found = analysis.analyze(analysis.load_traces(session.output))
    waited_ms, held_ms = sum(stamps.waited) * 1e3, sum(stamps.held) * 1e3
    if held_ms > WARM * HELD_MS * 1.1:
        disturbed(f"a connection was held for {held_ms / WARM:.0f} ms, not {HELD_MS:.0f}")
    cold, warm = (found.causes[found.causes["endpoint"] == one] for one in ("cold", "warm"))
    # 1. To connect is no wait for others
    assert sum_ms(cold, Cause.CONNECTION_WAIT) < 1
    # 2. How long: as the stamps say, but for what the machine delayed, which has causes of its own
    assert (1 - NEAR) * min(6 * HELD_MS, waited_ms) < sum_ms(warm, Cause.CONNECTION_WAIT) < (1 + NEAR) * waited_ms
    assert (1 - NEAR) * WARM * HELD_MS < sum_ms(warm, *OWN) < (1 + NEAR) * held_ms
    # 3. By whom: the function of the user in which they stood, in other requests
    culprits = found.culprits[(found.culprits["endpoint"] == "warm") & (found.culprits["cause"] == "connection_wait")]
    chief = culprits.groupby(["culprit", "culprit_file"])["ns"].sum()
    assert chief.idxmax() == (client.holder, str(Path(__file__).with_name("clients.py")))
    assert chief.max() > 0.95 * chief.sum()
    foreign = culprits["culprit_trace_id"] != culprits["trace_id"]
    assert culprits.loc[foreign, "ns"].sum() > 0.99 * culprits["ns"].sum()
    # 4. What is said of it
    (judged,) = (one for one in analysis.verdict(found) if one.endpoint == "warm")
    ((said, words),) = (
        (one, sentence)
        for one, sentence in zip(judged.judgement.reasons, judged.reasons, strict=True)
        if one.cause is Cause.CONNECTION_WAIT
    )
    assert f"{SIZE} connections, made at connections/clients.py:" in words
    assert f"raise {client.knob}" in said.remedy.text
    assert f"held in {client.holder} (connections/clients.py:" in said.remedy.text
