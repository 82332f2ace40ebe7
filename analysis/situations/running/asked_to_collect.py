"""The garbage collector ran because the code asked for it."""

from collections.abc import Iterator

from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.text import named_at
from whywait.tracer import schema


def asked_to_collect(group: Group) -> Iterator[Pattern]:
    """Yield who asked, where that is known and makes most of the pauses."""
    asked = group.most_of(Cause.GC_PAUSE, lambda one: str(one.get(schema.FOR)).startswith(schema.FOR_ASKED_COLLECTION))
    for row in asked.nlargest(1, "amount_ns").to_dict("records") if len(asked) else ():
        who = named_at(row["culprit"], row["culprit_file"], row["culprit_line"])
        yield Pattern(Situation.ASKED_TO_COLLECT, Cause.GC_PAUSE, {"who": who})
