"""Keeps trained pipelines between starts, as JSON only: loading never runs code from the file.

One file per set of training settings, written beside its final name and renamed into place, so that
starts at the same time each see a whole file or none.
"""

import hashlib
import json
import logging
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import sklearn
import xgboost
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from demo_service.model.features import CATEGORICAL, FEATURES, GPU_MODELS, NUMERIC, POD_NAMES, TARGETS
from demo_service.model.training import PREPROCESS, REGRESS, new_pipeline, synthetic_pods, train
from demo_service.settings import Settings

FORMAT: Final = 1
MAX_FILE_BYTES: Final = 256 * 1024 * 1024
log = logging.getLogger("demo_service")


class CacheUnusable(Exception):
    """The cached file or its directory cannot be trusted or understood; the message says why."""


def load_or_train(settings: Settings) -> dict[str, Pipeline]:
    """One fitted pipeline per target, from the cache if it holds them. A cache that cannot be used
    costs a training and a warning, never the start."""
    path = cache_path(settings)
    try:
        check_private(path.parent)
        if path.exists():
            return restore(path, settings)
    except (CacheUnusable, OSError) as error:
        log.warning("model cache not used: %s", error)
    log.info("training %d trees on %d rows for each of %s", settings.trees, settings.training_rows, TARGETS)
    pipelines = train(settings)
    try:
        check_private(path.parent)
        store(path, pipelines, settings)
    except (CacheUnusable, OSError) as error:
        log.warning("models not cached: %s", error)
    return pipelines


def cache_path(settings: Settings) -> Path:
    """The file for these training settings and library versions."""
    return settings.cache_dir / f"models-{fingerprint(settings)[:16]}.json"


def fingerprint(settings: Settings) -> str:
    """Hex digest of everything the trained numbers depend on."""
    said = {
        "format": FORMAT,
        "features": FEATURES,
        "categories": [POD_NAMES, GPU_MODELS],
        "targets": TARGETS,
        "seed": settings.seed,
        "rows": settings.training_rows,
        "trees": settings.trees,
        "depth": settings.depth,
        "device": settings.device,
        "versions": [xgboost.__version__, sklearn.__version__, np.__version__],
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def check_private(directory: Path) -> None:
    """Makes the directory with mode 0700; raises `CacheUnusable` if another user could write to it."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = directory.stat()
    if found.st_uid != os.getuid():
        raise CacheUnusable(f"{directory} is owned by user {found.st_uid}; set WHYWAIT_DEMO_CACHE_DIR")
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise CacheUnusable(f"others may write to {directory}; run: chmod 700 {directory}")


def store(path: Path, pipelines: dict[str, Pipeline], settings: Settings) -> None:
    """Writes the pipelines to `path` in one step; raises `OSError` if it cannot."""
    content = {
        "format": FORMAT,
        "fingerprint": fingerprint(settings),
        "targets": {name: _to_json(pipeline) for name, pipeline in pipelines.items()},
    }
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".models-")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def restore(path: Path, settings: Settings) -> dict[str, Pipeline]:
    """The pipelines in `path`; raises `CacheUnusable` if it is not a whole file of these settings."""
    if path.stat().st_size > MAX_FILE_BYTES:
        raise CacheUnusable(f"{path} is larger than {MAX_FILE_BYTES} bytes")
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT or content["fingerprint"] != fingerprint(settings):
            raise CacheUnusable(f"{path} was written for other settings")
        return {name: _from_json(content["targets"][name], settings) for name in TARGETS}
    except (ValueError, KeyError, TypeError, xgboost.core.XGBoostError) as error:
        raise CacheUnusable(f"{path} is damaged ({type(error).__name__})") from error


def _scaler(pipeline: Pipeline) -> StandardScaler:
    return pipeline.named_steps[PREPROCESS].named_transformers_["numeric"]


def _to_json(pipeline: Pipeline) -> dict[str, Any]:
    scaler = _scaler(pipeline)
    return {
        "columns": [*CATEGORICAL, *NUMERIC],
        "mean": scaler.mean_.tolist(),
        "var": scaler.var_.tolist(),
        "scale": scaler.scale_.tolist(),
        "rows": int(scaler.n_samples_seen_),
        "model": pipeline.named_steps[REGRESS].get_booster().save_raw("json").decode(),
    }


def _from_json(said: dict[str, Any], settings: Settings) -> Pipeline:
    if said["columns"] != [*CATEGORICAL, *NUMERIC]:
        raise ValueError("other columns")
    pipeline = new_pipeline(settings)
    # fitting on a few rows gives every part its shape; what was learnt then replaces what it learnt
    pipeline.named_steps[PREPROCESS].fit(synthetic_pods(2, settings.seed))
    scaler = _scaler(pipeline)
    for name in ("mean", "var", "scale"):
        values = np.asarray(said[name], dtype=float)
        if values.shape != (len(NUMERIC),) or not np.isfinite(values).all():
            raise ValueError(f"{name} has {values.shape} values")
        setattr(scaler, f"{name}_", values)
    scaler.n_samples_seen_ = int(said["rows"])
    regressor = pipeline.named_steps[REGRESS]
    regressor.load_model(bytearray(said["model"].encode()))
    regressor.set_params(n_jobs=settings.model_threads, device=settings.device)
    return pipeline
