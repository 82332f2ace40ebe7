"""The connection pools of well-known libraries, and their locks that have a name."""

import sys
from typing import Any, Final

from whywait.tracer.probes.connections.pool_probe import ConnectionPool, NamedLock, PoolProbe


def _itself(args: tuple[Any, ...]) -> Any:
    return args[0]


def _sqlalchemy_size(pool: Any) -> int:
    kept, more = int(pool.size()), int(pool._max_overflow)
    return kept + more if kept > 0 and more >= 0 else 0


def _httpcore(part: str, kind: str, call: str, close: str) -> ConnectionPool:
    """A response's body holds the connection."""
    pool = f"httpcore.{part}.connection_pool"
    return ConnectionPool(
        f"{pool}.{kind}ConnectionPool", f"{pool}.{kind}ConnectionPool.{call}", f"{pool}.PoolByteStream.{close}",
        lambda one: int(one._max_connections) if one._max_connections < sys.maxsize else 0,
        "limits=httpx.Limits(max_connections=...) of the client", lambda _: "httpx",
        (f"httpcore.{part}.connection.{kind}HTTPConnection.{call}", f"httpcore.{part}.socks_proxy.{kind}Socks5Connection.{call}"),
        taken=lambda response: response.stream, given_back=_itself, reads=(f"{pool}.{kind}ConnectionPool._max_connections",),
    )  # fmt: skip


def _psycopg(pool: str) -> ConnectionPool:
    return ConnectionPool(
        pool, f"{pool}.getconn", f"{pool}._return_connection", lambda one: int(one.max_size),
        f"max_size of {pool.rpartition('.')[2]}", lambda one: f"psycopg_pool {one.name}", (f"{pool}._check_connection",),
        grows=True,
    )  # fmt: skip


def _redis(pool: str, connects: str) -> ConnectionPool:
    return ConnectionPool(
        pool, f"{pool}.get_connection", f"{pool}.release", lambda one: int(one.max_connections),
        "max_connections of BlockingConnectionPool", connects=(connects,),
    )  # fmt: skip


def _filelock(one: str) -> NamedLock:
    return NamedLock(
        f"{one}.acquire", f"{one}.release", lambda lock: str(lock.lock_file), lambda lock: bool(lock.is_locked)
    )  # fmt: skip


def _redis_lock(one: str) -> NamedLock:
    return NamedLock(f"{one}.acquire", f"{one}.do_release", lambda lock: _text(lock.name))


def _text(name: str | bytes) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name


LIBRARIES: Final = (
    PoolProbe("filelock", _filelock("filelock.BaseFileLock"), _filelock("filelock.asyncio.BaseAsyncFileLock")),
    PoolProbe("portalocker", NamedLock(
        "portalocker.utils.Lock.acquire", "portalocker.utils.Lock.release", lambda lock: str(lock.filename),
        lambda lock: lock.fh is not None,
    )),
    PoolProbe("sqlalchemy", ConnectionPool(
        "sqlalchemy.pool.impl.QueuePool", "sqlalchemy.pool.impl.QueuePool._do_get",
        "sqlalchemy.pool.impl.QueuePool._do_return_conn", _sqlalchemy_size, "pool_size or max_overflow of the engine",
        connects=("sqlalchemy.pool.base.Pool._create_connection",), made="sqlalchemy.pool.base.Pool._should_wrap_creator",
        makes=True, reads=("sqlalchemy.pool.impl.QueuePool._max_overflow",),
    )),
    PoolProbe("asyncpg", ConnectionPool(
        "asyncpg.pool.Pool", "asyncpg.pool.Pool._acquire", "asyncpg.pool.PoolConnectionHolder._release",
        lambda pool: int(pool.get_max_size()), "max_size of create_pool",
        connects=("asyncpg.pool.PoolConnectionHolder.acquire",),
        taken=lambda connection: connection._holder, given_back=_itself, reads=("asyncpg.pool.PoolConnectionProxy._holder",),
    )),
    PoolProbe(
        "psycopg_pool", _psycopg("psycopg_pool.pool_async.AsyncConnectionPool"), _psycopg("psycopg_pool.pool.ConnectionPool")
    ),
    PoolProbe(
        "redis",
        _redis("redis.asyncio.connection.BlockingConnectionPool", "redis.asyncio.connection.ConnectionPool.ensure_connection"),
        _redis("redis.connection.BlockingConnectionPool", "redis.connection.AbstractConnection.connect"),
        _redis_lock("redis.lock.Lock"), _redis_lock("redis.asyncio.lock.Lock"),
    ),
    PoolProbe(
        "httpcore", _httpcore("_async", "Async", "handle_async_request", "aclose"), _httpcore("_sync", "", "handle_request", "close")
    ),
    PoolProbe("urllib3", ConnectionPool(  # of requests, botocore and others, too
        "urllib3.connectionpool.HTTPConnectionPool", "urllib3.connectionpool.HTTPConnectionPool._get_conn",
        "urllib3.connectionpool.HTTPConnectionPool._put_conn", lambda pool: int(pool.pool.maxsize) if pool.block else 0,
        "maxsize of the pool (pool_maxsize of requests' HTTPAdapter)",
    )),
    PoolProbe("aiohttp", ConnectionPool(
        "aiohttp.connector.BaseConnector", "aiohttp.connector.BaseConnector.connect",
        "aiohttp.connector.BaseConnector._release_acquired", lambda one: int(one.limit_per_host or one.limit),
        "limit or limit_per_host of TCPConnector", connects=("aiohttp.connector.TCPConnector._create_connection",), makes=True,
        taken=lambda connection: connection.protocol, given_back=lambda args: args[2],
    )),
)  # fmt: skip
