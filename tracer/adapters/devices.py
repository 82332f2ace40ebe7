"""Devices that a call may wait for, and what of their time can be seen from here.

XGBoost does not show its stream: of a predict on a GPU the host's side is seen, the whole of a call that
returns when the device is done. So its time is the device's by inference, and who was on the device
before it is inferred from the order in which calls came. A copy by CuPy runs on a stream that is known,
and there CUDA's own events measure how long the device worked.
"""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from whywait.tracer.records.occupancy import DeviceLine


class Device(Protocol):
    """What an adapter needs to know of a device. Its methods must not make the host wait."""

    @property
    def line(self) -> DeviceLine:
        """Who is on the device; one per device and process."""

    def begin(self, *, copies: bool) -> Any:
        """Return a mark of where the device stands before a call; None where it has none."""

    def end(self, begun: Any) -> Callable[[], int | None] | None:
        """After the call: what to ask later for the ns that the device itself worked for it."""


class CudaDevice:
    """One NVIDIA device."""

    def __init__(self, ordinal: int) -> None:
        self.line = DeviceLine(f"cuda:{ordinal}")
        self._ordinal = ordinal

    def begin(self, *, copies: bool) -> Any:
        """An event on CuPy's current stream before a copy; None for calls on a stream that is not known."""
        cupy = sys.modules.get("cupy")
        if not copies or cupy is None:
            return None
        event = cupy.cuda.Event()
        event.record()
        return event

    def end(self, begun: Any) -> Callable[[], int | None] | None:
        """The time between the two events, once the device has passed both."""
        cupy = sys.modules.get("cupy")
        if begun is None or cupy is None:
            return None
        ended = cupy.cuda.Event()
        ended.record()
        ordinal = self._ordinal

        def worked_ns() -> int | None:
            with cupy.cuda.Device(ordinal):
                if not ended.done:
                    return None
                return int(cupy.cuda.get_elapsed_time(begun, ended) * 1e6)

        return worked_ns


# of the process, as its GPUs are: tables name these functions, and hold no session; emptied at its end
_devices: dict[str, Device] = {}
_of_booster: "WeakKeyDictionary[Any, Device | None]" = WeakKeyDictionary()


def cuda_device(ordinal: int) -> Device:
    """The one record of a CUDA device of this process."""
    name = f"cuda:{ordinal}"
    found = _devices.get(name)
    return found if found is not None else _devices.setdefault(name, CudaDevice(ordinal))


def forget_devices() -> None:
    """Drops what is known of devices and of who uses them. Called when adapters are taken out."""
    _devices.clear()
    _of_booster.clear()


def device_of_booster(booster: Any) -> Device | None:
    """The device that a Booster is set to compute on, None for the CPU; asked of each Booster once."""
    try:
        return _of_booster[booster]
    except KeyError:
        pass
    config = json.loads(booster.save_config())
    found = named_device(str(config["learner"]["generic_param"]["device"]))
    _of_booster[booster] = found
    return found


def forget_booster(booster: Any) -> Device | None:
    """None; has the device of a Booster asked for anew, since its settings are about to change."""
    _of_booster.pop(booster, None)
    return None


def named_device(name: str) -> Device | None:
    """The device called "cuda", "cuda:1" or "gpu:0"; None for the CPU and what is not known."""
    kind, _, ordinal = name.partition(":")
    if kind not in {"cuda", "gpu"}:
        return None
    return cuda_device(int(ordinal) if ordinal.isdigit() else 0)


def current_device(_: Any) -> Device | None:
    """The device that CuPy works on in this thread."""
    cupy = sys.modules.get("cupy")
    with suppress(Exception):  # no driver: nothing to wait for
        return cuda_device(int(cupy.cuda.runtime.getDevice())) if cupy is not None else None
    return None
