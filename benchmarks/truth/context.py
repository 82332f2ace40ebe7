"""What the service knows of the request that runs now."""

from contextvars import ContextVar
from typing import Any, Final

from starlette.requests import Request

request_of: ContextVar[Request] = ContextVar("request_of")
answer: ContextVar[dict[str, Any]] = ContextVar("answer")  # notes for the outermost layer, app.Measured
INSIDE: Final = "inside"  # what the loop's thread spent while a worker had the request
FAULT: Final = "fault"  # what it spent from the begin of the injection to its end
WAITED_FOR_CLIENT_NS: Final = "waited_for_client_ns"
WRITTEN_NS: Final = "written_ns"  # since its client sent it, when the server had all of the response
BEGUN: Final = "begun"  # what the loop's thread had spent when the application was called
