"""What a program needs beside itself: databases, and a service that is slow."""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager

from benchmarks.street.contract import Program
from testbed.databases import postgres, postgres_programs, redis_program, redis_server


def absent(program: Program) -> str:
    """What the program needs and this machine does not have; "" where nothing is missing."""
    if "postgres" in program.needs and postgres_programs() is None:
        return "PostgreSQL"
    return "Redis" if "redis" in program.needs and redis_program() is None else ""


@contextmanager
def surroundings(programs: Sequence[Program]) -> Iterator[Mapping[str, str]]:
    """Runs what any of the programs needs, and yields the environment that says where."""
    needs = {need for one in programs if not absent(one) for need in one.needs}
    with ExitStack() as stack:
        found = {}
        if "postgres" in needs:
            found["STREET_POSTGRES"] = stack.enter_context(postgres())
        if "redis" in needs:
            found["STREET_REDIS"] = f"redis://127.0.0.1:{stack.enter_context(redis_server())}/0"
        if "upstream" in needs:
            found["STREET_UPSTREAM"] = stack.enter_context(_upstream())
        yield found


@contextmanager
def _upstream() -> Iterator[str]:
    """A server that answers GET /MS after MS milliseconds, any number at once."""
    told: Future[tuple[int, Callable[[], object]]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(told)))
    thread.start()
    port, stop = told.result()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop()
        thread.join()


async def _serve(told: "Future[tuple[int, Callable[[], object]]]") -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    told.set_result((server.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(ended.set)))
    await ended.wait()
    server.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
