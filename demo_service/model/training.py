"""Trains the two pipelines on seeded synthetic data. The formulas are invented, their shape is not:
queues, long prompts and slow GPUs make a first token late, batches make the next ones slow."""

from random import Random
from typing import Final

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBRegressor

from demo_service.model.features import CATEGORICAL, FEATURES, GPU_MODELS, NUMERIC, POD_NAMES, TARGETS, sample_pod
from demo_service.settings import Settings

_SPEED: Final = {"L40S": 0.5, "A100": 1.0, "H100": 2.0, "H200": 2.4, "B200": 4.0}
PREPROCESS: Final = "preprocess"
REGRESS: Final = "regress"


def new_pipeline(settings: Settings) -> Pipeline:
    """An unfitted pipeline: one-hot of the names, scaling of the numbers, then gradient boosting."""
    categories = [list(POD_NAMES), list(GPU_MODELS)]  # a pod name never seen becomes all zeros
    one_hot = OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False)
    return Pipeline(
        [
            (
                PREPROCESS,
                ColumnTransformer(
                    [("categorical", one_hot, list(CATEGORICAL)), ("numeric", StandardScaler(), list(NUMERIC))]
                ),
            ),
            (
                REGRESS,
                XGBRegressor(
                    n_estimators=settings.trees,
                    max_depth=settings.depth,
                    tree_method="hist",
                    random_state=settings.seed,
                    n_jobs=settings.model_threads,
                    device=settings.device,
                ),
            ),
        ]
    )


def synthetic_pods(rows: int, seed: int) -> pd.DataFrame:
    """`rows` pods with typical values, the same for the same seed."""
    random = Random(seed)
    return pd.DataFrame([sample_pod(random) for _ in range(rows)], columns=list(FEATURES))


def synthetic_targets(pods: pd.DataFrame, seed: int) -> dict[str, np.ndarray]:
    """Milliseconds per target for each pod, with 3% of seeded noise."""
    noise = np.random.default_rng(seed)
    scale_out = np.sqrt(pods["tensor_parallel_size"].to_numpy())
    speed = pods["gpu_model"].map(_SPEED).to_numpy(dtype=float) * scale_out
    fresh_tokens = pods["input_tokens"] * (1 - pods["prefix_cache_hit_rate"])
    ttft_ms = (
        15
        + fresh_tokens / (8 * speed)
        + 6 * pods["num_requests_waiting"] / speed
        + 0.1 * pods["queue_age_ms"]
        + 80 * np.square(pods["kv_cache_usage"])
        + pods["network_rtt_ms"]
    )
    avg_tpot_ms = 4 + 18 / speed + 0.35 * pods["num_requests_running"] / speed + 8 * np.square(pods["kv_cache_usage"])
    answers = {}
    for name, exact in zip(TARGETS, (ttft_ms, avg_tpot_ms), strict=True):
        answers[name] = np.asarray(exact * noise.normal(1, 0.03, len(pods)), dtype=float)
    return answers


def train(settings: Settings) -> dict[str, Pipeline]:
    """One fitted pipeline per target. Seconds of work on one CPU at the default size."""
    pods = synthetic_pods(settings.training_rows, settings.seed)
    answers = synthetic_targets(pods, settings.seed)
    return {name: new_pipeline(settings).fit(pods, answers[name]) for name in TARGETS}
