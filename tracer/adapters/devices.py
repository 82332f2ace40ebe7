"""Devices that a call may wait for, and the part of their time that the host can observe.

XGBoost does not expose its stream: of a predict on a GPU only the host's call is observed, which returns when
the device has finished. So the device's time is inferred, and so are the earlier occupants of the device, from
the order of calls. A copy by CuPy runs on a known stream, where CUDA events measure the device's time.
"""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from whywait.tracer.records.occupancy import DeviceLine


class Device(Protocol):
    """A device as an adapter uses it. Its methods must not block the host."""

    @property
    def line(self) -> DeviceLine:
        """The occupants of the device; one record per device and process."""

    def begin(self, *, copies: bool) -> Any:
        """Return a mark of the device's progress before a call; None if it has none."""

    def end(self, begun: Any) -> Callable[[], int | None] | None:
        """After the call: return a function that later gives the device's own time for it, ns."""


class CudaDevice:
    """One NVIDIA device."""

    def __init__(self, ordinal: int) -> None:
        self.line = DeviceLine(f"cuda:{ordinal}")
        self._ordinal = ordinal

    def begin(self, *, copies: bool) -> Any:
        """An event on CuPy's current stream before a copy; None for calls on an unknown stream."""
        cupy = sys.modules.get("cupy")
        if not copies or cupy is None:
            return None
        event = cupy.cuda.Event()
        event.record()
        return event

    def end(self, begun: Any) -> Callable[[], int | None] | None:
        """The time between the two events, ns, once the device has passed both."""
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


# per process, like its GPUs: tables name these functions, and have no session; emptied at its end
_devices: dict[str, Device] = {}
_of_booster: "WeakKeyDictionary[Any, Device | None]" = WeakKeyDictionary()


def cuda_device(ordinal: int) -> Device:
    """The one record of a CUDA device of this process."""
    name = f"cuda:{ordinal}"
    found = _devices.get(name)
    return found if found is not None else _devices.setdefault(name, CudaDevice(ordinal))


def forget_devices() -> None:
    """Drop all records of devices and their occupants. Called when adapters are removed."""
    _devices.clear()
    _of_booster.clear()


def device_of_booster(booster: Any) -> Device | None:
    """The device on which a Booster computes, None for the CPU; read once per Booster."""
    try:
        return _of_booster[booster]
    except KeyError:
        pass
    config = json.loads(booster.save_config())
    found = named_device(str(config["learner"]["generic_param"]["device"]))
    _of_booster[booster] = found
    return found


def forget_booster(booster: Any) -> Device | None:
    """Return None, and have the Booster's device read again, since its settings are about to change."""
    _of_booster.pop(booster, None)
    return None


def named_device(name: str) -> Device | None:
    """The device with the name "cuda", "cuda:1" or "gpu:0"; None for the CPU and unknown names."""
    kind, _, ordinal = name.partition(":")
    if kind not in {"cuda", "gpu"}:
        return None
    return cuda_device(int(ordinal) if ordinal.isdigit() else 0)


def current_device(_: Any) -> Device | None:
    """CuPy's current device in this thread."""
    cupy = sys.modules.get("cupy")
    with suppress(Exception):  # no driver: nothing to wait for
        return cuda_device(int(cupy.cuda.runtime.getDevice())) if cupy is not None else None
    return None
