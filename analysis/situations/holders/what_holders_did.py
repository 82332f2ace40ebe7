"""Follows the holder: what those who had what a request waited for did meanwhile, by their own rows of `causes`.

request 1   ~~~~~~waits for a worker~~~~~~|---runs---|
request 2   |--its job: waits for the GIL-|                the GIL is what request 1 waited for
"""

from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.causes import Cause, Evidence
from whywait.analysis.grouped import columns
from whywait.analysis.measure.weights import weighted
from whywait.analysis.model import Analysis, attribute, attributes_of, identities
from whywait.analysis.spans.held_loop import nobodys_blocks
from whywait.analysis.text import named_at
from whywait.tracer import schema

FOLLOWED: Final = (
    Cause.POOL_QUEUE, Cause.LIMITER_WAIT, Cause.LOCK_WAIT, Cause.LOGGING_WAIT, Cause.CONNECTION_WAIT, Cause.LOOP_BUSY,
)  # fmt: skip
_ON_LOOP: Final = (
    Cause.COMPUTE, Cause.GIL_WAIT, Cause.CPU_WAIT, Cause.BLOCKING_IO, Cause.LOCK_WAIT, Cause.LOGGING_WAIT, Cause.GC_PAUSE,
)  # fmt: skip
_OF_HOLDER: Final = {
    "trace_id": "culprit_trace_id", "start_ns": "from_ns", "end_ns": "until_ns", "cause": "did", "detail": "doing",
    "span_id": "at", "evidence": "evidence", "activity_id": "activity", "activity_name": "doer",
    "culprit": "stood", "culprit_file": "stood_file", "culprit_line": "stood_line",
}  # fmt: skip
_KEYS: Final = ["endpoint", "cause", "detail", "did", "doing", "evidence"]
_FIRST: Final = ("span_id", "at", "stood", "stood_file", "stood_line")  # of the longest
_MOST_WAITS: Final = 500  # of an endpoint and cause, the longest
_MOST_ROWS: Final = 200  # of a request, the longest
_AT_ONCE_NS: Final = 1_000_000  # between the ends of waits that one ends in one step
_ITSELF: Final = 0.5  # of the time held, from which the holding activity alone says what it did


def what_holders_did(analysis: Analysis) -> pd.DataFrame:
    """Return one row per endpoint, cause and detail of waits, and what their holders did then.

    `did` is a cause, `doing` its detail, `at` the identity of its span, `stood` the function with its file and line that
    is the chief culprit of that, `ns` the holders' time, and `together_ns` that of waits that ended with another request's,
    as where one lets all go on; "" where it is not known what they did.
    """
    culprits = weighted(analysis.culprits[analysis.culprits["cause"].isin(FOLLOWED)], "ns")
    if culprits.empty:
        return pd.DataFrame(columns=[*_KEYS, *_FIRST, "ns", "together_ns"], dtype=object)
    longest = culprits.loc[_longest(culprits, "ns", ["endpoint", "cause"], _MOST_WAITS)]
    own = analysis.causes[["request_id", "start_ns", "end_ns", "detail", "span_id"]]
    waits = longest.merge(own, on=["request_id", "start_ns"]).reset_index(names="wait")
    waits["together"] = _end_together(waits)
    known = analysis.causes[["request_id", "amount_ns"]][analysis.causes["cause"] != Cause.UNEXPLAINED]
    rows = analysis.causes.loc[_longest(known, "amount_ns", ["request_id"], _MOST_ROWS), [*_OF_HOLDER]]
    rows = rows.rename(columns=_OF_HOLDER)
    during = _during(waits, rows)
    if len(by_nobody := _of_nobody(waits[~waits["wait"].isin(during["wait"])], analysis.spans)):
        during = pd.concat([during, by_nobody], ignore_index=True)
    alike = _alike(waits[~waits["wait"].isin(during["wait"])], rows)
    unseen = waits[~waits["wait"].isin({*during["wait"], *alike["wait"]})].assign(
        part=1, did="", doing="", at="", evidence="", stood="", stood_file="", stood_line=pd.Series(dtype="Int64")
    )
    seen = pd.concat([one for one in (during, alike, unseen) if len(one)] or [during], ignore_index=True)
    seen["ns"] *= seen["part"] / seen.groupby("wait")["part"].transform("sum")
    seen["together_ns"] = seen["ns"] * seen["together"]
    by_doing = seen.sort_values("ns", ascending=False).groupby(_KEYS, sort=False)
    first = {key: (key, "first") for key in _FIRST}
    return columns(by_doing, **first, ns=("ns", "sum"), together_ns=("together_ns", "sum")).reset_index()


def _end_together(waits: pd.DataFrame) -> "pd.Series[bool]":
    """Return whether the last one of its kind in its request ends with another request's, let go by the same."""
    of_request = waits.groupby(["request_id", "cause"], sort=False)
    last = waits["end_ns"] == of_request["end_ns"].transform("max")
    by = ["cause", "culprit_trace_id"]  # a loop that one kept meanwhile is let go then, too
    ends = waits[last & (waits["culprit_trace_id"] != "")].sort_values([*by, "end_ns"])
    by_same = ends.groupby(by)["end_ns"]
    near = (by_same.diff() < _AT_ONCE_NS) | (-by_same.diff(-1) < _AT_ONCE_NS)
    together = near.reindex(waits.index, fill_value=False)
    return together.groupby([waits["request_id"], waits["cause"]], sort=False).transform("any")


def _longest(table: pd.DataFrame, column: str, keys: list[str], most: int) -> "pd.Index[Any]":
    """The index of the rows of each group in which the column is largest."""
    ranked = table[[column, *keys]].sort_values(column, ascending=False)
    return ranked.groupby(keys).head(most).index


