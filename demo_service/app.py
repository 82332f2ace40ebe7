"""The service as an ASGI application: `uvicorn demo_service.app:app`, or `create_app(settings)`."""

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from demo_service import settings as service_settings
from demo_service.model.devices import check_device
from demo_service.service import Service
from demo_service.settings import Settings, SettingsError
from demo_service.web.refusals import add_refusals
from demo_service.web.routes import router

if TYPE_CHECKING:
    app: FastAPI


def create_app(settings: Settings) -> FastAPI:
    """The application with these settings; raises `SettingsError` if the device asked for is absent."""
    check_device(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = Service(settings)
        try:
            yield
        finally:
            await app.state.service.aclose()

    made = FastAPI(
        title="Latency predictor",
        description="Predicts `ttft_ms` and `avg_tpot_ms` for LLM-serving pods, in six ways.",
        lifespan=lifespan,
    )
    add_refusals(made)
    made.include_router(router)
    return made


def __getattr__(name: str) -> Any:
    """Makes `app` when a server asks for it, so that importing this module reads no environment."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _log_to_stderr()
    try:
        made = create_app(service_settings.from_environment())
    except SettingsError as error:
        print(f"demo_service: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    globals()["app"] = made
    return made


def _log_to_stderr() -> None:
    log = logging.getLogger("demo_service")
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s:     %(message)s"))
        log.addHandler(handler)
    log.setLevel(logging.INFO)
