"""A service whose sampler is killed, or hangs, answers as before; it is said once, and traces lack samples."""

import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from testbed.sampler_process import samplers_of
from testbed.service import get, unusual
from tests.unharmed.test_collector import MOST_RATIO, ratio
from tests.unharmed.test_full_disk import service
from tests.unharmed.test_workers import spans_in

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def sampler_of(process_id: int) -> int:
    """The sampler that looks at a process, once it does."""
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        for found in samplers_of(process_id):
            return found
        time.sleep(0.05)
    raise AssertionError("no sampler")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
def test_a_service_goes_on_without_its_sampler(how: signal.Signals, tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("whole", "without")]
    with ExitStack() as stack:
        services = [service(stack, output, tmp_path) for output in outputs]
        get(f"{services[1].url}/ask/before")
        time.sleep(1)  # it has begun to sample
        os.kill(sampler_of(services[1].process.pid), how)
        found = ratio(*services)
        time.sleep(12)  # until one that hangs is given up, in a service at rest
        get(f"{services[1].url}/ask/after")
        ended_s = time.monotonic()
    assert time.monotonic() - ended_s < 20
    assert found < MOST_RATIO
    said = unusual(services[1].said)
    assert len(said) == 1, said
    assert "whywait: continues without samples of thread states" in said[0]
    spans = spans_in(outputs[1])
    signals = {}
    for name in ("before", "after"):
        (mark,) = [span for span in spans if span.name == f"on loop {name}"]
        (root,) = [span for span in spans if span["root"] and span.trace_id == mark.trace_id]
        signals[name] = root["signals"]
        assert (root["lost.kinds"] == ["1 × sampler"]) == (name == "after")
    assert set(signals["before"]) - set(signals["after"]) == {"sampler", "gil_holder", "cpu_rivals"}
    assert not any("whywait" in line for line in unusual(services[0].said))
