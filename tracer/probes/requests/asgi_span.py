"""The span of an ASGI request that no framework made one for, after the semantic conventions."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from whywait.tracer.config import REDACT_NOTHING
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.redaction.paths import path_without_tokens


def own_span_of(scope: Mapping[str, Any], status: int) -> tuple[str, str, Callable[[], Mapping[str, Any]]]:
    """Return its name, its error ("" without one) and what gives its attributes; `status` is 0 where nothing was
    answered."""
    route = getattr(scope.get("route"), "path", None) or scope.get("path_template")
    name = f"{scope['method']} {route or scope['path']}"
    return name, str(status) if status >= 500 else "", partial(_attributes, scope, status, route)


def _attributes(scope: Mapping[str, Any], status: int, route: str | None) -> Mapping[str, Any]:
    path = scope["path"]
    recorder = recorders.active
    if recorder is not None and recorder.config.redact != REDACT_NOTHING:
        path = path_without_tokens(path, route)
    found = {
        "http.request.method": scope["method"], "url.path": path, "url.scheme": scope.get("scheme") or "http",
        "network.protocol.version": scope.get("http_version"), "url.query": scope.get("query_string", b"").decode("latin-1"),
        **_server(scope), "http.route": route, "http.response.status_code": status,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value}


def _server(scope: Mapping[str, Any]) -> dict[str, Any]:
    """The address and port that the client asked for, else those of the server."""
    asked = next((value.decode("latin-1") for key, value in scope["headers"] if key == b"host"), "")
    host, _, port = asked.rpartition(":") if not asked.endswith("]") else (asked, "", "")
    if not port.isdigit():
        host, port = asked, {"http": "80", "https": "443"}.get(scope.get("scheme", "http"), "")
    if not asked:
        host, port = scope.get("server") or ("", "")
    return {"server.address": host.strip("[]"), "server.port": int(port) if port else 0}
