"""The 21 features of a pod, and seeded samples, both for training and for the load driver's payloads."""

from random import Random
from typing import Final

GPU_MODELS: Final = ("A100", "B200", "H100", "H200", "L40S")
POD_NAMES: Final = tuple(f"llm-{number:02d}" for number in range(16))
CATEGORICAL: Final = ("pod_name", "gpu_model")
TARGETS: Final = ("ttft_ms", "avg_tpot_ms")

PodValues = dict[str, str | float]


# the range in which each is usually found; narrower than what the service accepts
NUMERIC_RANGES: Final = {
    "num_requests_running": (0, 64),
    "num_requests_waiting": (0, 32),
    "kv_cache_usage": (0, 1),
    "prefix_cache_hit_rate": (0, 1),
    "input_tokens": (16, 8_192),
    "output_tokens": (16, 2_048),
    "batch_size": (1, 64),
    "batched_tokens": (64, 16_384),
    "tokens_per_second": (50, 6_000),
    "gpu_utilization": (0, 1),
    "gpu_memory_usage": (0.1, 1),
    "gpu_temperature_c": (30, 88),
    "sm_clock_mhz": (900, 1_980),
    "power_watts": (80, 700),
    "tensor_parallel_size": (1, 8),
    "max_model_len": (2_048, 131_072),
    "lora_adapters": (0, 8),
    "queue_age_ms": (0, 2_000),
    "network_rtt_ms": (0.1, 20),
}
NUMERIC: Final = tuple(NUMERIC_RANGES)
FEATURES: Final = (*CATEGORICAL, *NUMERIC)


def sample_pod(random: Random) -> PodValues:
    """One pod with typical values, the next of `random`'s seeded sequence."""
    pod: PodValues = {"pod_name": random.choice(POD_NAMES), "gpu_model": random.choice(GPU_MODELS)}
    for name, (low, high) in NUMERIC_RANGES.items():
        pod[name] = round(random.uniform(low, high), 4)
    return pod
