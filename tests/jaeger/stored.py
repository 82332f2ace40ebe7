"""What a real Jaeger has of a service, once it has all of it.

Jaeger stores span by span, from a queue of its own: a trace it already tells of may still lack spans that it has
been sent, so that to wait for traces alone is not enough.
"""

import json
import time
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

from testbed.jaeger_server import Jaeger

WITHIN_S = 60


def stored(jaeger: Jaeger, service: str, spans: int, **query: str) -> list[dict[str, Any]]:
    """The service's traces as Jaeger's own UI gets them, with `spans` spans in all; what there is after a minute."""
    more = "".join(f"&{name}={quote(value)}" for name, value in query.items())
    url = f"{jaeger.query_url}/api/traces?service={quote(service)}&limit=1000&lookback=1h{more}"
    deadline = time.monotonic() + WITHIN_S
    while True:
        with urlopen(url, timeout=30) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]
        if sum(len(trace["spans"]) for trace in found) >= spans or time.monotonic() > deadline:
            return found
        time.sleep(0.2)
