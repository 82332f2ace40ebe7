"""The app as a client meets it."""

import json
from typing import Any

import httpx
import pytest

from demo_service.model.features import CATEGORICAL, FEATURES, GPU_MODELS
from demo_service.model.training import train
from demo_service.plan import MODES
from demo_service.predictor import Predictor
from demo_service.settings import MAX_PODS, Settings
from demo_service.web.schemas import GpuModel, Pod, example_request


def test_all_modes_give_the_numbers_of_the_plain_pipelines(service: httpx.Client, small: Settings) -> None:
    body = example_request(pods=7, seed=3)
    body["pods"][2]["pod_name"] = "never-seen-in-training"
    answers = {mode: service.post(f"/predict/{mode}", json=body) for mode in MODES}
    assert {answer.status_code for answer in answers.values()} == {200}
    assert {mode: answer.json()["mode"] for mode, answer in answers.items()} == {mode: mode for mode in MODES}
    expected = Predictor(train(small)).predict_many(body["pods"])
    for answer in answers.values():
        said = answer.json()
        assert said["request_id"] == body["request_id"]
        assert [one["pod_name"] for one in said["predictions"]] == [pod["pod_name"] for pod in body["pods"]]
        numbers = [{"ttft_ms": one["ttft_ms"], "avg_tpot_ms": one["avg_tpot_ms"]} for one in said["predictions"]]
        assert numbers == expected
    assert len({one["ttft_ms"] for one in expected}) > 1


def test_the_pod_a_client_sends_is_what_the_models_were_trained_on() -> None:
    assert tuple(Pod.model_fields) == FEATURES
    assert len(FEATURES) == 21
    assert FEATURES[:2] == CATEGORICAL
    assert set(GpuModel.__args__) == set(GPU_MODELS)


def _with_pod(**changes: Any) -> dict[str, Any]:
    body = example_request(pods=2)
    body["pods"][1].update(changes)
    return body


def _without(name: str) -> dict[str, Any]:
    body = example_request(pods=1)
    del body["pods"][0][name]
    return body


@pytest.mark.parametrize(
    ("body", "loc", "kind"),
    [
        ({**example_request(), "pods": []}, ["body", "pods"], "too_short"),
        (example_request(pods=MAX_PODS + 1), ["body", "pods"], "too_long"),
        ({**example_request(), "colour": "red"}, ["body", "colour"], "extra_forbidden"),
        ({"pods": example_request()["pods"]}, ["body", "request_id"], "missing"),
        ({**example_request(), "request_id": ""}, ["body", "request_id"], "string_too_short"),
        ({**example_request(), "request_id": "x" * 129}, ["body", "request_id"], "string_too_long"),
        ({**example_request(), "request_id": 7}, ["body", "request_id"], "string_type"),
        ({**example_request(), "pods": "all"}, ["body", "pods"], "list_type"),
        (_with_pod(input_tokens="many"), ["body", "pods", 1, "input_tokens"], "float_type"),
        (_with_pod(input_tokens=True), ["body", "pods", 1, "input_tokens"], "float_type"),
        (_with_pod(input_tokens=None), ["body", "pods", 1, "input_tokens"], "float_type"),
        (_with_pod(input_tokens=float("nan")), ["body", "pods", 1, "input_tokens"], "finite_number"),
        (_with_pod(input_tokens=float("-inf")), ["body", "pods", 1, "input_tokens"], "finite_number"),
        (_with_pod(input_tokens=-1), ["body", "pods", 1, "input_tokens"], "greater_than_equal"),
        (_with_pod(kv_cache_usage=1.5), ["body", "pods", 1, "kv_cache_usage"], "less_than_equal"),
        (_with_pod(gpu_model="Z80"), ["body", "pods", 1, "gpu_model"], "literal_error"),
        (_with_pod(pod_name="a" * 254), ["body", "pods", 1, "pod_name"], "string_too_long"),
        (_with_pod(pod_name="<b>"), ["body", "pods", 1, "pod_name"], "string_pattern_mismatch"),
        (_with_pod(shoe_size=44), ["body", "pods", 1, "shoe_size"], "extra_forbidden"),
        (_without("power_watts"), ["body", "pods", 0, "power_watts"], "missing"),
        ([], ["body"], "model_attributes_type"),
    ],
)
def test_a_wrong_request_is_refused_with_what_and_where(
    service: httpx.Client, body: Any, loc: list[str | int], kind: str
) -> None:
    content = json.dumps(body)  # with NaN and Infinity, as Python clients send them
    answer = service.post("/predict/batch", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    problems = answer.json()["detail"]
    assert [(one["loc"], one["type"]) for one in problems] == [(loc, kind)]
    assert set(problems[0]) == {"loc", "msg", "type"}
    assert problems[0]["msg"]


def test_text_that_is_not_json_is_refused(service: httpx.Client) -> None:
    answer = service.post("/predict/batch", content=b'{"pods": [', headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["type"] == "json_invalid"


def test_the_examples_of_the_documentation_work_when_pasted(service: httpx.Client) -> None:
    paths = service.get("/openapi.json").json()["paths"]
    predict = {path: item["post"] for path, item in paths.items() if path.startswith("/predict/")}
    assert set(predict) == {f"/predict/{mode}" for mode in MODES}
    for path, operation in predict.items():
        examples = operation["requestBody"]["content"]["application/json"]["examples"]
        assert set(examples) == {"one pod", "seven pods"}
        for example in examples.values():
            answer = service.post(path, json=example["value"])
            assert answer.status_code == 200
            assert len(answer.json()["predictions"]) == len(example["value"]["pods"])


def test_health(service: httpx.Client) -> None:
    assert service.get("/healthz").json() == {"status": "ok"}
    assert service.get("/readyz").json() == {"status": "ready", "device": "cpu"}
