"""The column of the spans' attributes: spans with the same keys lie together, and there each key is an array.

A span's dict is made when it is asked for: a million of them take a gigabyte, and most are never asked for.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray, ExtensionDtype, take

FEW: Final = 8  # spans whose keys fewer have stay dicts
DICTS: Final = ""  # the one key of a block of such dicts
Block = dict[str, NDArray[Any]]  # each key's values, int64 or objects, of all spans with these keys
Array = NDArray[Any]


class _Type(ExtensionDtype):
    name = "attributes"
    type: ClassVar[Any] = dict

    @classmethod
    def construct_array_type(cls) -> "type[Attributes]":
        return Attributes


class Attributes(ExtensionArray):
    """A dict for each span."""

    dtype = _Type()

    def __init__(self, blocks: Sequence[Block], block: Array, at: Array) -> None:
        self._blocks, self._block, self._at = blocks, block, at  # the number of each span's block, and its place there
        self._parts: list[tuple[Block, Array, Array]] | None = None

    @classmethod
    def of(cls, every: Sequence[dict[str, Any]]) -> Self:
        """Return the column with these dicts."""
        alike: dict[tuple[str, ...], list[int]] = {}
        for row, one in enumerate(every):
            alike.setdefault(tuple(one), []).append(row)
        many = {keys: rows for keys, rows in alike.items() if len(rows) >= FEW and DICTS not in keys}
        few = [row for keys, rows in alike.items() if keys not in many for row in rows]
        blocks: list[Block] = [{DICTS: objects([every[row] for row in few])}]
        for keys, rows in many.items():
            columns = zip(*[every[row].values() for row in rows], strict=True)
            blocks.append(dict(zip(keys, map(_typed, columns), strict=True)))
        return cls.placed(blocks, [few, *many.values()], len(every))

    @classmethod
    def placed(cls, blocks: Sequence[Block], rows_of: Sequence[Any], size: int) -> Self:
        """Return the column of so many spans, of which these rows each are in the blocks, in this order."""
        block, at = np.zeros((2, size), dtype=np.int32)
        for number, rows in enumerate(rows_of):
            block[rows], at[rows] = number, np.arange(len(rows))
        return cls(blocks, block, at)

    def column(self, key: str, default: Any = None) -> Array:
        """Return an attribute of each span; the default where it is missing."""
        found = np.full(len(self), default, dtype=object)
        for block, rows, at in self._by_block():
            if DICTS in block:
                found[rows] = objects([one.get(key, default) for one in block[DICTS][at]])
            elif key in block:
                found[rows] = block[key][at]
        return found

    def columns(self, keys: Iterable[str]) -> dict[str, list[Any]]:
        """Return these attributes of each span; None where one is missing."""
        return {key: self.column(key).tolist() for key in keys}

    def all_keys(self) -> dict[str, None]:
        """Return the keys that any of the spans has."""
        found: dict[str, None] = {}
        for block, _, at in self._by_block():
            for one in block[DICTS][at] if DICTS in block else (block,):
                found |= dict.fromkeys(one)
        return found

    def _by_block(self) -> list[tuple[Block, Array, Array]]:
        """Each block with the rows of which it is, and their places in it."""
        if self._parts is None:
            order = np.argsort(self._block, kind="stable").astype(np.int32)
            ends = np.cumsum(np.bincount(self._block, minlength=len(self._blocks)))
            parts = zip(self._blocks, np.split(order, ends[:-1]), strict=True)
            self._parts = [(block, rows, self._at[rows]) for block, rows in parts if len(rows)]
        return self._parts

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        found = np.empty(len(self), dtype=object)
        for block, rows, at in self._by_block():
            if DICTS in block:
                found[rows] = block[DICTS][at]
            elif block:
                values = zip(*[column[at].tolist() for column in block.values()], strict=True)
                found[rows] = [dict(zip(block, one, strict=True)) for one in values]
            else:
                found[rows] = [{} for _ in rows]
        return found

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        return self if dtype == self.dtype else np.asarray(self).astype(dtype)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(np.asarray(self).tolist())

    def __len__(self) -> int:
        return len(self._block)

    def __getitem__(self, item: Any) -> Any:
        if not isinstance(item, int | np.integer):
            return type(self)(self._blocks, self._block[item], self._at[item])
        block, at = self._blocks[self._block[item]], self._at[item]
        return block[DICTS][at] if DICTS in block else {key: column.item(at) for key, column in block.items()}

    def __eq__(self, other: object) -> Any:
        return np.asarray(self) == np.asarray(other, dtype=object)

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> Self:
        if allow_fill and (np.asarray(indices) < 0).any():
            return self.of(take(np.asarray(self), indices, allow_fill=True, fill_value={}).tolist())
        found: Self = self[np.asarray(indices, dtype=np.int64)]
        return found

    def map(self, mapper: Any, na_action: Any = None) -> Any:
        return pd.Series(np.asarray(self)).map(mapper).array

    def isna(self) -> Array:
        return np.zeros(len(self), dtype=bool)

    def copy(self) -> Self:
        return type(self)(self._blocks, self._block.copy(), self._at.copy())

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for block in self._blocks for column in block.values())

    @classmethod
    def _from_sequence(cls, scalars: Any, *, dtype: Any = None, copy: bool = False) -> Self:
        every = list(scalars)
        if not all(isinstance(one, dict) for one in every):
            raise TypeError("attributes are dicts")
        return cls.of(every)

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[Self]) -> Self:
        alike: dict[tuple[str, ...], list[Block]] = {}
        numbers: dict[tuple[str, ...], int] = {}
        moved: dict[int, tuple[Array, Array]] = {}  # the new number and the first place of each block
        for part in to_concat:
            if id(part._blocks) not in moved:
                which = [numbers.setdefault(tuple(one), len(numbers)) for one in part._blocks]
                first = [sum(map(_length, alike.get(tuple(one), ()))) for one in part._blocks]
                moved[id(part._blocks)] = np.array(which, dtype=np.int32), np.array(first, dtype=np.int32)
                for one in part._blocks:
                    alike.setdefault(tuple(one), []).append(one)
        blocks = [{key: np.concatenate([one[key] for one in same]) for key in keys} for keys, same in alike.items()]
        placed = [(moved[id(part._blocks)], part) for part in to_concat]
        block = np.concatenate([number[part._block] for (number, _), part in placed])
        at = np.concatenate([first[part._block] + part._at for (_, first), part in placed])
        return cls(blocks, block, at)


def _length(block: Block) -> int:
    return len(next(iter(block.values()), ()))


def objects(values: Sequence[Any]) -> Array:
    """Return texts or dicts as an array of objects."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _typed(values: Sequence[Any]) -> Array:
    if set(map(type, values)) == {int} and min(values) >= -(2**63) and max(values) < 2**63:
        return np.array(values, dtype=np.int64)
    return objects(values)
