"""Finds request, marker, time, delta and total in a line: in common formats, in linear time, or by the user's
patterns."""

import json
import re
from collections.abc import Callable, Sequence
from datetime import date
from itertools import islice
from typing import Any, Final

from whywait.analysis.errors import LOG_PATTERN, InputError
from whywait.analysis.logs.clock_text import NUMBER, UNIT, Moment, duration, line_moment, moment
from whywait.analysis.logs.model import Sighting

GROUPS: Final = ("request", "name", "time", "delta", "total")
ALL: Final = "(all)"  # the only request, where a pattern has no group for it
_SHOWN: Final = 160

_WORDS: Final = r"(?:(?:request|req|trace|correlation)[_ -]?id|rid)"
_REQUEST: Final = re.compile(rf"(?i)(?<![a-z0-9]){_WORDS}[\"']?\s?[:=]\s?[\"']?(?P<request>[\w.:-]{{1,128}})")
_MARKER: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:TS_(?P<ts>\w{1,100})|(?:event|marker|phase)\s?[:=]\s?[\"']?(?P<named>[\w.:-]{1,100}))"
    r"(?:[\"']?\s?[:=]\s?(?P<time>\d{10,19}(?:\.\d{1,9})?))?"
)
_VALUE: Final = rf"[\"']?\s?[:=]?\s?(?P<value>{NUMBER})"
_DELTA: Final = re.compile(
    rf"(?i)(?<![a-z0-9])(?:delta|elapsed|duration|took)(?:_(?P<suffix>{UNIT}))?{_VALUE}(?:\s?(?P<unit>{UNIT})|(?!\s?\w))"
)
_TOTAL: Final = re.compile(  # a number without a unit may be anything
    rf"(?i)(?<![a-z0-9])(?:(?:completed|finished|done|handled|served) in|total(?: time|_time)?)"
    rf"(?:_(?P<suffix>{UNIT}){_VALUE}|{_VALUE.replace('value', 'spaced')}\s?(?P<unit>{UNIT}))"
)
# what may be a request's id, and how long it took, where neither is in a common format: for a proposal only
_MAY_BE_ID: Final = re.compile(
    r"(?i)(?<![a-z0-9])(?P<key>(?:\w{0,30}id|request|req|trace|job|task)[\"\]]?\s?[:=#-]?\s?[\"\[]?)(?P<id>(?=[\w-]{0,64}\d)\w[\w-]{0,127})"
)
_MAY_BE_TOTAL: Final = re.compile(
    rf"(?i)(?<!\w)(?P<key>[a-z]\w{{0,30}}?(?P<suffix>_ms)?[\"]?\s?[:=]?\s?)(?P<value>{NUMBER})(?P<unit>\s?{UNIT})?(?![\w.])"
)
_LOOKED_AT: Final = 1000  # characters of a line, and so many durations in it
_MOST_TRIED: Final = 3
_JSON_TIME: Final = ("timestamp", "time", "@timestamp", "ts", "asctime", "datetime")
_JSON_REQUEST: Final = ("request_id", "requestId", "requestID", "req_id", "correlation_id", "trace_id")
_JSON_TEXT: Final = ("message", "msg")
_JSON_DELTA: Final = ("delta", "elapsed", "duration", "took")
Reader = Callable[[str, int], Sighting | None]  # line without its end, its number


def common_reader(today: date) -> Reader:
    """Return a reader of common formats: `TS_NAME: 1747213340.826060, delta: 0.66ms` with a
    request id, logfmt, JSON; a line with a request id and a time and no marker is a plain sighting."""

    def read(line: str, number: int) -> Sighting | None:
        if line.startswith("{"):
            line = _json_as_text(line) or line
        return _text_line(line, number, today)

    return read


def _text_line(line: str, number: int, today: date) -> Sighting | None:
    request = _REQUEST.search(line)
    if request is None:
        return None
    marker = _MARKER.search(line)
    at = moment(marker["time"], today) if marker and marker["time"] else line_moment(line, today)
    if at is None:
        return None
    name, delta = (marker["ts"] or marker["named"], _stated(_DELTA, line)) if marker else ("", None)
    return Sighting(request["request"], at[0], number, line[:_SHOWN], name, delta, _stated(_TOTAL, line), at[1])


