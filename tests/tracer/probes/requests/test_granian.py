"""granian, whose sockets no Python code sees: its own process under `whywait run`. The kernel tells when what it answers came,
and when its response was sent; a proxy's header tells what was before."""

import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testbed.disturbed import disturbed
from testbed.service import free_port
from tests.tracer.probes.requests.frameworks import FITS, HELD_S, WAIT_S
from tests.unharmed.serving import serving, traced
from whywait import analysis
from whywait.tracer.probes.requests.tcp_info import TICK_NS

pytestmark = pytest.mark.skipif(TICK_NS == 0, reason="the kernel tells on Linux")
RESTS_S = 0.1


def rest_and_read(port: int) -> float:
    """Return what a slow reader felt, in ms."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        client.connect(("127.0.0.1", port))
        began, got = time.perf_counter(), 0
        client.sendall(b"GET /fits HTTP/1.1\r\nhost: a\r\n\r\n")
        time.sleep(RESTS_S)
        while got < len(FITS):
            got += len(client.recv(65_536))
        return (time.perf_counter() - began) * 1e3


@pytest.mark.parametrize(("loop", "host"), [("asyncio", "127.0.0.1"), ("uvloop", "0.0.0.0")])
def test_granian(tmp_path: Path, loop: str, host: str) -> None:
    pytest.importorskip("granian")
    port, output = free_port(), tmp_path / "traces"
    command = [
        sys.executable, "-m", "granian", "--interface", "asgi", "--host", host, "--port", str(port), "--loop", loop,
        "--factory", "--no-log", "tests.tracer.probes.requests.frameworks:bare",
    ]  # fmt: skip

    def ask(path: str, headers: Mapping[str, str] = {}) -> float:
        begun = time.perf_counter()
        with urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
        ) as answer:
            assert answer.read() == b"{}"
        return (time.perf_counter() - begun) * 1e3

    with serving(traced(output, *command), port, tmp_path / "log", path="/item/1") as served:
        with ThreadPoolExecutor(3) as pool:
            felt = sorted(pool.map(ask, ["/block"] * 3))
        felt_slowly = rest_and_read(port)
        ask("/worker", {"x-request-start": f"t={time.time() - 0.05:.6f}"})
        with pytest.raises(urllib.error.HTTPError) as broken:
            urllib.request.urlopen(f"{served.url}/broken")
        broken.value.close()
    if felt[1] < HELD_S * 1.5e3:
        disturbed("the second came when the first had almost ended")
    found = analysis.analyze(output)
    assert list(found.findings) == []
    requests = found.requests.set_index("endpoint")
    assert requests["error"].groupby(level=0).any().to_dict() == {
        "GET /block": False, "GET /broken": True, "GET /fits": False, "GET /item/1": False, "GET /worker": False,
    }  # fmt: skip
    windows = sorted(requests.loc["GET /block", "wall_ns"] / 1e6)
    assert windows == pytest.approx(felt, abs=15), "each window is what its client felt"
    behind = found.causes[(found.causes["endpoint"] == "GET /block") & (found.causes["cause"] == "loop_busy")]
    assert behind["amount_ns"].sum() / 1e6 > HELD_S * 2_500, "the second waits for one, the third for two"
    assert set(behind[behind["amount_ns"] > 5e6]["culprit"]) == {"nap"}
    assert requests.loc["GET /fits", "wall_ns"] / 1e6 == pytest.approx(felt_slowly, abs=15)
    sent = found.causes[(found.causes["endpoint"] == "GET /fits") & (found.causes["cause"] == "request_io")]
    assert sent["amount_ns"].sum() / 1e6 > (RESTS_S - WAIT_S) * 900
    assert requests.loc["GET /worker", "wall_ns"] / 1e6 > 50 + HELD_S * 1e3, "with what the proxy says"
