"""Logs with OpenTelemetry's own ids of the trace, and answers with what it logged; holds the loop where it is asked to."""

import asyncio
import io
import logging
import time

from fastapi import FastAPI, Response
from opentelemetry.instrumentation.logging import LoggingInstrumentor

LoggingInstrumentor().instrument(set_logging_format=True)
told = io.StringIO()
handler = logging.StreamHandler(told)
handler.setFormatter(logging.Formatter("%(otelTraceID)s"))
log = logging.getLogger("headers_app")
log.addHandler(handler)
app = FastAPI()
HELD_S = 0.2


@app.get("/logs")
async def logs(response: Response) -> list[str]:
    told.seek(told.truncate(0))
    log.error("on the loop")
    await asyncio.to_thread(log.error, "in a thread")
    await asyncio.get_running_loop().run_in_executor(None, log.error, "in an executor")
    response.headers["x-own"] = "kept"
    return told.getvalue().split()


@app.get("/holds")
async def holds() -> None:
    time.sleep(HELD_S)
