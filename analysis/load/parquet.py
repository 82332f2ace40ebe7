"""Spans as one Parquet file: a column for each of SPAN_COLUMNS, and one for each common attribute.

Version 1: ids and texts are strings, times int64 ns since 1970, `links` a list of {trace_id, span_id}; an attribute's
column is called "@" and its key, and has one type; attributes of several types, and rare ones, are a JSON object in
`other`. The file's metadata has the version.
"""

import json
from collections import defaultdict
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from whywait.analysis.errors import InputError
from whywait.analysis.load.otlp import Row
from whywait.analysis.model import SPAN_COLUMNS
from whywait.analysis.write.whole_file import whole_file

VERSION: Final = b"1"
_KEY: Final = b"whywait.spans"  # in the metadata
_MARK: Final = "@"
_RARE: Final = 200  # an attribute of less than one span in so many has no column
_PLAIN: Final = SPAN_COLUMNS[:-2]
_TYPES: Final = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
_LINK: Final = pa.list_(pa.struct([("trace_id", pa.string()), ("span_id", pa.string())]))


def write_parquet(spans: pd.DataFrame, path: Path) -> None:
    """Write spans of SPAN_COLUMNS, completely or not at all. Raises InputError when that fails."""
    every = spans["attributes"].tolist()
    types = _column_types(every)
    links = [[{"trace_id": trace, "span_id": span} for trace, span in one] for one in spans["links"]]
    table = pa.table(
        {name: pa.array(spans[name].tolist()) for name in _PLAIN}
        | {"links": pa.array(links, _LINK)}
        | {_MARK + key: pa.array([one.get(key) for one in every], kind) for key, kind in types.items()}
        | {"other": pa.array([_others(one, types) for one in every], pa.string())}
    )
    table = table.replace_schema_metadata({_KEY: VERSION})
    with whole_file(path) as stream:
        pq.write_table(table, stream.buffer, compression="zstd")


def _others(one: dict[str, Any], types: Container[str]) -> str | None:
    rest = {key: value for key, value in one.items() if key not in types}
    return json.dumps(rest) if rest else None


def _column_types(every: Sequence[dict[str, Any]]) -> dict[str, pa.DataType]:
    """The type of each attribute that has a column: one for all spans, as it is read back."""
    found: dict[str, set[Any]] = defaultdict(set)
    counts: dict[str, int] = defaultdict(int)
    for one in every:
        for key, value in one.items():
            counts[key] += 1
            found[key].add(_type_of(value))
    return {
        key: kinds.pop()
        for key, kinds in found.items()
        if len(kinds) == 1 and None not in kinds and counts[key] * _RARE >= len(every)
    }


def _type_of(value: Any) -> pa.DataType | None:
    if isinstance(value, list):
        inner = {_type_of(one) for one in value}
        kind = inner.pop() if len(inner) == 1 else None
        return None if kind is None or pa.types.is_list(kind) else pa.list_(kind)
    if type(value) is int and not -(2**63) <= value < 2**63:
        return None
    return _TYPES.get(type(value))


def is_parquet(path: Path) -> bool:
    """Return whether a file is called so. Any other is read once only, as a pipe can be."""
    return path.suffix == ".parquet"


def read_parquet(path: Path) -> list[Row]:
    """Return the spans of a file that `write_parquet` wrote. Raises InputError for any other."""
    try:
        file = pq.ParquetFile(path)
        version = (file.schema_arrow.metadata or {}).get(_KEY)
        if version != VERSION:
            told = "spans of another version" if version else "something else than spans"
            raise InputError(f"{path} is a Parquet file of {told}: expected one that whywait convert wrote")
        table = file.read()
        return list(
            zip(*(_values(table[name]) for name in _PLAIN), _attributes(table), _values(table["links"]), strict=True)
        )
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a whole Parquet file of spans: {str(error)[:200]}") from error


def _attributes(table: pa.Table) -> list[dict[str, Any]]:
    every = [json.loads(one) if one else {} for one in _values(table["other"])]
    for name in table.column_names:
        if name.startswith(_MARK):
            key, column = name[len(_MARK) :], table[name]
            rows = pc.indices_nonzero(column.is_valid()).to_numpy().tolist()
            for row, value in zip(rows, _values(column.drop_null()), strict=True):
                every[row][key] = value
    return every


def _values(column: pa.ChunkedArray | pa.Array) -> list[Any]:
    """The values of a column, each text once however often it stands there: much faster than pyarrow's own list."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_list(array.type):
        ends = np.cumsum(pc.fill_null(pc.list_value_length(array), 0).to_numpy()).tolist()
        flat = _values(array.flatten())
        return [flat[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    if pa.types.is_struct(array.type):
        return list(zip(*map(_values, array.flatten()), strict=True))
    if pa.types.is_string(array.type):
        encoded = array.dictionary_encode()
        texts = [*encoded.dictionary.to_pylist(), None]
        return [texts[at] for at in encoded.indices.fill_null(len(texts) - 1).to_numpy().tolist()]
    plain: list[Any] = array.to_pylist() if array.null_count else array.to_numpy(zero_copy_only=False).tolist()
    return plain
