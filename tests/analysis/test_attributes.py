"""The attributes' column gives back the dicts that it was made of, whatever they are and however it is cut and joined."""

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from whywait.analysis import attributes
from whywait.analysis.attributes import Attributes

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(0, 3),
    st.text(max_size=2),
    st.lists(st.integers(0, 9), max_size=2),
)
SPANS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c", ""]), VALUES), max_size=60)


def kinds(every: Any) -> list[list[type]]:
    return [[type(value) for value in one.values()] for one in every]


@given(SPANS, SPANS, st.randoms(use_true_random=False), st.integers(1, 8))
def test_the_dicts_come_back(first: list[Any], second: list[Any], random: Any, few: int) -> None:
    attributes.FEW, usual = few, attributes.FEW  # type: ignore[misc]
    try:
        one, other = Attributes.of(first), Attributes.of(second)
    finally:
        attributes.FEW = usual  # type: ignore[misc]
    every = first + second
    whole = pd.concat([pd.Series(one), pd.Series(other)], ignore_index=True).array
    assert isinstance(whole, Attributes)
    rows = [random.randrange(len(every)) for _ in range(20)] if every else []
    again = pd.concat([pd.Series(whole.take(rows)), pd.Series(whole), pd.Series(other)]).array
    expected = [every[row] for row in rows] + every + second
    for found, told in ((one, first), (whole, every), (again, expected)):
        assert list(found) == [found[row] for row in range(len(told))] == told
        assert kinds(found) == kinds(found[row] for row in range(len(told))) == kinds(told)
        for key in ("a", "c", "", "not there"):
            assert found.column(key, "?").tolist() == [span.get(key, "?") for span in told]
        assert set(found.all_keys()) == {key for span in told for key in span}


def test_a_row_that_is_not_there_has_none() -> None:
    column = Attributes.of([{"a": 1}] * 9)
    assert list(column.take(np.array([0, -1]), allow_fill=True)) == [{"a": 1}, {}]
    assert list(column.take(np.array([0, -1]))) == [{"a": 1}, {"a": 1}]
