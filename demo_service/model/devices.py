"""Whether the device asked for is there; asked before any model is trained."""

import ctypes

import xgboost

from demo_service.settings import Settings, SettingsError


def cuda_device_count() -> int:
    """How many CUDA devices the driver shows; 0 without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def check_device(settings: Settings) -> None:
    """Raises `SettingsError` if CUDA was asked for and cannot be had. XGBoost itself would only warn
    and compute on the CPU, and every measurement after that would be about something else."""
    if settings.device != "cuda":
        return
    if not xgboost.build_info().get("USE_CUDA", False):
        raise SettingsError(
            "device 'cuda' was asked for, but the installed XGBoost is a CPU build; "
            "install 'whywait[demo]' instead of 'whywait[demo-cpu]', or set WHYWAIT_DEMO_DEVICE=cpu"
        )
    if cuda_device_count() == 0:
        raise SettingsError(
            "device 'cuda' was asked for, but no CUDA device was found; "
            "check `nvidia-smi`, or set WHYWAIT_DEMO_DEVICE=cpu"
        )
