"""Addresses without queries, users and passwords; paths without what looks like a token. Pure."""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from whywait.secret_text import REDACTED, TELLING, masked

_BASE: Final = re.compile(r"(?i)^(?P<before>[a-z][a-z0-9+.-]*://)?(?P<rest>[^?#]*)(?P<query>[?#].*)?$", re.DOTALL)
# nothing, a template already, or a UUID
_HARMLESS: Final = re.compile(r"(?is)\Z|<|.*\{|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
# a run of letters and digits mixed, or a very long run: chance, not a word with a number after it
_RANDOM: Final = re.compile(r"(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{16,}|[A-Za-z0-9]{32,}")
# a telling word and a value in one part, such as `token-4f2a91`; not a name with a small number, such as `tokens-3`
_SECRET: Final = re.compile(rf"(?i)(?:{TELLING})s?(?:.*[^a-z0-9])?(?:(?=[a-z+/~]*\d)[a-z0-9+/~]{{6,}}|[^-_.\s]{{16,}})")
# what follows such a word in a path is mostly a token
_BEFORE_TOKEN: Final = re.compile(
    rf"(?i)(?:{TELLING})s?|reset|verify|confirm|activate|invite|invitation|magic(?:-?link)?|unsubscribe|keys?|share|webhooks?"
)
_WORD, _SHORT_WORD = re.compile(r"[A-Za-z][A-Za-z_-]*"), re.compile(r"[A-Za-z][A-Za-z_-]{0,10}")


def without_secrets(address: str, route: str | None = None, *, keep_parameters: bool = True) -> str:
    """Return an address or path without user, password, query and tokens. `route`, its template, has parts to keep;
    with `keep_parameters` false the path becomes the template."""
    found = _BASE.match(address)
    if found is None:
        return REDACTED
    before, rest = found["before"] or "", found["rest"]
    host, slash, path = rest.partition("/") if before else ("", "", rest)
    if route and not keep_parameters:
        path = route.removeprefix("/") if slash else route
    else:
        path = path_without_tokens(path, route)
    return f"{before}{host.rpartition('@')[2]}{slash}{path}{'?' + REDACTED if found['query'] else ''}"


def path_without_tokens(path: str, route: str | None = None) -> str:
    """Return a path with `[redacted]` for each part that looks like a token, or comes after a word like "reset"."""
    parts = path.split("/")
    literal = _literal_parts(parts, route)
    return "/".join(map(_part, ["", *parts[:-1]], parts, literal))


def _literal_parts(parts: list[str], route: str | None) -> list[bool | None]:
    """Whether each part stands in the template as it is; None where that is not known. The path may have a prefix."""
    template = (route or "").strip("/").split("/")
    ahead = len(parts) - len(template)
    if not route or ahead < 0:
        return [None] * len(parts)
    return [None] * ahead + [one == other for one, other in zip(parts[ahead:], template, strict=True)]


def _part(before: str, part: str, literal: bool | None) -> str:
    text, told = unquote(part), _BEFORE_TOKEN.fullmatch(before)
    if literal or _HARMLESS.match(text):
        return part
    # such as "refresh" in /token/refresh
    word = literal is None and (_SHORT_WORD if told else _WORD).fullmatch(text)
    secret = not word and (told or _SECRET.search(text))
    return REDACTED if any((secret, _RANDOM.search(text), masked(text) != text)) else part


@lru_cache(1_024)
def endpoint_name(name: str) -> str:
    """Return a span's name; where it is a method and a path, the path without tokens."""
    first, space, path = name.partition(" ")
    if path.startswith("/"):
        return f"{first}{space}{path_without_tokens(path.partition('?')[0])}"
    if name.startswith("/"):
        return path_without_tokens(name.partition("?")[0])
    return masked(name)