def _json_as_text(line: str) -> str:
    """The fields of a JSON line as a text line has them: the time, the request's id, the others, the message; "" if it is
    none. A duration without a unit may be in any."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    plain = {key: one for key, one in fields.items() if isinstance(one, (str, int, float)) and one != ""}
    others = [
        f"{key}={plain[key]}"
        for key in sorted(plain.keys() - {*_JSON_TIME, *_JSON_TEXT}, key=_rank)
        if key not in _JSON_DELTA or isinstance(plain[key], str)
    ]
    return ", ".join([*_first_of(_JSON_TIME, plain), *others, *_first_of(_JSON_TEXT, plain)])


def _first_of(keys: Sequence[str], plain: dict[str, Any]) -> list[str]:
    return [str(plain[key]) for key in keys if key in plain][:1]


def _rank(key: str) -> tuple[bool, int | str]:
    known = key in _JSON_REQUEST
    return not known, _JSON_REQUEST.index(key) if known else key


def _stated(pattern: re.Pattern[str], line: str) -> Moment | None:
    found = pattern.search(line)
    if found is None:
        return None
    parts = found.groupdict()
    unit = parts["unit"] or parts["suffix"]
    # a number without a unit may be seconds as well as milliseconds
    return duration(parts["value"] or parts["spaced"], unit) if unit else None


def user_reader(patterns: Sequence[str], today: date) -> Reader:
    """Return a reader by regular expressions; the first match counts. Raises InputError for a bad one."""
    compiled = [_compiled(one) for one in patterns]
    if not any({"name", "total"} & set(one.groupindex) for one in compiled):
        raise InputError(f"no --pattern has a group (?P<name>...) for the marker, such as --pattern '{LOG_PATTERN}'")

    def read(line: str, number: int) -> Sighting | None:
        for pattern in compiled:
            found = pattern.search(line)
            if found is not None:
                return _matched(found, line, number, today)
        return None

    return read


def fitting_pattern(lines: Sequence[str], today: date) -> str:
    """Return a pattern that finds a request and how long it took in one of these lines, which has a time, too; "" where
    none has all of them. A number without a unit is no duration."""
    for line in (one[:_LOOKED_AT] for one in lines):
        asked = _MAY_BE_ID.search(line)
        totals = (one for one in _MAY_BE_TOTAL.finditer(line) if one["unit"] or one["suffix"])
        for total in islice(totals, _MOST_TRIED):
            if asked is None:
                break
            parts = {
                asked.start(): rf"{re.escape(asked['key'])}(?P<request>\w[\w-]*)",
                total.start(): rf"{re.escape(total['key'])}(?P<total>[\d.]+{re.escape(total['unit'] or '')})",
            }
            pattern = ".*?".join(parts[at] for at in sorted(parts)).replace(r"\ ", " ")
            found = user_reader([pattern], today)(line, 1) if "'" not in pattern else None
            if found is not None and found.total is not None and found.request == asked["id"]:
                return pattern
    return ""


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise InputError(f"--pattern is no regular expression ({error}): {pattern}") from error
    unknown = sorted(set(compiled.groupindex) - set(GROUPS))
    if unknown:
        raise InputError(
            f"--pattern has a group (?P<{unknown[0]}>...); known are {', '.join(GROUPS)}, as in '{LOG_PATTERN}'"
        )
    return compiled


def _matched(found: re.Match[str], line: str, number: int, today: date) -> Sighting | None:
    groups = found.groupdict()
    at = moment(groups["time"], today) if groups.get("time") else line_moment(line, today)
    if at is None:
        return None
    delta, total = (duration(groups[name]) if groups.get(name) else None for name in ("delta", "total"))
    request = (groups.get("request") or ALL)[:128]
    return Sighting(request, at[0], number, line[:_SHOWN], (groups.get("name") or "")[:100], delta, total, at[1])