def _during(waits: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """What the holding activity did during the wait; where it was not seen then, what its request did."""
    waits = waits[waits["culprit_trace_id"] != ""]
    rows = rows[rows["culprit_trace_id"].isin(waits["culprit_trace_id"].unique())]
    bare = pd.Series([one.rpartition("/")[2] for one in rows["activity"]], index=rows.index, dtype=object)
    seen = waits.merge(rows.assign(activity=bare), on="culprit_trace_id")
    ns = np.minimum(seen["until_ns"], seen["end_ns"]) - np.maximum(seen["from_ns"], seen["start_ns"])
    seen = seen.assign(part=ns)[ns > 0]
    itself = seen["activity"] == seen["culprit_span_id"]
    # a pool's connection may be waited for on the loop's thread: where nothing else shows what kept the loop
    stands = itself & (seen["cause"] == Cause.LOOP_BUSY) & (seen["did"] == Cause.CONNECTION_WAIT)
    in_queue = _in_same_queue(seen) & (seen["cause"] != Cause.LOOP_BUSY)
    queued = itself & in_queue
    held = (seen["part"] * ~in_queue).groupby(seen["wait"]).transform("sum")  # a job of its own may do that
    # as in a circle of waits: what it did in the rest, or at other times, does not stand for that; whose rest is the time
    # that it had the thing stood in the queue before that
    stuck = queued & (held < _ITSELF * seen["ns"])
    stuck &= (seen["part"] * stuck).groupby(seen["wait"]).transform("sum") >= _ITSELF * seen["ns"]
    seen.loc[stuck, ["did", "doing", "stood", "stood_file"]] = ""
    seen = seen.assign(itself=itself & ~stands)[stands | stuck | _of_another(seen)]
    by_itself = (seen["part"] * seen["itself"]).groupby(seen["wait"]).transform("sum")
    return seen[seen["itself"] | (by_itself < _ITSELF * seen["ns"])]


def _of_nobody(waits: pd.DataFrame, spans: pd.DataFrame) -> pd.DataFrame:
    """What code of no request, or a task after its response, did while it held the loop: by its CPU time, and the call in
    which samples saw it asleep. A futex may be the GIL's, which the look itself takes."""
    waits = waits[waits["cause"] == Cause.LOOP_BUSY]
    if waits.empty:
        return waits
    blocks = nobodys_blocks(spans)
    blocks = blocks.assign(
        at=identities(blocks), call=attribute(blocks, schema.BLOCK_SYSCALL),
        share=attributes_of(blocks).column(schema.CPU_NS, np.nan).astype(np.float64) / blocks["ns"],
        stood=blocks["function"], stood_file=blocks["file"], stood_line=blocks["line"].astype("Int64"),
    )[["start_ns", "end_ns", "at", "call", "share", "stood", "stood_file", "stood_line"]]  # fmt: skip
    blocks = blocks.rename(columns={"start_ns": "from_ns", "end_ns": "until_ns"})
    seen = waits.merge(blocks, left_on=["culprit", "culprit_file"], right_on=["stood", "stood_file"])
    ns = np.minimum(seen["until_ns"], seen["end_ns"]) - np.maximum(seen["from_ns"], seen["start_ns"])
    seen = seen[ns > 0].assign(part=ns, evidence=str(Evidence.SAMPLED))
    stood = [
        named_at(who, file, line)
        for who, file, line in zip(seen["stood"], seen["stood_file"], seen["stood_line"], strict=True)
    ]
    asleep = ~seen["call"].isin(["", schema.SYSCALL_FUTEX])
    share = seen["share"].mask(seen["share"].isna() & asleep, 0.0)
    computed = [f"running {who}" for who in stood]
    slept = [f"in {call} in {who}" for call, who in zip(seen["call"], stood, strict=True)]
    parts = (
        seen.assign(did=str(Cause.COMPUTE), doing=computed, part=seen["part"] * share)[share > 0],
        seen.assign(did=str(Cause.BLOCKING_IO), doing=slept, part=seen["part"] * (1 - share))[asleep],
    )
    return pd.concat(parts, ignore_index=True)


def _alike(waits: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """What activities of the holder's name did at any time."""
    if waits.empty:
        return waits
    names = pd.Series([name.split(" ", 1)[-1] for name in rows["doer"]], index=rows.index, dtype=object)
    rows = rows.assign(part=rows["until_ns"] - rows["from_ns"], doer=names)
    rows = rows[rows["doer"].isin(waits["culprit"].unique())]
    by_doing = rows.groupby(["doer", "did", "doing"])
    first = {key: (key, "first") for key in ("at", "stood", "stood_file", "stood_line")}
    seen = waits.merge(
        columns(by_doing, part=("part", "sum"), **first).reset_index(), left_on="culprit", right_on="doer"
    )
    seen["evidence"] = str(Evidence.INFERRED)
    before = (seen["did"] == seen["cause"]) & (seen["cause"] == Cause.POOL_QUEUE)  # it had no worker yet
    return seen[_of_another(seen) & ~before]


def _of_another(seen: pd.DataFrame) -> "pd.Series[bool]":
    """False where the holder was itself in the same queue; and what blocked a loop ran there, and awaited nothing."""
    return ~_in_same_queue(seen) & ((seen["cause"] != Cause.LOOP_BUSY) | seen["did"].isin(_ON_LOOP))


def _in_same_queue(seen: pd.DataFrame) -> "pd.Series[bool]":
    return (seen["did"] == seen["cause"]) & (seen["doing"] == seen["detail"])
