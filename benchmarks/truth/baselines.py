"""What simpler rules say of the same traces, seeing only what ordinary tracing sees: the SERVER span, the
framework's spans, and the spans that a developer put around functions. Nothing of whywait's is among them.

* self time: the span whose own time, less the union of its children's, is largest.
* critical path: Jaeger's, as its documentation has it: from the root's end to the child that finished last
  before, into it, then to the sibling that ended before that began; the span with most time on it.
* longest span: the longest below the SERVER span, whatever is inside it; the framework's wrappers do not count
  where the developer made spans.

They name a span, not a cause. It is read as generously as its source allows: as each cause that the function of
that name can have by itself (READS_AS). A span of the framework around the handler names nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from whywait.analysis.causes import Cause

RULES: Final = ("self time", "critical path", "longest span")
READS_AS: Final[Mapping[str, frozenset[Cause]]] = {
    **dict.fromkeys(("nap", "occupy", "hold_token", "read_file", "collect"), frozenset({Cause.BLOCKING_IO})),
    **dict.fromkeys(
        ("compute", "hold_the_loop", "handle", "parse", "load_plugin", "load_and_predict", "build_frame",
         "predict_in_parallel", "open_parcel", "make_rows", "prepare_text", "scale_rows", "fastapi.serialization"),
        frozenset({Cause.COMPUTE}),
    ),
    **dict.fromkeys(("keep_books", "pass_through"), frozenset({Cause.LOCK_WAIT, Cause.BLOCKING_IO})),
    "predict": frozenset({Cause.LOCK_WAIT, Cause.COMPUTE}),
    "copy_in": frozenset({Cause.GPU_QUEUE, Cause.GPU_COPY}),
    "await_signal": frozenset({Cause.LOCK_WAIT}),
    "write_audit": frozenset({Cause.LOGGING_WAIT}),
    "tidy_up": frozenset({Cause.GC_PAUSE}),
    "allocate": frozenset({Cause.GC_PAUSE, Cause.COMPUTE}),
    **dict.fromkeys(("ask_downstream", "pause"), frozenset({Cause.AWAIT_IO})),
}  # fmt: skip
FRAMEWORK: Final = "fastapi"


@dataclass(frozen=True, slots=True)
class Span:
    """An ordinary span; `parent` is the nearest ordinary one above it, "" for the root."""

    span_id: str
    parent: str
    name: str
    scope: str
    start_ns: int
    end_ns: int


def blamed(spans: Sequence[Span]) -> dict[str, str]:
    """For each rule the name of the span that it blames; spans are of one trace, the root among them."""
    roots = [one for one in spans if not one.parent]
    if len(roots) != 1:
        return dict.fromkeys(RULES, "")
    children: dict[str, list[Span]] = defaultdict(list)
    for one in spans:
        if one.parent:
            children[one.parent].append(one)
    found: tuple[Callable[[], str], ...] = (
        lambda: _most({one.span_id: _self_ns(one, children[one.span_id]) for one in spans}, spans),
        lambda: _most(_critical(roots[0], children), spans),
        lambda: _longest(spans),
    )
    return {rule: of() for rule, of in zip(RULES, found, strict=True)}


def _most(amounts: Mapping[str, int], spans: Sequence[Span]) -> str:
    by_name: dict[str, int] = defaultdict(int)
    for one in spans:
        by_name[one.name] += amounts.get(one.span_id, 0)
    return max(by_name, key=lambda name: by_name[name])


def _self_ns(one: Span, children: Sequence[Span]) -> int:
    left, at = one.end_ns - one.start_ns, one.start_ns
    for child in sorted(children, key=lambda child: child.start_ns):
        start, end = max(child.start_ns, at), min(child.end_ns, one.end_ns)
        if end > start:
            left -= end - start
            at = end
    return left


def _critical(root: Span, children: Mapping[str, Sequence[Span]]) -> dict[str, int]:
    on_path: dict[str, int] = defaultdict(int)
    stack = [(root, root.end_ns)]
    while stack:
        one, at = stack.pop()
        for child in sorted(children.get(one.span_id, ()), key=lambda child: -child.end_ns):
            end = min(child.end_ns, at)
            if child.end_ns > at or end <= one.start_ns:
                continue
            on_path[one.span_id] += at - end
            stack.append((child, end))
            at = max(child.start_ns, one.start_ns)
        on_path[one.span_id] += max(at - one.start_ns, 0)
    return on_path


def _longest(spans: Sequence[Span]) -> str:
    below = [one for one in spans if one.parent]
    own = [one for one in below if one.scope != FRAMEWORK]
    return max(own or below or spans, key=lambda one: one.end_ns - one.start_ns).name
