"""Calls that wait for a GPU. No test here needs one: the device is a recorded one.

A recorded device is a lock that one call holds at a time, and what CUDA's events would say. It shows that
queue, copy and compute are told apart and to whom they are given; it says nothing of a real GPU's figures.
"""

import json
import threading
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xgboost

import whywait
from testbed.recorded_device import RecordedDevice
from tests.tracer.conftest import Traced
from whywait import analysis, phase
from whywait.analysis.pipeline import analyze
from whywait.tracer.adapters import Rule, devices
from whywait.tracer.adapters.devices import CudaDevice, Device, device_of_booster, named_device

Begin = Callable[..., Traced]
MS = 1_000_000


@pytest.fixture
def gpulib() -> Iterator[types.ModuleType]:
    import sys

    module = types.ModuleType("gpulib_of_a_test")
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]
    whywait.adapters.unregister(module.__name__)


def compete(gpulib: types.ModuleType, device: RecordedDevice, callers: int, ms: float, word: str) -> dict[str, int]:
    """Each caller is a request of its own; returns when each asked, by caller."""

    def predict(ms: float) -> None:
        device.work(ms)

    gpulib.__dict__["predict"] = predict
    whywait.adapters.register(gpulib.__name__, {f"{gpulib.__name__}.predict": Rule(word, device=lambda _: device)})
    asked = {}

    def call(number: int) -> None:
        threading.current_thread().name = f"caller {number}"
        time.sleep(0.004 * number)
        with phase(f"request {number}"):
            asked[f"caller {number}"] = time.perf_counter_ns()
            gpulib.predict(ms)
            device.returned[f"caller {number}"] = time.perf_counter_ns()

    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(call, range(callers)))
    return asked


def test_one_device_and_many_threads(traced_to: Begin, gpulib: types.ModuleType, tmp_path: Path) -> None:
    device = RecordedDevice()
    spans = traced_to()
    asked = compete(gpulib, device, 4, 60, "compute")
    spans.stop()
    found = analyze(tmp_path / "traces")
    amounts = found.causes.pivot_table(index="endpoint", columns="cause", values="amount_ns", aggfunc="sum").fillna(0)
    owners = {row.trace_id: row.endpoint for row in found.requests.itertuples()}
    order = sorted(device.worked, key=lambda caller: device.worked[caller])
    free_ns, first = 0, order[0].replace("caller", "request")
    for number, caller in enumerate(order):
        endpoint = caller.replace("caller", "request")
        began, ended = device.worked[caller]
        # it is the next one's as soon as the call before is over, however late that looks again
        free_ns = max(free_ns, asked[caller])
        queued_ms, own_ms = (free_ns - asked[caller]) / MS, (ended - free_ns) / MS
        free_ns = device.returned[caller]
        in_call = found.causes[
            (found.causes["span_name"] == "compute: predict") & (found.causes["endpoint"] == endpoint)
        ]
        assert in_call["amount_ns"].sum() / MS == pytest.approx(own_ms, rel=0.1, abs=3)
        # a sample or two may have seen the thread wait for the GIL after its sleep, in the same call
        assert amounts["gpu_compute"][endpoint] > 0.6 * (ended - began)
        if number:
            assert queued_ms > 40, "the device was free: the injection had no effect"
            assert amounts["gpu_queue"][endpoint] / MS == pytest.approx(queued_ms, rel=0.1, abs=3)
            held = found.culprits[(found.culprits["endpoint"] == endpoint) & (found.culprits["cause"] == "gpu_queue")]
            before = {owners[trace_id] for trace_id in held["culprit_trace_id"]}
            assert before <= {other.replace("caller", "request") for other in order[:number]}
            assert order[number - 1].replace("caller", "request") in before
    assert amounts["gpu_queue"].get(first, 0) == 0
    assert set(found.causes.loc[found.causes["cause"] == "gpu_compute", "evidence"]) == {"inferred"}
    waits = [span for span in spans.of_kind("wait") if span["wait"] == "gpu_queue"]
    assert len(waits) == 3
    for wait in waits:
        assert sum(wait["occupant.ns"]) + wait["occupant.other_ns"] == wait.end_ns - wait.start_ns
        assert wait["device"] == "recorded:0"


def test_a_device_that_tells_its_time_is_believed(traced_to: Begin, gpulib: types.ModuleType, tmp_path: Path) -> None:
    device = RecordedDevice(tells=True)
    spans = traced_to()
    asked = compete(gpulib, device, 2, 60, "device-to-host")
    spans.stop()
    rows = analyze(tmp_path / "traces").causes
    copied = rows[rows["cause"] == "gpu_copy"]
    assert set(copied["evidence"]) == {"observed"}
    for number in range(2):
        began, ended = device.worked[f"caller {number}"]
        # a thread that woke late from its copy waited for the GIL or a CPU, in the same call
        own = rows[(rows["endpoint"] == f"request {number}") & (rows["span_name"] == "device-to-host: predict")]
        assert own["amount_ns"].sum() == pytest.approx(ended - began, abs=MS)
        assert copied.loc[copied["endpoint"] == f"request {number}", "amount_ns"].sum() > 30 * MS
    queued = rows[(rows["cause"] == "gpu_queue") & (rows["endpoint"] == "request 1")]
    truth_ns = device.worked["caller 1"][0] - asked["caller 1"]
    assert truth_ns > 10 * MS, "the device was free: the injection had no effect"
    assert queued["amount_ns"].sum() == pytest.approx(truth_ns, rel=0.1, abs=3 * MS)
    assert analysis.verdict(analyze(tmp_path / "traces"))


