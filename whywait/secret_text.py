"""Masks secrets in free text: what names itself a secret, and what has the known form of one. Pure.

For the tracer and the analysis alike. A secret without a telling word or form cannot be found in text: where one may
stand, such as in an exception's message, `tracer.redaction` removes the whole value.
"""

import re
from functools import lru_cache
from logging import LogRecord
from typing import Final

REDACTED: Final = "[redacted]"
TELLING: Final = (
    r"pass(?:word|wd|phrase)|pwd|secret(?!ar)|token(?!i[sz])|api[_-]?key|access[_-]?key|private[_-]?key|credential|jwt"
    r"|session[_.-]?id"
)
_MOST_CACHED: Final = 4_096
_LONGEST: Final = 8_000  # of a text that is searched; the rest is removed

# in small letters; a text without any of them has nothing that a rule below masks. `in` is far cheaper than a pattern
_HINTS: Final = (
    "pass", "pwd", "secret", "token", "key", "credential", "jwt", "session", "auth", "cookie", "bearer", "basic", "://",
    "eyj", "akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "xox", "sk-", "sk_", "aiza", "glpat", "npm_", "pypi-",
    "github_pat", "-----begin",
)  # fmt: skip
# every repetition is bounded or consumes what it has searched: linear in the length, whatever the text
_VALUE: Final = r"(?:\"[^\"]*(?:\"|$)|'[^']*(?:'|$)|[^\s,;&\"')\]}]+)"
_URL: Final = re.compile(r"(?i)(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,15}://)([^\s\"'<>]*)")
_RULES: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # a key of several lines
        (r"(?s)-----BEGIN [A-Z ]{1,40}-----.*?(?:-----END [A-Z ]{1,40}-----|$)", REDACTED),
        # a header in text or as an entry of a mapping: its value lasts to the end of the line, or of the quotes
        (
            r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(\b[\"']?\s*[:=,]\s*(?:b(?=[\"']))?)"
            r"(?:\"[^\"]*\"|'[^']*'|[^\r\n\"']+)",
            rf"\1\2{REDACTED}",
        ),
        (r"\b((?i:bearer|basic))\s+(?=[a-z_-]*[A-Z0-9.~+/=])[\w.~+/=-]{6,}", rf"\1 {REDACTED}"),
        # --password x, password=x, "password": "x"; not `get_token:12`, which is a place in code
        (rf"(?i)(--?[\w-]{{0,40}}?(?:{TELLING})[\w-]{{0,40}})(\s+)(?!-){_VALUE}", rf"\1\2{REDACTED}"),
        (
            rf"(?i)((?:{TELLING})[\w-]{{0,40}})([\"']?(?:\s*=\s*|\s*:\s+|\s*[\"']\s*[:,]\s*)(?:b(?=[\"']))?){_VALUE}",
            rf"\1\2{REDACTED}",
        ),
        # known forms
        (r"(?<![\w-])eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)*", REDACTED),
        (
            r"\b(?:A(?:KI|SI)A[A-Z0-9]{16}|gh[pousr]_\w{20,}|github_pat_\w{20,}|xox[a-z]-[\w-]{10,}|sk[-_][\w-]{16,}"
            r"|AIza[\w-]{30,}|glpat-[\w-]{16,}|npm_\w{30,}|pypi-[\w-]{16,})",
            REDACTED,
        ),
    )
)


def _address(found: re.Match[str]) -> str:
    host, slash, rest = found[2].partition("/")
    rest, mark, _ = (slash + rest if slash else "").partition("?")
    if not mark:
        host, mark, _ = host.partition("?")
    return f"{found[1]}{host.rpartition('@')[2]}{rest}{mark and mark + REDACTED}"


def masked(text: str) -> str:
    """Return the text with `[redacted]` for each secret that names itself or has a known form."""
    return _masked_short(text) if len(text) < 200 else _masked(text)


def without_secrets(record: LogRecord) -> bool:
    """Mask what a message of whywait's logger quotes, such as an error's text. A filter that passes everything."""
    try:
        record.msg, record.args = masked(record.getMessage()), ()
    except Exception:  # the repr of something of the service; the handler deals with it
        record.msg, record.args = f"{record.msg} {REDACTED}", ()
    return True


def _masked(text: str) -> str:
    small = text.lower()
    if not any(hint in small for hint in _HINTS):
        return text
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]} {REDACTED}"
    if "://" in small:
        text = _URL.sub(_address, text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


_masked_short: Final = lru_cache(_MOST_CACHED)(_masked)  # names come again and again
