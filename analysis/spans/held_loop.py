"""Blocks of the event loop by work of no request: traces of their own, without an activity."""

from typing import Final

import pandas as pd

from whywait.analysis.text import amount, counted, place
from whywait.tracer import schema

HELD_COLUMNS: Final = ("function", "file", "line", "times", "longest_ns")
_MOST: Final = 3


def held_loop(spans: pd.DataFrame) -> pd.DataFrame:
    """Return what held the loop for nobody (HELD_COLUMNS), the longest in sum first."""
    kinds = spans["attributes"].map(lambda one: "" if schema.ACTIVITY in one else one.get(schema.KIND))
    blocks = spans[(kinds == schema.KIND_BLOCK) & (spans["parent_id"] == "")]
    table = pd.DataFrame(
        {
            "function": [
                one.get(schema.CODE_FUNCTION) or name.removeprefix("on loop: ")
                for one, name in zip(blocks["attributes"], blocks["name"], strict=True)
            ],
            "file": [one.get(schema.CODE_FILE, "") for one in blocks["attributes"]],
            "line": [one.get(schema.CODE_LINE, 0) for one in blocks["attributes"]],
            "ns": (blocks["end_ns"] - blocks["start_ns"]).to_numpy(),
        }
    )
    by_place = table.groupby(["function", "file", "line"], sort=False)["ns"].agg(["size", "max", "sum"])
    by_place = by_place.sort_values("sum", ascending=False, kind="stable").drop(columns="sum").reset_index()
    return by_place.set_axis(list(HELD_COLUMNS), axis=1)


def seen_instead(spans: pd.DataFrame) -> str:
    """Return what traces without any request show, and what to add."""
    keys = (schema.SEEN_FRAMEWORKS, schema.SEEN_CONNECTIONS)
    known = {key: one[key] for one in spans["attributes"] for key in keys if key in one}
    names = known.get(schema.SEEN_FRAMEWORKS)
    seen = [", ".join(map(str, names))] if isinstance(names, list) else []
    seen += [counted(int(str(count)), "connection")] if (count := known.get(schema.SEEN_CONNECTIONS)) else []
    seen += [
        f"{name} ({place(file, line)}) blocked the event loop {counted(times, 'time')}, up to {amount(ns)}"
        for name, file, line, times, ns in held_loop(spans).head(_MOST).itertuples(index=False)
    ]
    return (
        f"whywait saw {'; '.join(seen) or 'no server that it knows'}. Requests are SERVER spans, which servers and "
        "frameworks make; mark any other unit of work: @whywait.traced before the function that does one"
    )
