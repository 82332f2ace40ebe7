"""Statements of databases without their values, tracebacks without messages and source lines. Pure."""

import re
from typing import Final

from whywait.secret_text import REDACTED

_VERBS: Final = frozenset((
    "alter", "analyze", "begin", "call", "close", "commit", "copy", "create", "declare", "delete", "drop", "execute",
    "explain", "fetch", "grant", "insert", "lock", "merge", "release", "replace", "revoke", "rollback", "savepoint",
    "select", "truncate", "update", "vacuum", "values", "with",
))  # fmt: skip
# an open quote hides the rest
_LITERAL: Final = re.compile(
    r"""'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|\$(\w*)\$.*?(?:\$\1\$|$)|/\*.*?(?:\*/|$)|--[^\n]*"""
    r"""|\b0x[0-9a-f]+\b|(?<![\w$@:.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?\b""",
    re.IGNORECASE | re.DOTALL,
)
_HEAD: Final = re.compile(r"(\s*(?:[+|] )?)(?:Exception Group )?Traceback \(most recent call last\):$")
_FRAME: Final = re.compile(r' {2,}File ".*", line \d+(?:, in .*)?$')
_TYPE: Final = re.compile(r"^[A-Za-z_][\w.]*(?=:|$)")
_LINK: Final = re.compile(r"^(?:During handling of the above exception|The above exception was the direct cause)")


def statement(text: str) -> str:
    """Return SQL with `?` for each literal; of any other language, such as Redis's, the first word."""
    words = text.split(maxsplit=1)
    first = words[0].lower().lstrip("(") if words else ""
    if first not in _VERBS:
        return (
            " ".join([words[0] if first.isalpha() else REDACTED, *([REDACTED] if words[1:] else [])]) if words else ""
        )
    # whether a backslash escapes a quote depends on the database
    known, quote, _ = text.partition("'") if "\\" in text else (text, "", "")
    return _LITERAL.sub("?", known) + (REDACTED if quote else "")


def traceback(text: str) -> str:
    """Return a traceback's frames and the types of its exceptions, without messages and without source lines."""
    kept: list[str] = []
    margin = -1  # of the frames that are being read: that of an exception group's parts is not 0
    for line in text.splitlines():
        head = _HEAD.match(line)
        body = line[max(margin, 0) :]
        if head is not None:
            margin = len(head[1])
            kept.append(line.strip(" +|"))
        elif margin < 0:
            kept.extend(map("{}:".format, _LINK.findall(line)))
        elif _FRAME.match(body):
            kept.append(body)
        elif body[:1].strip():  # the first line that is not indented names the exception
            margin = -1
            kept.append(f"{(_TYPE.findall(body) or ['exception'])[0]}: {REDACTED}")
    return "\n".join(kept) or REDACTED
