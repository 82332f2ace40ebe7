"""One table: which attributes may hold a secret, and what is written instead. Pure."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Final

from whywait.secret_text import REDACTED, TELLING, masked
from whywait.tracer.redaction.paths import without_secrets
from whywait.tracer.redaction.statements import statement, traceback

Rule = Callable[[str], str]


def _nothing(_: str) -> str:
    return REDACTED


def _program(command: str) -> str:
    program, blank, _ = command.partition(" ")
    return f"{program} {REDACTED}" if blank else program


ADDRESSES: Final = frozenset(("url.full", "url.original", "url.path", "http.url", "http.target"))
_ROUTE: Final = "http.route"
_COMMAND: Final = ("process.command_line", "process.command_args")
# what a service sets itself under these is ours: names of functions, files and threads
_OURS: Final = ("whywait.", "code.", "thread.")
_IDS: Final = ("_id", "_ids", ".activity")

RULES: Final[tuple[tuple[str, Rule], ...]] = (
    (r"url\.(?:query|fragment)", _nothing),
    (r"(?:http|rpc|messaging)\..*\b(?:headers?|metadata|cookies?|body|payload)\b.*", _nothing),
    (r"db\.(?:statement|query\.text)|sql\.query|graphql\.document", statement),
    (r"db\..*\bparameters?\b.*|db\.(?:connection_string|user)|graphql\.variables.*", _nothing),
    (r"gen_ai\..*\b(?:messages?|prompts?|completions?|system_instructions|arguments|content|result)\b.*", _nothing),
    (r"exception\.message|error\.message|(?:faas|messaging)\.message\.(?:body|payload)", _nothing),
    (r"exception\.stacktrace|code\.stacktrace", traceback),
    (r"process\.command_line", _program),
    (r"process\.environment_variable\..*|.*\benv(?:iron(?:ment)?)?_?vars?\b.*", _nothing),
    (rf"(?i).*(?:{TELLING}|authorization|cookie|(?<![a-z])auth(?![a-z])).*", _nothing),
)
"""By the whole key, the first that matches. `ADDRESSES` and a list of arguments have rules of their own."""

_LONGEST_KEY: Final = 200

_COMPILED: Final = tuple((re.compile(key), rule) for key, rule in RULES)


@lru_cache(2_048)
def rule_of(key: str) -> Rule:
    """Return what becomes of a text under this key."""
    if key.startswith(_OURS) and key != "code.stacktrace":
        return str if key.endswith(_IDS) else masked  # each id is new, and would push names out of the cache
    if len(key) > _LONGEST_KEY:
        return _nothing
    return next((rule for pattern, rule in _COMPILED if pattern.fullmatch(key)), masked)


def redacted(attributes: Mapping[str, Any], *, keep_parameters: bool = True) -> Mapping[str, Any]:
    """Return the attributes without secrets: the same mapping where there are none. Numbers are kept."""
    changed: dict[str, Any] = {}
    for key, value in attributes.items():
        if isinstance(value, int | float):
            continue
        if key in _COMMAND and isinstance(value, tuple | list):
            new: Any = type(value)([*value[:1], *[REDACTED] * (len(value) > 1)])
        elif key in ADDRESSES:
            route = str(attributes.get(_ROUTE, ""))
            new = _value(partial(without_secrets, route=route, keep_parameters=keep_parameters), value)
        else:
            new = rule_of(key)(value) if type(value) is str else _value(rule_of(key), value)
        if new != value:
            changed[key] = new
    return {**attributes, **changed} if changed else attributes


def _value(rule: Rule, value: Any) -> Any:
    if isinstance(value, str):
        return rule(value)
    if isinstance(value, bytes):
        return REDACTED.encode()
    if isinstance(value, tuple | list):
        return tuple([rule(one) if type(one) is str else _value(rule, one) for one in value])
    if isinstance(value, Mapping):
        return {key: _value(rule, one) if rule is not masked else _value(rule_of(str(key)), one)
                for key, one in value.items()}  # fmt: skip
    return value
