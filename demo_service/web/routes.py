"""The HTTP surface: one route per mode, so that each mode is an endpoint of its own in the traces."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from opentelemetry import trace

from demo_service import modes
from demo_service.model.features import PodValues
from demo_service.service import Service
from demo_service.settings import CLIENT_REQUEST, REQUEST_ID
from demo_service.web.schemas import Prediction, PredictRequest, PredictResponse, RankBody
from whywait import phase

router = APIRouter()
_REFUSALS: dict[int | str, dict[str, Any]] = {
    422: {"description": "The request is not valid"},
    503: {"description": "Not ready, or too much is waiting"},
}


@router.get("/healthz", tags=["health"])
async def healthz(request: Request, response: Response) -> dict[str, str]:
    """200 while the process can serve, 503 once it never will."""
    failure = _service(request).failure
    response.status_code = 200 if failure is None else 503
    return {"status": "ok"} if failure is None else {"status": "failed", "reason": failure}


@router.get("/readyz", tags=["health"])
async def readyz(request: Request, response: Response) -> dict[str, str]:
    """200 once models are loaded and the pool is warm, 503 until then."""
    service = _service(request)
    response.status_code = 200 if service.ready else 503
    return {"status": "ready" if service.ready else "loading", "device": service.settings.device}


@router.post("/predict/sequential", responses=_REFUSALS, tags=["predict"])
async def predict_sequential(body: RankBody, request: Request) -> PredictResponse:
    """One predict after the other, on the event loop."""
    return _respond(body, "sequential", modes.sequential(_service(request).predictor, _pods(body)))


@router.post("/predict/to_thread", responses=_REFUSALS, tags=["predict"])
async def predict_to_thread(body: RankBody, request: Request) -> PredictResponse:
    """`asyncio.gather` over `asyncio.to_thread`, one job per pod and target."""
    return _respond(body, "to_thread", await modes.to_thread(_service(request).predictor, _pods(body)))


@router.post("/predict/per_request_pool", responses=_REFUSALS, tags=["predict"])
def predict_per_request_pool(body: RankBody, request: Request) -> PredictResponse:
    """A sync endpoint with a `ThreadPoolExecutor` of its own for each request."""
    service = _service(request)
    answers = modes.per_request_pool(service.predictor, _pods(body), service.settings.pool_size)
    return _respond(body, "per_request_pool", answers)


@router.post("/predict/dedicated_pool", responses=_REFUSALS, tags=["predict"])
async def predict_dedicated_pool(body: RankBody, request: Request) -> PredictResponse:
    """`run_in_executor` on a pool made and warmed at start, one job per pod and target."""
    service = _service(request)
    answers = await modes.dedicated_pool(service.predictor, _pods(body), service.pool)
    return _respond(body, "dedicated_pool", answers)


@router.post("/predict/batch", responses=_REFUSALS, tags=["predict"])
async def predict_batch(body: RankBody, request: Request) -> PredictResponse:
    """One frame with all pods, one predict per target, one job."""
    service = _service(request)
    return _respond(body, "batch", await modes.batch(service.predictor, _pods(body), service.pool))


@router.post("/predict/microbatch", responses=_REFUSALS, tags=["predict"])
async def predict_microbatch(body: RankBody, request: Request) -> PredictResponse:
    """The pods of several clients joined into one predict."""
    return _respond(body, "microbatch", await _service(request).batcher.predict(_pods(body)))


def _service(request: Request) -> Service:
    if name := request.headers.get(REQUEST_ID):  # so that what its client measured can be held against its trace
        trace.get_current_span().set_attribute(CLIENT_REQUEST, name[:64])
    service: Service = request.app.state.service
    return service


def _pods(body: PredictRequest) -> list[PodValues]:
    return [pod.model_dump() for pod in body.pods]


def _respond(body: PredictRequest, mode: str, answers: Sequence[dict[str, float]]) -> PredictResponse:
    with phase("response"):
        predictions = [
            Prediction(pod_name=pod.pod_name, **answer) for pod, answer in zip(body.pods, answers, strict=True)
        ]
        return PredictResponse(request_id=body.request_id, mode=mode, predictions=predictions)
