"""Which suites are run: CPython's own around everything a probe touches, and those that libraries ship."""

import socket
from dataclasses import dataclass

# modules of the interpreter's `test` package; a package stands for each of its modules
CPYTHON = (
    "test_asyncio",
    "test_concurrent_futures",
    "test_threading",
    "test_thread",
    "test_threading_local",
    "test_threadedtempfile",
    "test_threadsignals",
    "test_queue",
    "test_context",
    "test_logging",
    "test_contextlib_async",
    "test_asyncgen",
    "test_coroutines",
    "test_selectors",
    "test_gc",
    "test_sched",
    "test_weakref",
    "test_fork1",
)
LIMIT_S = 420  # of one process; the longest healthy one needs about a third of it


@dataclass(frozen=True)
class Shipped:
    """A library whose source distribution ships its tests."""

    name: str
    version: str
    needs: tuple[str, ...]  # what its tests import besides the library itself
    arguments: tuple[str, ...] = ()  # no plugin loads by itself: those that its own settings do not name


def _has_ipv6() -> bool:
    try:
        return bool(socket.getaddrinfo("localhost", 0, socket.AF_INET6))
    except OSError:
        return False


# Where localhost has no IPv6 address these fail before they begin and leave sockets open; the warning about
# each hits whichever test runs as it is collected, another one with the tracer than without.
LEFT_OUT = [] if _has_ipv6() else ["anyio's tests over IPv6: localhost has no such address here"]

SHIPPED = (
    Shipped(
        "anyio",
        "4.16.0",
        ("pytest>=9", "pytest-mock", "pytest-timeout", "blockbuster", "psutil", "trustme", "truststore", "trio"),
        ("-m", "not network", *(("-k", "not ipv6") if LEFT_OUT else ())),
    ),
    Shipped(
        "starlette",
        "1.10.0",
        ("starlette[full]==1.10.0", "httpx2", "blockbuster", "trio"),
        ("-p", "anyio.pytest_plugin"),
    ),
    Shipped(
        "uvicorn",
        "0.54.0",
        ("uvicorn[standard]==0.54.0", "pytest-mock", "cryptography", "trustme", "httpx2", "a2wsgi", "wsproto"),
        ("-p", "anyio.pytest_plugin", "-p", "pytest_mock", "-o", "addopts=", "--ignore=tests/benchmarks"),
    ),
    Shipped(
        "httpx",
        "0.28.1",
        ("httpx[brotli,cli,http2,socks,zstd]==0.28.1", "chardet", "trio", "trustme", "uvicorn"),
        ("-p", "anyio.pytest_plugin", "-m", "not network"),
    ),
)  # fmt: skip
