"""How the service says no: clear bodies, right codes, and never the offending value back."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from demo_service.microbatch import BatchError, Overloaded
from demo_service.service import NotReady


def add_refusals(app: FastAPI) -> None:
    app.add_exception_handler(RequestValidationError, _invalid)
    for kind in (NotReady, Overloaded, BatchError):
        app.add_exception_handler(kind, _refused)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # without pydantic's "input": it may be NaN, which JSON has not, or megabytes
    problems = [{"loc": list(one["loc"]), "msg": one["msg"], "type": one["type"]} for one in error.errors()]
    return JSONResponse({"detail": problems}, status_code=422)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    failed = isinstance(error, BatchError)
    headers = None if failed else {"retry-after": "1"}
    return JSONResponse({"detail": str(error)}, status_code=500 if failed else 503, headers=headers)
