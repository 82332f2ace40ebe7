"""What a program needs beside itself: databases, and a service that is slow."""

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Final

from benchmarks.street.contract import Program
from testbed.databases import postgres, postgres_programs, redis_program, redis_server

AWAY_S: Final = 0.006
"""How long what is far away takes, each way."""
_SERVERS: Final = frozenset({"postgres", "far_postgres", "redis", "far_redis", "upstream"})
_Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def absent(program: Program) -> str:
    """What the program needs and this machine does not have; "" where nothing is missing."""
    needs = set(program.needs)
    if needs & {"postgres", "far_postgres"} and postgres_programs() is None:
        return "PostgreSQL"
    if needs & {"redis", "far_redis"} and redis_program() is None:
        return "Redis"
    return ", ".join(sorted(one for one in needs - _SERVERS if find_spec(one) is None))


@contextmanager
def surroundings(programs: Sequence[Program]) -> Iterator[Mapping[str, str]]:
    """Runs what any of the programs needs, and yields the environment that says where."""
    needs = {need for one in programs if not absent(one) for need in one.needs}
    with ExitStack() as stack:
        found = {}
        if needs & {"postgres", "far_postgres"}:
            found["STREET_POSTGRES"] = stack.enter_context(postgres())
        if needs & {"redis", "far_redis"}:
            found["STREET_REDIS"] = f"redis://127.0.0.1:{stack.enter_context(redis_server())}/0"
        if "upstream" in needs:
            found["STREET_UPSTREAM"] = f"http://127.0.0.1:{stack.enter_context(_served(_answer))}"
        for name in needs & {"far_postgres", "far_redis"}:
            near = found[f"STREET_{name.removeprefix('far_').upper()}"]
            port = int(re.findall(r":(\d+)/", near)[-1])
            away = stack.enter_context(_served(partial(_carry, port)))
            found[f"STREET_{name.upper()}"] = near.replace(f":{port}/", f":{away}/")
        yield found


@contextmanager
def _served(handler: _Handler) -> Iterator[int]:
    """A port of 127.0.0.1, where the handler serves any number of connections at once."""
    told: Future[tuple[int, Callable[[], object]]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(handler, told)))
    thread.start()
    port, stop = told.result()
    try:
        yield port
    finally:
        stop()
        thread.join()


async def _serve(handler: _Handler, told: "Future[tuple[int, Callable[[], object]]]") -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    told.set_result((server.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(ended.set)))
    await ended.wait()
    server.close()


async def _carry(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What arrives goes to the port, and what that answers comes back: each a little later."""
    there, back = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(_later(reader, back), _later(there, writer))


async def _later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    while part := await reader.read(65536):
        loop.call_later(AWAY_S, writer.write, part)
    loop.call_later(AWAY_S, writer.close)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """GET /MS is answered after MS milliseconds."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            asked = re.search(rb" /(\d+)", head)
            await asyncio.sleep(int(asked[1]) / 1e3 if asked else 0)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
