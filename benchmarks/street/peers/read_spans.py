"""Spans of any tool as stretches: each span's own time, with the names from its request's root down to it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.street.contract import Program
from benchmarks.street.drive import covered
from benchmarks.street.peers.evidence import SPAN, Frame, Stretch

_TOLD: Final = (
    "resource", "db.system", "db.system.name", "db.statement", "db.query.text", "http.method", "http.request.method",
    "http.url", "url.full", "sql.query", "op", "logfire.msg",
)  # fmt: skip
_CODE: Final = (
    ("code.filepath", "code.function", "code.lineno"), ("code.file.path", "code.function.name", "code.line.number"),
)  # fmt: skip


@dataclass
class Span:
    """One span, as JSON has it, and those below it."""

    told: Mapping[str, Any]
    below: list["Span"] = field(default_factory=list)

    @property
    def own_ms(self) -> float:
        """The time in which none below it ran; what a log line says that it lasted."""
        begin, end = self.told["begin_ns"], self.told["end_ns"]
        if begin == end and "duration" in self.told["attributes"]:
            return float(self.told["attributes"]["duration"]) * 1e3
        inner = [(one.told["begin_ns"], one.told["end_ns"]) for one in self.below]
        return (end - begin - covered(inner, [(begin, end)])) / 1e6


def stretches(program: Program, spans: Sequence[Mapping[str, Any]], requests: int) -> list[Stretch]:
    """Those of the endpoint's requests are per request that was traced, the others per request that was sent."""
    known = {one["id"]: Span(one) for one in spans}
    roots = []
    for one in known.values():
        above = known.get(one.told["parent"])
        (above.below if above else roots).append(one)
    judged = [one for one in roots if is_of(program, one.told)]
    found = [stretch for root in judged for stretch in _walk(root, "", (), 1 / len(judged), True)]
    others = [one for one in roots if one not in judged]
    return [*found, *(stretch for root in others for stretch in _walk(root, "", (), 1 / requests, False))]


def is_of(program: Program, root: Mapping[str, Any]) -> bool:
    """Whether a root span is a request of the judged endpoint: its path stands in the name or in an attribute."""
    path = program.endpoint.partition(" ")[2]
    texts = [root["name"], *map(str, root["attributes"].values())]
    return any(
        word == path or word.endswith(f"0.0.1{path}") or _after_host(word) == path
        for text in texts
        for word in text.split()
    )


def _after_host(url: str) -> str:
    return "/" + url.partition("://")[2].partition("/")[2].partition("?")[0] if "://" in url else url


def _walk(span: Span, above: str, frames: tuple[Frame, ...], share: float, judged: bool) -> Iterable[Stretch]:
    """The request's root itself is no words: that a request lasted is known."""
    is_root = judged and not above and not frames
    words = "" if is_root else f"{above} {_words(span.told)}".strip()
    frames = (*frames, *_frames(span.told["attributes"]))
    if (own_ms := span.own_ms) > 0:
        yield Stretch(own_ms * share, frames, words, judged, SPAN)
    for one in span.below:
        yield from _walk(one, words or " ", frames, share, judged)


def _words(told: Mapping[str, Any]) -> str:
    attributes = told["attributes"]
    texts = [told["name"], *(str(attributes[key])[:80] for key in _TOLD if attributes.get(key))]
    return " ".join(dict.fromkeys(texts))


def _frames(attributes: Mapping[str, Any]) -> Iterable[Frame]:
    for file, function, line in _CODE:
        if file in attributes:
            yield Frame(str(attributes[file]), str(attributes.get(function, "")), int(attributes.get(line, 0)))
