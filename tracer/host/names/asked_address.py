"""The address that a client's call asks, as its own frame has it: a method and a host, never a path or a query."""

from contextlib import suppress
from types import CodeType, FrameType
from typing import Any, Final
from urllib.parse import urlsplit

CLIENTS: Final = ("aiohttp.client", "httpcore.", "httpx.", "niquests.", "requests.")  # how their modules begin
_REQUEST, _METHOD, _URL = "request", "method", "url"
_USUAL_PORTS: Final = (None, 80, 443)


def asks(code: CodeType) -> bool:
    """Whether this function, of an HTTP client, has in hand whom it asks."""
    names = code.co_varnames
    return _REQUEST in names or (_METHOD in names and _URL in names)


def asked_address(frame: FrameType) -> str:
    """Return whom it asks: "GET rates:8080"; "" where it does not show."""
    with suppress(Exception):
        known: dict[str, Any] = frame.f_locals
        request = known.get(_REQUEST)
        url: Any
        method, url = (known.get(_METHOD), known.get(_URL)) if request is None else (request.method, request.url)
        if isinstance(url, str):
            url = urlsplit(url)
        host, port = _text(getattr(url, "hostname", None) or getattr(url, "host", "")), url.port
        said = f"[{host}]" if ":" in host else host
        return f"{_text(method).upper()} {said}" + ("" if port in _USUAL_PORTS else f":{port}") if host else ""
    return ""


def _text(value: Any) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value or "")
