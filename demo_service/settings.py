"""The service's settings: one frozen value, read once from WHYWAIT_DEMO_* by the entry point."""

from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "WHYWAIT_DEMO_"
MAX_PODS = 64
REQUEST_ID = "x-request-id"  # header by which a client names its request
CLIENT_REQUEST = "demo.request_id"  # attribute of a span: the same name


class SettingsError(Exception):
    """The service cannot start as asked; the message says what was found and what to do."""


class Settings(BaseSettings):
    """How the service trains, predicts and bounds its work. Each default is written here only."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    device: Literal["cpu", "cuda"] = "cpu"
    seed: int = Field(default=2026, ge=0)
    training_rows: int = Field(default=2_000, ge=50, le=1_000_000)
    trees: int = Field(default=200, ge=1, le=5_000)
    depth: int = Field(default=6, ge=1, le=12)
    model_threads: int = Field(default=1, ge=1, le=256)  # XGBoost's n_jobs
    pool_size: int = Field(default=8, ge=1, le=256)  # the dedicated pool, and each per-request pool
    batch_wait_ms: float = Field(default=2.0, ge=0, le=1_000)  # a microbatch waits this long for company
    batch_max_pods: int = Field(default=256, ge=1, le=10_000)
    max_waiting_pods: int = Field(default=4_096, ge=1)  # beyond it microbatch answers 503


def from_environment() -> Settings:
    """Settings from WHYWAIT_DEMO_* variables; raises `SettingsError` with one line on a bad value."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"{name}={first['input']!r} cannot be used: {first['msg']}") from error
