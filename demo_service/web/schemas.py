"""What a client may send and what it gets back, with limits on everything."""

from random import Random
from typing import Annotated, Any, Literal

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field

from demo_service.model.features import sample_pod
from demo_service.settings import MAX_PODS

GpuModel = Literal["A100", "B200", "H100", "H200", "L40S"]
Name = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[float, Field(ge=0, le=1e6)]
Amount = Annotated[float, Field(ge=0, le=1e9)]


class Pod(BaseModel):
    """One candidate pod: the 21 features the models were trained on."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    pod_name: Name
    gpu_model: GpuModel
    num_requests_running: Count
    num_requests_waiting: Count
    kv_cache_usage: Share
    prefix_cache_hit_rate: Share
    input_tokens: Amount
    output_tokens: Amount
    batch_size: Count
    batched_tokens: Amount
    tokens_per_second: Amount
    gpu_utilization: Share
    gpu_memory_usage: Share
    gpu_temperature_c: Annotated[float, Field(ge=-50, le=200)]
    sm_clock_mhz: Count
    power_watts: Count
    tensor_parallel_size: Annotated[float, Field(ge=1, le=1024)]
    max_model_len: Amount
    lora_adapters: Count
    queue_age_ms: Amount
    network_rtt_ms: Amount


class PredictRequest(BaseModel):
    """Pods to rank for one inference request."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: Annotated[str, Field(min_length=1, max_length=128)]
    pods: Annotated[list[Pod], Field(min_length=1, max_length=MAX_PODS)]


class Prediction(BaseModel):
    """What a pod is expected to need for the request, in milliseconds."""

    pod_name: str
    ttft_ms: float
    avg_tpot_ms: float


class PredictResponse(BaseModel):
    """One prediction per pod, in the order asked."""

    request_id: str
    mode: str
    predictions: list[Prediction]


def example_request(pods: int = 7, seed: int = 7) -> dict[str, Any]:
    """A valid request body with `pods` pods, the same for the same seed."""
    random = Random(seed)
    return {"request_id": f"example-{seed}", "pods": [sample_pod(random) for _ in range(pods)]}


RankBody = Annotated[
    PredictRequest,
    Body(
        openapi_examples={
            "one pod": {"summary": "One pod", "value": example_request(pods=1)},
            "seven pods": {"summary": "Seven pods, as in the story", "value": example_request()},
        }
    ),
]
