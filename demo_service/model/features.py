"""The 21 features of a pod, what typical values look like, and seeded samples of them.

Training data and the load driver's payloads come from the same sampler, so the driver asks what the
models have learnt.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

GPU_MODELS: Final = ("A100", "B200", "H100", "H200", "L40S")
POD_NAMES: Final = tuple(f"llm-{number:02d}" for number in range(16))
CATEGORICAL: Final = ("pod_name", "gpu_model")
TARGETS: Final = ("ttft_ms", "avg_tpot_ms")

PodValues = dict[str, str | float]


@dataclass(frozen=True, slots=True)
class Typical:
    """The range in which a feature is usually found; narrower than what the service accepts."""

    low: float
    high: float


NUMERIC_RANGES: Final = {
    "num_requests_running": Typical(0, 64),
    "num_requests_waiting": Typical(0, 32),
    "kv_cache_usage": Typical(0, 1),
    "prefix_cache_hit_rate": Typical(0, 1),
    "input_tokens": Typical(16, 8_192),
    "output_tokens": Typical(16, 2_048),
    "batch_size": Typical(1, 64),
    "batched_tokens": Typical(64, 16_384),
    "tokens_per_second": Typical(50, 6_000),
    "gpu_utilization": Typical(0, 1),
    "gpu_memory_usage": Typical(0.1, 1),
    "gpu_temperature_c": Typical(30, 88),
    "sm_clock_mhz": Typical(900, 1_980),
    "power_watts": Typical(80, 700),
    "tensor_parallel_size": Typical(1, 8),
    "max_model_len": Typical(2_048, 131_072),
    "lora_adapters": Typical(0, 8),
    "queue_age_ms": Typical(0, 2_000),
    "network_rtt_ms": Typical(0.1, 20),
}
NUMERIC: Final = tuple(NUMERIC_RANGES)
FEATURES: Final = (*CATEGORICAL, *NUMERIC)


def sample_pod(random: Random) -> PodValues:
    """One pod with typical values, the next of `random`'s seeded sequence."""
    pod: PodValues = {"pod_name": random.choice(POD_NAMES), "gpu_model": random.choice(GPU_MODELS)}
    for name, typical in NUMERIC_RANGES.items():
        pod[name] = round(random.uniform(typical.low, typical.high), 4)
    return pod