def test_what_a_queued_thread_waits_in_is_no_part_of_its_own_turn(
    traced_to: Begin, gpulib: types.ModuleType, tmp_path: Path
) -> None:
    device = RecordedDevice()

    def hog() -> None:
        while device.serving < 1:  # only while the second call is queued; that asks again and again for the GIL
            sum(range(10_000))

    keeper = threading.Thread(target=hog)
    spans = traced_to()
    keeper.start()
    asked = compete(gpulib, device, 2, 120, "compute")
    keeper.join()
    spans.stop()
    rows = analyze(tmp_path / "traces").causes
    last = max(device.worked, key=lambda caller: device.worked[caller])
    first_ended_ns = min(ended for _, ended in device.worked.values())
    assert first_ended_ns - asked[last] > 60 * MS, "the device was free: the injection had no effect"
    own = rows[(rows["endpoint"] == last.replace("caller", "request")) & (rows["span_name"] == "compute: predict")]
    by_cause = own.groupby("cause")["amount_ns"].sum()
    began, ended = device.worked[last]
    assert by_cause["gpu_compute"] > 0.8 * (ended - began)
    assert by_cause.get("gil_wait", 0) < 0.2 * (ended - began)


def test_a_call_outside_any_request_is_named_too(traced_to: Begin, gpulib: types.ModuleType, tmp_path: Path) -> None:
    device = RecordedDevice()

    def predict(ms: float) -> None:
        device.work(ms)

    gpulib.__dict__["predict"] = predict
    whywait.adapters.register(gpulib.__name__, {f"{gpulib.__name__}.predict": Rule("compute", device=lambda _: device)})
    spans = traced_to()
    background = threading.Thread(target=lambda: gpulib.predict(40))
    background.start()
    time.sleep(0.01)
    with phase("request"):
        gpulib.predict(10)
    background.join()
    spans.stop()
    (wait,) = [span for span in spans.of_kind("wait") if span["wait"] == "gpu_queue"]
    assert wait["occupant.names"] == ["compute: predict"]
    assert wait["occupant.trace_ids"] == [""]


def test_a_booster_is_asked_once_for_its_device_and_again_when_it_changes() -> None:
    rows = np.zeros((10, 2))
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, label=rows[:, 0]), 1)
    assert device_of_booster(booster) is None

    class Recorded:
        asked = 0
        device = "cuda:1"

        def save_config(self) -> str:
            self.asked += 1
            return json.dumps({"learner": {"generic_param": {"device": self.device}}})

    recorded = Recorded()
    try:
        first = device_of_booster(recorded)
        assert first is not None
        assert first.line.name == "cuda:1"
        assert device_of_booster(recorded) is first is named_device("gpu:1")
        assert recorded.asked == 1
        recorded.device = "cpu"
        devices.forget_booster(recorded)
        assert device_of_booster(recorded) is None
        assert recorded.asked == 2
        assert len(devices._of_booster) == 2
        del recorded, booster
        assert len(devices._of_booster) == 0, "a model was kept alive"
    finally:
        devices.forget_devices()


def test_copies_are_timed_by_events_that_nobody_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code that would speak to CuPy, against a recording of what CuPy answers."""
    import sys

    said: list[str] = []

    class Event:
        done = False

        def record(self) -> None:
            said.append("record")

    class OnDevice:
        def __init__(self, ordinal: int) -> None:
            assert ordinal == 0

        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    cuda = types.SimpleNamespace(
        Event=Event, Device=OnDevice, get_elapsed_time=lambda first, last: 1.5,
        runtime=types.SimpleNamespace(getDevice=lambda: 0),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(cuda=cuda))  # type: ignore[arg-type]
    device: Device = CudaDevice(0)
    assert device.begin(copies=False) is None  # XGBoost's stream is not known
    assert device.end(None) is None
    ask = device.end(device.begin(copies=True))
    assert said == ["record", "record"]
    assert ask is not None
    assert ask() is None, "the device is not there yet: nobody may wait for it"
    Event.done = True
    assert ask() == 1_500_000
    current = devices.current_device(None)
    assert current is not None
    assert current.line.name == "cuda:0"
    devices.forget_devices()


def test_without_cupy_there_is_nothing_to_ask() -> None:
    assert devices.current_device(None) is None
    assert named_device("cpu") is None
