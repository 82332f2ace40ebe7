"""The services whose requests `overhead.py` times: eight pool jobs, trivial ones or XGBoost predicts."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xgboost
from fastapi import FastAPI

VARIANT = os.environ.get("BENCH_VARIANT")
if VARIANT in ("otel", "server spans"):
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(FileSpanExporter(os.environ["BENCH_OUTPUT"])))
    trace.set_tracer_provider(provider)
if VARIANT == "otel":
    from opentelemetry.instrumentation.asyncio import AsyncioInstrumentor
    from opentelemetry.instrumentation.threading import ThreadingInstrumentor

    # what an OpenTelemetry user would turn on to see the same: spans for tasks, context in threads
    os.environ["OTEL_PYTHON_ASYNCIO_COROUTINE_NAMES_TO_TRACE"] = "job_of"
    AsyncioInstrumentor().instrument()
    ThreadingInstrumentor().instrument()

if VARIANT == "aiocop":
    import aiocop

    aiocop.patch_audit_functions()
    aiocop.start_blocking_io_detection(trace_depth=20)
    aiocop.detect_slow_tasks(threshold_ms=30, on_slow_task=lambda event: None)
    aiocop.activate()

app = FastAPI()
pool = ThreadPoolExecutor(4, "bench")
rows = np.random.default_rng(1).random((512, 21), dtype=np.float32)
booster = xgboost.train(
    {"max_depth": 6, "nthread": 1, "seed": 1}, xgboost.DMatrix(rows, label=rows.sum(axis=1)), num_boost_round=200
)


def nothing() -> int:
    return 1


def predict() -> float:
    return float(booster.inplace_predict(rows[:64]).mean())


async def job_of(function: object) -> object:
    return await asyncio.get_running_loop().run_in_executor(pool, function)


@app.get("/trivial")
async def trivial() -> int:
    return len(await asyncio.gather(*[job_of(nothing) for _ in range(8)]))


@app.get("/predict")
async def predicts() -> int:
    return len(await asyncio.gather(*[job_of(predict) for _ in range(8)]))
