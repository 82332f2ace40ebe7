"""The clients: a closed loop of some, or requests at random moments; and the service behind the service."""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from subprocess import Popen
from typing import Final

import uvloop

from testbed.ended import ended
from testbed.service import ROOT, free_port

DELAYS_S: Final = {"quick": 0.012, "slow": 0.02}
_PER_CLIENT: Final = 8  # connections, used at random: with several processes all get their share, as behind a proxy
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Felt:
    """What clients felt, in ms, and requests/s."""

    p50: float
    p95: float
    throughput: float


@dataclass(frozen=True, slots=True)
class Load:
    """`clients` that wait for their answers, or `rate` requests/s at random moments."""

    clients: int = 1
    rate: float | None = None


def drive(address: str, shape: str, load: Load, seconds: float, warm_up_s: float = 1.0) -> Felt:
    """Return what clients felt who sent requests for so long, without the first of them."""
    return uvloop.run(_Clients(address, shape, load, warm_up_s, seconds).all())  # it delays itself least


class _Clients:
    def __init__(self, address: str, shape: str, load: Load, warm_up_s: float, seconds: float) -> None:
        self.host, _, self.port = address.partition(":")
        self.request = f"GET /cells/{shape} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
        self.load, self.random, self.felt = load, Random(7), list[tuple[float, float]]()
        self.begin = time.perf_counter() + warm_up_s
        self.end = self.begin + seconds

    async def all(self) -> Felt:
        if self.load.rate is None:
            await asyncio.gather(*(self.client() for _ in range(self.load.clients)))
        else:
            await self.at_random(self.load.rate)
        felt = sorted(after - before for before, after in self.felt if before >= self.begin and after <= self.end)
        finished = sum(self.begin <= after <= self.end for _, after in self.felt)
        p50, p95 = (felt[int(len(felt) * share)] * 1e3 for share in (0.5, 0.95))
        return Felt(p50, p95, finished / (self.end - self.begin))

    async def client(self) -> None:
        streams = []
        for _ in range(_PER_CLIENT):
            streams.append(await self.connect())
            await asyncio.sleep(self.random.uniform(0.005, 0.02))  # who accepts takes all that have come
        while time.perf_counter() < self.end:
            await self.ask(self.random.choice(streams))
        for _, writer in streams:
            writer.close()

    async def at_random(self, rate: float) -> None:
        idle, sent, running = list[_Streams](), time.perf_counter(), set[asyncio.Task[None]]()

        async def once() -> None:
            streams = idle.pop() if idle else await self.connect()
            await self.ask(streams)
            idle.append(streams)

        while sent < self.end:
            sent += self.random.expovariate(rate)
            await asyncio.sleep(max(0.0, sent - time.perf_counter()))
            running.add(asyncio.create_task(once()))
        await asyncio.gather(*running)
        for _, writer in idle:
            writer.close()

    async def connect(self) -> _Streams:
        return await asyncio.open_connection(self.host, int(self.port))

    async def ask(self, streams: _Streams) -> None:
        sent = time.perf_counter()
        streams[1].write(self.request)
        head = await streams[0].readuntil(b"\r\n\r\n")
        assert b" 200 " in head, head
        await streams[0].readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        self.felt.append((sent, time.perf_counter()))


@contextmanager
def service_behind() -> Iterator[str]:
    """Yields the address of a service that answers late, in a process of its own."""
    port = free_port()
    process = Popen([sys.executable, "-m", "benchmarks.whatif.load", str(port)], cwd=ROOT)
    with ended(process):
        time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers /quick/F or /slow/F after its delay times F."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            _, kind, factor = head.split(b" ")[1].decode().split("/")
            await asyncio.sleep(DELAYS_S[kind] * float(factor))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _serve(port: int) -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
