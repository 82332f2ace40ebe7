"""Sends OTLP JSON Lines to a collector or Jaeger, over OTLP/HTTP."""

from collections.abc import Iterable
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from whywait.analysis.errors import InputError

TIMEOUT_S: Final = 60.0


def address(url: str, path: str) -> str:
    """Return a receiver's address, with `path` unless it has it. Raises InputError for what is none."""
    if not url.startswith(("http://", "https://")):
        raise InputError(
            f"{url!r} is not the address of an OTLP receiver: expected a URL such as http://localhost:4318"
        )
    base = url.rstrip("/")
    return base if base.endswith(path) else base + path


def send(lines: Iterable[bytes], url: str) -> int:
    """Post each line to `url` (path /v1/traces unless it has one); return their number. Raises InputError when it is
    refused, with the number accepted before."""
    target = address(url, "/v1/traces")
    sent = 0
    for line in lines:
        if not line.strip():
            continue
        request = Request(target, line, {"Content-Type": "application/json"})  # noqa: S310 - http or https
        try:
            with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                answer.read()
        except HTTPError as error:
            said = error.read(300).decode("utf-8", "replace")
            raise InputError(
                f"{target} refused traces ({error.code} {said}); it accepted {sent} lines before"
            ) from error
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise InputError(
                f"{target} did not accept traces ({reason}): is it an OTLP/HTTP receiver, such as Jaeger's port 4318?"
            ) from error
        sent += 1
    return sent
