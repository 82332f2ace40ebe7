"""A PostgreSQL and a Redis of one's own, on loopback, in a folder that goes with them."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.ended import ended
from testbed.service import free_port

_NOBODY = ("postgres", "nobody")  # PostgreSQL does not run as root
_START_S = 20


def postgres_programs() -> Path | None:
    """The folder of `initdb` and `postgres`, of the newest version; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def redis_program() -> str | None:
    """The path of `redis-server`; None where there is none."""
    return shutil.which("redis-server")


@contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL, and yield its address as its clients take it: postgresql://whywait@127.0.0.1:PORT/postgres"""
    programs = postgres_programs()
    assert programs is not None
    user = _other_user()
    with tempfile.TemporaryDirectory(prefix="whywait-pg-", dir="/tmp", ignore_cleanup_errors=True) as made:
        folder, port = Path(made), free_port()
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        run = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user is not None else {}
        data = folder / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "whywait", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"],
            check=True, capture_output=True, cwd=folder, **run,
        )  # fmt: skip
        settings = (
            "listen_addresses=127.0.0.1", f"port={port}", f"unix_socket_directories={folder}", "fsync=off",
            "shared_buffers=16MB", "max_connections=40",
        )  # fmt: skip
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, *(part for one in settings for part in ("-c", one))],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **run,
        )  # fmt: skip
        with ended(server):
            _until_it_answers(server, [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-q"])
            yield f"postgresql://whywait@127.0.0.1:{port}/postgres"


@contextmanager
def redis_server() -> Iterator[int]:
    """Run a Redis, and yield its port on 127.0.0.1."""
    program = redis_program()
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="whywait-redis-") as folder:
        port = free_port()
        server = subprocess.Popen(
            [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with ended(server):
            _until_it_answers(server, port)
            yield port


def _other_user() -> pwd.struct_passwd | None:
    if os.getuid() != 0:
        return None
    known = {one.pw_name: one for one in pwd.getpwall()}
    return next(known[name] for name in _NOBODY if name in known)


def _until_it_answers(server: "subprocess.Popen[bytes]", asked: int | list[str | Path]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        assert server.poll() is None, f"{server.args!r} ended with {server.returncode}"
        if _answers(asked):
            return
        time.sleep(0.05)
    raise TimeoutError(f"{server.args!r} does not answer")


def _answers(asked: int | list[str | Path]) -> bool:
    if isinstance(asked, list):
        return subprocess.run(asked, check=False).returncode == 0
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", asked)) == 0
