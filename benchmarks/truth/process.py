"""The service as a process of its own, with what it needs: the yardstick of the GIL, a slow service downstream."""

import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.truth.client import call
from benchmarks.truth.faults.outside import DOWNSTREAM_VARIABLE
from benchmarks.truth.meter import YARDSTICK_VARIABLE
from testbed.service import free_port

ROOT: Final = Path(__file__).resolve().parents[2]
START_S: Final = 90


class _Slow(socketserver.StreamRequestHandler):
    """Reads how long, sleeps so long, answers with when that was (perf_counter_ns)."""

    def handle(self) -> None:
        line = self.rfile.readline()
        if line:
            time.sleep(float(line))
            self.wfile.write(f"{time.perf_counter_ns()}\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextmanager
def downstream() -> Iterator[int]:
    """The slow service; yields its port."""
    with _Server(("127.0.0.1", 0), _Slow) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def service(output: Path, loop: str, *, yardstick: Path | None, without: str = "") -> Iterator[int]:
    """Yields the port of the traced service; its traces are complete once the block is left."""
    port = free_port()
    with downstream() as downstream_port:
        environment = {**os.environ, DOWNSTREAM_VARIABLE: str(downstream_port)}
        if yardstick is not None:
            environment |= {"LD_PRELOAD": str(yardstick), YARDSTICK_VARIABLE: str(yardstick)}
        command = [sys.executable, "-m", "benchmarks.truth.serve", str(port), loop, f"{output}/", without]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE)
        try:
            _wait_until_up(process, port)
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                _, said = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise
        for line in said.decode().splitlines():
            if "whywait" in line or "Traceback" in line:
                print(f"    the service said: {line}", file=sys.stderr)


def _wait_until_up(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended at start: {process.communicate()[1].decode()[-2000:]}")
        try:
            call(port, "/idle")
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the service did not answer in time")
