"""A closed-loop load driver: N clients, each sending its next request when the last is answered (`python -m
demo_service.load --url http://127.0.0.1:8000 --modes to_thread,batch --clients 4`)."""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import perf_counter, time_ns
from typing import Final

from demo_service.driver.connection import Connection
from demo_service.driver.interruption import run_until_interrupted
from demo_service.model.features import sample_pod
from demo_service.plan import MODES, Bounds, parse_clients, parse_modes, positive_seconds
from demo_service.settings import REQUEST_ID

PODS_PER_REQUEST: Final = 7  # as in the story
DISTINCT_BODIES: Final = 32


class LoadError(Exception):
    """The service could not be reached or refused valid requests; the message says which."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What the clients of one cell saw. Times of day are ns since the epoch, latencies are ns."""

    mode: str
    clients: int
    started_ns: int
    ended_ns: int
    # of answered requests, in order of their answers: from the first byte sent to the last of the answer
    latencies_ns: tuple[int, ...]
    failures: int
    first_failure: str  # "" when there was none
    ids: tuple[str, ...]  # of the same requests, by which the service's traces name them
    starved_ns: int = 0  # how long the clients' thread waited for a CPU meanwhile: their clocks stamped so much later

    @property
    def requests_per_s(self) -> float:
        """Answered requests per second of the cell; 0 for an empty one."""
        duration_ns = self.ended_ns - self.started_ns
        return len(self.latencies_ns) * 1e9 / duration_ns if duration_ns > 0 else 0.0

    @property
    def starved(self) -> float:
        """The share (0..1) of the cell in which its clients waited for a CPU."""
        return self.starved_ns / max(1, self.ended_ns - self.started_ns)

    def percentile_ns(self, share: float) -> int:
        """The smallest latency that at least `share` (0..1) of the answers did not exceed; 0 if none."""
        if not self.latencies_ns:
            return 0
        ordered = sorted(self.latencies_ns)
        rank = -int(-share * len(ordered) // 1)  # ceiling: never flatters
        return ordered[max(0, rank - 1)]


def bodies(seed: int, count: int = DISTINCT_BODIES) -> list[bytes]:
    """`count` encoded request bodies of seven pods, the same for the same seed."""
    random = Random(seed)
    return [
        json.dumps(
            {"request_id": f"load-{seed}-{number}", "pods": [sample_pod(random) for _ in range(PODS_PER_REQUEST)]}
        ).encode()
        for number in range(count)
    ]


async def drive(
    url: str, mode: str, clients: int, bounds: Bounds, *, seed: int = 1, on_answer: Callable[[], None] = lambda: None
) -> LoadResult:
    """Drives one mode with `clients` closed-loop clients; calls `on_answer` after each answer. Raises `LoadError`
    when nothing was answered."""
    encoded = bodies(seed)
    latencies_ns: dict[str, int] = {}
    failures: list[str] = []
    sent = 0
    started_ns, deadline_s, waited_ns = time_ns(), perf_counter() + bounds.seconds, _waited_for_a_cpu_ns()

    async def client() -> None:
        nonlocal sent
        connection = Connection(url)
        try:
            while sent < bounds.requests and (sent < bounds.least or perf_counter() < deadline_s):
                body = encoded[sent % len(encoded)]
                sent += 1
                name = f"{started_ns}-{sent}"
                failure, took_ns = await _post(connection, f"/predict/{mode}", body, name)
                if failure:
                    failures.append(failure)
                    await asyncio.sleep(0.05)  # a dead service must not turn the driver into a busy loop
                else:
                    latencies_ns[name] = took_ns
                on_answer()
        finally:
            connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    ended_ns = time_ns()
    if failures and not latencies_ns:
        raise LoadError(f"{url}/predict/{mode} answered no request ({len(failures)} sent): {failures[0]}; is it ready?")
    first_failure = failures[0] if failures else ""
    took_ns, ids, starved_ns = tuple(latencies_ns.values()), tuple(latencies_ns), _waited_for_a_cpu_ns() - waited_ns
    return LoadResult(mode, clients, started_ns, ended_ns, took_ns, len(failures), first_failure, ids, starved_ns)


def _waited_for_a_cpu_ns() -> int:
    """Of this thread since its start; 0 where the kernel does not count it."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0


async def _post(connection: Connection, path: str, body: bytes, name: str) -> tuple[str, int]:
    """ "" and how long it took when the service answered 200, else what happened."""
    try:
        status, told, took_ns = await connection.post(
            path, body, {"content-type": "application/json", REQUEST_ID: name}
        )
    except (OSError, EOFError) as error:
        return f"{type(error).__name__}: {error}", 0
    return ("" if status == 200 else f"HTTP {status}: {told[:200].decode(errors='replace')}"), took_ns


async def _drive_all(options: argparse.Namespace) -> int:
    bounds = Bounds(options.seconds, options.requests)
    for mode in options.modes:
        for clients in options.clients:
            result = await drive(options.url, mode, clients, bounds, seed=options.seed)
            p50_ms, p99_ms = result.percentile_ns(0.5) / 1e6, result.percentile_ns(0.99) / 1e6
            print(
                f"{mode:<17} {clients:>3} clients  {len(result.latencies_ns):>6} answers  "
                f"{result.requests_per_s:>7.1f}/s  p50 {p50_ms:>8.1f} ms  p99 {p99_ms:>8.1f} ms"
                + (f"  {result.failures} failed: {result.first_failure}" if result.failures else ""),
                flush=True,
            )
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Drives a running service and prints one line per cell; 0, or 2 if it cannot be reached."""
    parser = argparse.ArgumentParser(prog="python -m demo_service.load", description="Drives the demo service.")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the service is (%(default)s)")
    parser.add_argument("--modes", type=parse_modes, default=MODES, help="comma-separated (all)")
    parser.add_argument("--clients", type=parse_clients, default=(1, 4, 16), help="comma-separated (1,4,16)")
    parser.add_argument("--seconds", type=positive_seconds, default=5.0, help="per cell (%(default)s)")
    parser.add_argument("--requests", type=int, default=100_000, help="at most so many per cell (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the payloads (%(default)s)")
    options = parser.parse_args(argv)
    try:
        return run_until_interrupted(lambda: _drive_all(options))
    except LoadError as error:
        print(f"load: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
