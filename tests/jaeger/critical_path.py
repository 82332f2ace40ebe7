"""Jaeger's own critical path, written anew from what its UI documents, to hold ours against.

The UI draws it as the black line in the bars of a trace (`criticalPathEnabled`, on by default). It knows no
edges, only spans, in whole microseconds:

1. a child that reaches out of its parent is cut to it; one wholly outside is dropped with all below it;
2. begin at the root's end. The child that ends last is on the path: from its end on, the time is the span's own;
3. the path goes down into that child in the same way;
4. where a span has no further child, what is left down to its start is its own, and the walk goes on in its
   parent, with the child that ended last *before* that start. One that ends in the same microsecond is passed by.

The rule of step 4 is why spans that stand end to end need a microsecond between them to be seen.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Bar:
    """A span as the UI has it: whole microseconds, and of its references the first that is in the trace."""

    span_id: str
    parent_id: str
    start_us: int
    end_us: int
    name: str = ""
    kind: str = ""  # the span's kind: a consumer below a producer is not waited for


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of the path that is this span's own."""

    span_id: str
    start_us: int
    end_us: int


@dataclass(slots=True)
class _Node:
    bar: Bar
    children: list["_Node"] = field(default_factory=list)


def critical_path(bars: Iterable[Bar]) -> list[Section]:
    """The sections of the path of each root, from the last to the first; they do not overlap."""
    nodes = {bar.span_id: _Node(bar) for bar in bars}
    roots = []
    for node in nodes.values():
        parent = nodes.get(node.bar.parent_id)
        if parent is None:
            roots.append(node)
        elif (parent.bar.kind, node.bar.kind) != ("producer", "consumer"):
            parent.children.append(node)
    for node in nodes.values():
        node.children.sort(key=lambda child: child.bar.start_us)
    found: list[Section] = []
    for root in sorted(roots, key=lambda node: node.bar.start_us):
        found.extend(_walk(_cut(root)))
    return found


def _cut(root: _Node) -> _Node:
    """The same tree, with each child inside its parent."""
    whole = _Node(root.bar)
    todo = [(root, whole)]
    while todo:
        before, after = todo.pop()
        for child in before.children:
            start, end = child.bar.start_us, child.bar.end_us
            low, high = after.bar.start_us, after.bar.end_us
            if start >= high or (start < low and end <= low):
                continue
            kept = _Node(replace(child.bar, start_us=max(start, low), end_us=min(end, high)))
            after.children.append(kept)
            todo.append((child, kept))
    return whole


def _walk(root: _Node) -> Iterator[Section]:
    """Without recursion: the UI's own runs out of stack at some thousands of children."""
    above: list[_Node] = []
    node, returned_us = root, 0  # 0: not returned, which is how the UI says it
    while True:
        until_us = returned_us or node.bar.end_us
        child = _last_before(node, returned_us)
        since_us = child.bar.end_us if child is not None else node.bar.start_us
        if since_us != until_us:
            yield Section(node.bar.span_id, since_us, until_us)
        if child is not None:
            above.append(node)
            node, returned_us = child, 0
        elif above:
            returned_us = node.bar.start_us
            node = above.pop()
        else:
            return


def _last_before(node: _Node, returned_us: int) -> _Node | None:
    found, latest_us = None, -1
    for child in node.children:
        end_us = child.bar.end_us
        if end_us > latest_us and (not returned_us or end_us < returned_us):
            found, latest_us = child, end_us
    return found
