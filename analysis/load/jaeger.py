"""Loads spans from Jaeger: through its v3 query API, or the older one where v3 is missing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from whywait.analysis.errors import InputError
from whywait.analysis.load.jaeger_legacy import legacy_rows
from whywait.analysis.load.otlp import NotOtlp, Row, rows_of, values_in
from whywait.analysis.model import Finding

TIMEOUT_S: Final = 60.0
DEFAULT_SPAN: Final = timedelta(hours=1)
_ROUNDED: Final = "this Jaeger's API has times in microseconds: the nanoseconds are lost"
Answer = tuple[list[Row], tuple[Finding, ...]]


def epoch_ns(moment: datetime) -> int:
    """Return the moment as nanoseconds since the epoch; a naive one is local time."""
    delta = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta // timedelta(microseconds=1)) * 1000


def read(url: str, *, service: str | None, start: datetime | None, end: datetime | None, limit: int) -> Answer:
    """Return the spans of at most `limit` traces of a service. Raises InputError when Jaeger does not answer or know
    it."""
    base = url.rstrip("/")
    until = (end or datetime.now(UTC) + timedelta(minutes=1)).astimezone(UTC)
    since = (start or until - DEFAULT_SPAN).astimezone(UTC)
    is_v3, services = _services(base)
    chosen = _choose(base, service, services)
    path, ask = ("/api/v3/traces", _v3_query) if is_v3 else ("/api/traces", _legacy_query)
    answers = _get(base, path, ask(chosen, since, until, str(limit))) or []
    rows = _rows(base, path, answers, is_v3)
    if not rows:
        between = f"between {_rfc3339(since)} and {_rfc3339(until)}"
        raise InputError(f"{base} has no traces of {chosen!r} {between}: widen the bounds")
    return rows, tuple(_findings(rows, is_v3, limit))


def _findings(rows: list[Row], is_v3: bool, limit: int) -> Iterator[Finding]:
    if not is_v3:
        yield Finding("microseconds", _ROUNDED)
    if len({row[0] for row in rows}) >= limit:
        yield Finding("limit-reached", f"Jaeger was asked for at most {limit} traces and has more: not all are here")


def _services(base: str) -> tuple[bool, Any]:
    """Whether it has the newer interface, and what it answers to the question for its services."""
    for path, key in (("/api/v3/services", "services"), ("/api/services", "data")):
        answers = _get(base, path, {})
        if answers is not None:
            return key == "services", answers[0].get(key) if answers else None
    raise InputError(f"{base} is not a Jaeger: neither /api/v3/services nor /api/services is there")


def _rows(base: str, path: str, answers: list[Any], is_v3: bool) -> list[Row]:
    try:
        return [
            row for one in answers for row in (rows_of(one.get("result", one)) if is_v3 else legacy_rows(one["data"]))
        ]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        said = str(error) if isinstance(error, NotOtlp) else repr(error)
        raise InputError(f"{base} does not answer like a Jaeger: {said} in {path}") from error


def _v3_query(service: str, since: datetime, until: datetime, limit: str) -> dict[str, str]:
    # releases differ in how they spell the parameters, and ignore the spelling they do not know.
    # Raw: a trace as it was sent, not as Jaeger's clock-skew adjuster would have it.
    return {
        **dict.fromkeys(("query.serviceName", "query.service_name"), service),
        **dict.fromkeys(("query.startTimeMin", "query.start_time_min"), _rfc3339(since)),
        **dict.fromkeys(("query.startTimeMax", "query.start_time_max"), _rfc3339(until)),
        **dict.fromkeys(("query.searchDepth", "query.num_traces"), limit),
        **dict.fromkeys(("query.rawTraces", "query.raw_traces"), "true"),
    }


def _legacy_query(service: str, since: datetime, until: datetime, limit: str) -> dict[str, str]:
    start, end = str(epoch_ns(since) // 1000), str(epoch_ns(until) // 1000)
    return {"service": service, "start": start, "end": end, "limit": limit}


def _choose(base: str, service: str | None, known: Any) -> str:
    if not isinstance(known, list):
        raise InputError(f"{base} does not answer like Jaeger: no list of services")
    names = sorted(str(name) for name in known)
    listed = ", ".join(map(repr, names)) or "none yet"
    if service is None:
        if len(names) == 1:
            return names[0]
        raise InputError(f"name the service whose traces to read (--service); {base} knows: {listed}")
    if service not in names:
        raise InputError(f"{base} knows no service {service!r}; it knows: {listed}")
    return service


def _get(base: str, path: str, query: dict[str, str]) -> list[Any] | None:
    """Return the JSON objects of the answer; None for a missing page."""
    body = _body(base, path, query)
    if body is None:
        return [] if path == "/api/v3/traces" else None
    try:
        answers = [value for value, _ in values_in(body)]
    except ValueError:
        answers = [None]
    if all(isinstance(one, dict) for one in answers):
        return answers
    # for example a page of Jaeger's UI, from an older release without this address
    if "v3" in path:
        return None
    raise InputError(f"{base} is not a Jaeger: {path} did not answer JSON")


def _body(base: str, path: str, query: dict[str, str]) -> str | None:
    """Return the text of the answer; None for a missing page."""
    request = Request(f"{base}{path}?{urlencode(query)}".rstrip("?"), headers={"Accept": "application/json"})  # noqa: S310 - http(s) was checked
    try:
        with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return str(answer.read(), "utf-8")
    except HTTPError as error:
        with error:
            if error.code in (404, 405, 501):
                return None
            reason = error.read(300).decode("utf-8", "replace").strip().replace("\n", " ")
        raise InputError(f"{base} answered {error.code} to {path}: {reason or error.reason}") from error
    except (URLError, OSError, HTTPException, ValueError) as error:
        reason = str(getattr(error, "reason", error))
        raise InputError(
            f"no Jaeger at {base}: {reason}. Is it running, and is this its query port (16686)?"
        ) from error


def _rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
