"""How the service says no: clear bodies, right codes, and never the offending value back."""

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo_service.microbatch import BatchError, Overloaded
from demo_service.service import NotReady

MAX_PROBLEMS = 20


def add_refusals(app: FastAPI) -> None:
    """Registers a handler for each way a request can fail."""
    app.add_exception_handler(RequestValidationError, _invalid)
    for kind in (NotReady, Overloaded, BatchError):
        app.add_exception_handler(kind, _refused)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    # without pydantic's "input": it may be NaN, which JSON has not, or megabytes
    problems = [{"loc": list(one["loc"]), "msg": one["msg"], "type": one["type"]} for one in found[:MAX_PROBLEMS]]
    if len(found) > MAX_PROBLEMS:
        more = f"and {len(found) - MAX_PROBLEMS} more problems"
        problems.append({"loc": ["body"], "msg": more, "type": "too_many_problems"})
    return JSONResponse({"detail": problems}, status_code=422)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    failed = isinstance(error, BatchError)
    headers = None if failed else {"retry-after": "1"}
    return JSONResponse({"detail": str(error)}, status_code=500 if failed else 503, headers=headers)


def body_limit(app: ASGIApp, max_bytes: int) -> ASGIApp:
    """ASGI middleware: a body above `max_bytes` gets 413, by counting what arrives."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > max_bytes:
                raise HTTPException(413, f"the body is larger than {max_bytes} bytes; send fewer pods per request")
            return message

        await app(scope, counted if scope["type"] == "http" else receive, send)

    return limited
