"""The span of an ASGI request that no framework made one for, after the semantic conventions."""

from collections.abc import Mapping
from typing import Any

from whywait.tracer.config import REDACT_NOTHING
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.redaction.paths import path_without_tokens


def own_span_of(scope: Mapping[str, Any], status: int) -> tuple[str, str, dict[str, str | int]]:
    """Return its name, its error ("" without one) and its attributes; `status` is 0 where nothing was answered."""
    route = getattr(scope.get("route"), "path", None) or scope.get("path_template")
    method, path = scope["method"], scope["path"]
    recorder = recorders.active
    if recorder is not None and recorder.config.redact != REDACT_NOTHING:
        path = path_without_tokens(path, route)
    attributes: dict[str, str | int] = {
        "http.request.method": method, "url.path": path, "url.scheme": scope.get("scheme") or "http",
    }  # fmt: skip
    if route:
        attributes["http.route"] = route
    if status:
        attributes["http.response.status_code"] = status
    return f"{method} {route or path}", str(status) if status >= 500 else "", attributes
