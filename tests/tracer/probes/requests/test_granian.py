"""granian, whose sockets no Python code sees: its own process under `whywait run`, behind a proxy and without one."""

import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testbed.disturbed import disturbed
from testbed.service import free_port
from tests.tracer.probes.requests.frameworks import HELD_S
from tests.unharmed.serving import serving, traced
from whywait import analysis
from whywait.analysis.model import NO_ARRIVAL
from whywait.analysis.verdicts.not_observed import not_observed


def test_granian(tmp_path: Path) -> None:
    pytest.importorskip("granian")
    port, output = free_port(), tmp_path / "traces"
    command = [
        sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(port), "--factory", "--no-log",
        "tests.tracer.probes.requests.frameworks:bare",
    ]  # fmt: skip

    def ask(path: str) -> float:
        stamp = {"x-request-start": f"t={time.time():.6f}"}
        begun = time.perf_counter()
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=stamp)) as answer:
            assert answer.read() == b"{}"
        return (time.perf_counter() - begun) * 1e3

    with serving(traced(output, *command), port, tmp_path / "log", path="/item/1") as served:
        with ThreadPoolExecutor(2) as pool:
            felt = sorted(pool.map(ask, ["/block"] * 2))
        with pytest.raises(urllib.error.HTTPError) as broken:
            urllib.request.urlopen(f"{served.url}/broken")
        broken.value.close()
    if felt[1] < HELD_S * 1.5e3:
        disturbed("the second came when the first had almost ended")
    found = analysis.analyze(output)
    requests = found.requests.set_index("endpoint")
    assert sorted(set(requests.index)) == ["GET /block", "GET /broken", "GET /item/1"]
    assert requests["error"].groupby(level=0).any().to_dict() == {
        "GET /block": False,
        "GET /broken": True,
        "GET /item/1": False,
    }
    windows = sorted(requests.loc["GET /block", "wall_ns"] / 1e6)
    assert windows == pytest.approx(felt, abs=15), "with the proxy's stamp the window is what the client felt"
    behind = found.causes[(found.causes["endpoint"] == "GET /block") & (found.causes["cause"] == "loop_busy")]
    assert behind["amount_ns"].sum() / 1e6 > HELD_S * 500
    assert set(behind[behind["amount_ns"] > 5e6]["culprit"]) == {"nap"}
    unknown = {one.signal: one.requests for one in not_observed(found.requests)}
    assert unknown[NO_ARRIVAL] == len(requests) - 2, "it is said where it is not known"
