"""The same piece of work with a connection of each library: wait for one, call `mark`, keep it in `ask_model`, call `mark`."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

HELD_S = 0.06
SIZE = 2
Mark = Callable[[], None]


async def ask_model() -> None:
    await asyncio.sleep(HELD_S)


def ask_model_in_a_thread() -> None:
    time.sleep(HELD_S)


@dataclass(frozen=True)
class Servers:
    postgres: str
    redis: int
    http: str


@dataclass(frozen=True)
class Client:
    """A library: `made` gives its pool, in a context; `work` uses it."""

    package: str
    made: Callable[[Servers], Any]  # an asynchronous context manager, or a plain one for threads
    work: Callable[[Any, Mark], Any]
    knob: str
    holder: str = "ask_model"
    threads: bool = False


async def _held(connection: Any, mark: Mark) -> None:
    async with connection:
        mark()
        await ask_model()
        mark()


def _held_in_a_thread(connection: Any, mark: Mark) -> None:
    with connection:
        mark()
        ask_model_in_a_thread()
        mark()


@contextlib.asynccontextmanager
async def _asyncpg(servers: Servers) -> AsyncIterator[Any]:
    import asyncpg

    async with asyncpg.create_pool(servers.postgres, min_size=0, max_size=SIZE) as pool:
        yield pool


@contextlib.asynccontextmanager
async def _psycopg(servers: Servers) -> AsyncIterator[Any]:
    from psycopg_pool import AsyncConnectionPool

    async with AsyncConnectionPool(servers.postgres, min_size=0, max_size=SIZE, open=False) as pool:
        yield pool


@contextlib.contextmanager
def _psycopg_in_threads(servers: Servers) -> Iterator[Any]:
    from psycopg_pool import ConnectionPool

    with ConnectionPool(servers.postgres, min_size=0, max_size=SIZE, open=False) as pool:
        yield pool


@contextlib.asynccontextmanager
async def _sqlalchemy(servers: Servers) -> AsyncIterator[Any]:
    from sqlalchemy.ext.asyncio import create_async_engine

    address = servers.postgres.replace("postgresql", "postgresql+asyncpg")
    engine = create_async_engine(address, pool_size=SIZE, max_overflow=0)
    yield engine
    await engine.dispose()


@contextlib.contextmanager
def _sqlalchemy_in_threads(servers: Servers) -> Iterator[Any]:
    from sqlalchemy import create_engine

    address = servers.postgres.replace("postgresql", "postgresql+psycopg")
    engine = create_engine(address, pool_size=SIZE, max_overflow=0)
    yield engine
    engine.dispose()


@contextlib.asynccontextmanager
async def _redis(servers: Servers) -> AsyncIterator[Any]:
    from redis.asyncio import BlockingConnectionPool

    pool = BlockingConnectionPool(host="127.0.0.1", port=servers.redis, max_connections=SIZE)
    yield pool
    await pool.disconnect()


async def _with_redis(pool: Any, mark: Mark) -> None:
    connection = await pool.get_connection()
    try:
        mark()
        await ask_model()
        mark()
    finally:
        await pool.release(connection)


@contextlib.contextmanager
def _redis_in_threads(servers: Servers) -> Iterator[Any]:
    from redis import BlockingConnectionPool

    pool = BlockingConnectionPool(host="127.0.0.1", port=servers.redis, max_connections=SIZE)
    yield pool
    pool.disconnect()


def _with_redis_in_a_thread(pool: Any, mark: Mark) -> None:
    connection = pool.get_connection()
    try:
        mark()
        ask_model_in_a_thread()
        mark()
    finally:
        pool.release(connection)


@contextlib.asynccontextmanager
async def _httpx(servers: Servers) -> AsyncIterator[Any]:
    import httpx

    async with httpx.AsyncClient(base_url=servers.http, limits=httpx.Limits(max_connections=SIZE)) as client:
        yield client


async def ask_over_httpx(client: Any, mark: Mark) -> None:
    async def event(_: str, __: Any) -> None:  # the first one: it has its turn
        mark()

    await client.get("/", extensions={"trace": event})


@contextlib.asynccontextmanager
async def _aiohttp(servers: Servers) -> AsyncIterator[Any]:
    import aiohttp

    async def turn_came(_: Any, context: Any, __: Any) -> None:
        context.trace_request_ctx()

    told = aiohttp.TraceConfig()
    told.on_connection_reuseconn.append(turn_came)
    told.on_connection_create_start.append(turn_came)
    connector = aiohttp.TCPConnector(limit=SIZE)
    async with aiohttp.ClientSession(servers.http, connector=connector, trace_configs=[told]) as session:
        yield session


async def ask_over_aiohttp(session: Any, mark: Mark) -> None:
    async with session.get("/", trace_request_ctx=mark) as response:
        await response.read()


@contextlib.contextmanager
def _urllib3_in_threads(servers: Servers) -> Iterator[Any]:
    import urllib3

    with urllib3.connection_from_url(servers.http, maxsize=SIZE, block=True) as pool:
        yield pool


def _with_urllib3_in_a_thread(pool: Any, mark: Mark) -> None:
    connection = pool._get_conn()
    try:
        mark()
        ask_model_in_a_thread()
        mark()
    finally:
        pool._put_conn(connection)


CLIENTS = {
    "asyncpg": Client("asyncpg", _asyncpg, lambda pool, mark: _held(pool.acquire(), mark), "max_size of create_pool"),
    "asyncpg, with a timeout": Client(
        "asyncpg", _asyncpg, lambda pool, mark: _held(pool.acquire(timeout=9), mark), "max_size of create_pool"
    ),
    "psycopg_pool": Client(
        "psycopg_pool", _psycopg, lambda pool, mark: _held(pool.connection(), mark), "max_size of AsyncConnectionPool"
    ),
    "psycopg_pool in threads": Client(
        "psycopg_pool", _psycopg_in_threads, lambda pool, mark: _held_in_a_thread(pool.connection(), mark),
        "max_size of ConnectionPool", "ask_model_in_a_thread", True,
    ),
    "SQLAlchemy": Client(
        "sqlalchemy", _sqlalchemy, lambda engine, mark: _held(engine.connect(), mark), "pool_size or max_overflow"
    ),
    "SQLAlchemy in threads": Client(
        "sqlalchemy", _sqlalchemy_in_threads, lambda engine, mark: _held_in_a_thread(engine.connect(), mark),
        "pool_size or max_overflow", "ask_model_in_a_thread", True,
    ),
    "redis": Client("redis", _redis, _with_redis, "max_connections of BlockingConnectionPool"),
    "redis in threads": Client(
        "redis", _redis_in_threads, _with_redis_in_a_thread, "max_connections of BlockingConnectionPool",
        "ask_model_in_a_thread", True,
    ),
    "urllib3 in threads": Client(
        "urllib3", _urllib3_in_threads, _with_urllib3_in_a_thread, "maxsize of the pool",
        "ask_model_in_a_thread", True,
    ),
    "httpx": Client("httpx", _httpx, ask_over_httpx, "limits=httpx.Limits(max_connections=...)", "ask_over_httpx"),
    "aiohttp": Client("aiohttp", _aiohttp, ask_over_aiohttp, "limit or limit_per_host", "ask_over_aiohttp"),
}  # fmt: skip
