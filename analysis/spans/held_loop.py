"""Blocks of the event loop: those by work of no request are traces of their own, without an activity."""

from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.grouped import columns
from whywait.analysis.model import attribute, attributes_of
from whywait.analysis.text import amount, counted, place
from whywait.tracer import schema

HELD_COLUMNS: Final = ("function", "file", "line", "of_request", "times", "longest_ns")
_MOST: Final = 3


def loop_blocks(spans: pd.DataFrame) -> pd.DataFrame:
    """Return the spans of blocks, with their function, file, line, ns, and whether a request made them: such only where
    the function is known."""
    blocks = spans[attribute(spans, schema.KIND) == schema.KIND_BLOCK]
    of_request = [schema.ACTIVITY in one for one in blocks["attributes"]]
    is_known = [schema.CODE_FUNCTION in one for one in blocks["attributes"]]
    blocks = blocks.assign(of_request=np.array(of_request, dtype=bool))
    blocks = blocks[np.where(blocks["of_request"], np.array(is_known, dtype=bool), blocks["parent_id"] == "")]
    named = [
        (one.get(schema.CODE_FUNCTION) or name.removeprefix(schema.BLOCK_SPAN_PREFIX), one.get(schema.CODE_FILE, ""),
         one.get(schema.CODE_LINE, 0))
        for one, name in zip(blocks["attributes"], blocks["name"], strict=True)
    ]  # fmt: skip
    places = pd.DataFrame(named, columns=["function", "file", "line"], index=blocks.index)
    return blocks.join(places).assign(ns=blocks["end_ns"] - blocks["start_ns"])


def longest_block(spans: pd.DataFrame, function: str, file: str) -> tuple[str, dict[str, Any]]:
    """Return the name and attributes of the longest block of a function; "" and none where there is none."""
    own = (attribute(spans, schema.CODE_FUNCTION) == function) & (attribute(spans, schema.CODE_FILE) == file)
    own &= attribute(spans, schema.KIND) == schema.KIND_BLOCK
    if not own.any():
        return "", {}
    (longest,) = spans[own].assign(ns=spans["end_ns"] - spans["start_ns"]).nlargest(1, "ns").to_dict("records")
    return str(longest["name"]), longest["attributes"]


def without_waits(blocks: pd.DataFrame) -> pd.DataFrame:
    """Return blocks with their ns less what they waited for a CPU or the GIL in, where that is known: others had those."""
    attributes = attributes_of(blocks)
    waited = (attributes.column(key, 0.0).astype(np.float64) for key in (schema.RUN_QUEUE_NS, schema.GIL_NS))
    return blocks.assign(ns=(blocks["ns"] - sum(waited)).clip(lower=0).astype(np.int64))


def nobodys_blocks(spans: pd.DataFrame) -> pd.DataFrame:
    """Return those that no request made."""
    blocks = loop_blocks(spans)
    return blocks[~blocks["of_request"]]


def held_loop(blocks: pd.DataFrame, requests: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return who held the loop (HELD_COLUMNS), the longest in sum first; while requests came, not at the service's start."""
    if requests is not None:
        since = (blocks["end_ns"] > requests["start_ns"].min()) & (blocks["start_ns"] < requests["end_ns"].max())
        blocks = blocks[since & blocks["service"].isin(requests["service"].unique())]
    if blocks.empty:
        return blocks.reindex(columns=list(HELD_COLUMNS))
    # one function is one row: not all of its blocks were sampled, and each at another line; the longest sampled tells
    known = blocks.assign(at=blocks["line"].astype(int) > 0).sort_values(["at", "ns"], ascending=False, kind="stable")
    known["file"] = known["file"].where(known["at"], known.groupby("function")["file"].transform("first"))
    by_function = columns(
        known.groupby(["function", "file", "of_request"], sort=False),
        line=("line", "first"),
        times=("ns", "size"),
        longest_ns=("ns", "max"),
        sum_ns=("ns", "sum"),
    )
    return by_function.sort_values("sum_ns", ascending=False, kind="stable").reset_index()[list(HELD_COLUMNS)]


def seen_instead(spans: pd.DataFrame) -> str:
    """Return what traces without any request show, and what to add."""
    seen = [
        f"{name} ({place(file, line)}) blocked the event loop {counted(times, 'time')}, up to {amount(ns)}"
        for name, file, line, _, times, ns in held_loop(nobodys_blocks(spans)).head(_MOST).itertuples(index=False)
    ]
    return (
        f"whywait saw {'; '.join(seen) or 'no server that it knows'}. Requests are SERVER spans, which servers and "
        "frameworks make; mark any other unit of work: @whywait.traced before the function that does one"
    )
