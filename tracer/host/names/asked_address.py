"""What a client's call asks, as its own frame has it: a method and a host, never a path or a query; or a command of Redis,
never its key or values."""

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


def sent_command(coroutine: Any, code: CodeType) -> str:
    """Return the command that this function of a Redis client, in a chain of awaits, sends, as its method: "get",
    "xread(block=...)"; "" where it does not show. A place in the code is asked once."""
    with suppress(Exception):
        while coroutine.cr_code is not code:
            coroutine = coroutine.cr_await
        command, *given = coroutine.cr_frame.f_locals["args"]
        name = _text(command).partition(" ")[0].lower()
        blocks = name.startswith("xread") and ("BLOCK" in given or b"BLOCK" in given)
        return name + "(block=...)" * blocks if name.isalpha() else ""
    return ""


def _text(value: Any) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value or "")
