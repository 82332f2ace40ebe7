"""Spans as one Parquet file: a column for each of SPAN_COLUMNS, and one for each common attribute.

Version 1: ids and texts are strings, times int64 ns since 1970, `links` a list of {trace_id, span_id}; an attribute's
column is called "@" and its key, and has one type; attributes of several types, and rare ones, are a JSON object in
`other`. The file's metadata has the version.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from whywait.analysis.attributes import DICTS, FEW, Attributes, Block, objects
from whywait.analysis.errors import InputError
from whywait.analysis.load.otlp import spans_of
from whywait.analysis.model import SPAN_COLUMNS, attributes_of
from whywait.analysis.write.whole_file import whole_file

VERSION: Final = b"1"
_KEY: Final = b"whywait.spans"  # in the metadata
_MARK: Final = "@"
_MISSING: Final = object()
_AT_ONCE: Final = 2**16  # spans that are read together
_RARE: Final = 200  # an attribute of less than one span in so many has no column
_PLAIN: Final = SPAN_COLUMNS[:-2]
_TYPES: Final = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
_LINK: Final = pa.list_(pa.struct([("trace_id", pa.string()), ("span_id", pa.string())]))


def write_parquet(spans: pd.DataFrame, path: Path) -> None:
    """Write spans of SPAN_COLUMNS, completely or not at all. Raises InputError when that fails."""
    links = [[{"trace_id": trace, "span_id": span} for trace, span in one] for one in spans["links"]]
    columns = {name: pa.array(spans[name].tolist()) for name in _PLAIN} | {"links": pa.array(links, _LINK)}
    every, others = attributes_of(spans), [dict[str, Any]() for _ in links]
    for key in every.all_keys():
        values = every.column(key, _MISSING)
        rows = np.flatnonzero(values != _MISSING)
        kinds = set(map(_type_of, values[rows]))
        if len(kinds) == 1 and None not in kinds and len(rows) * _RARE >= len(links) and key:
            values[values == _MISSING] = None
            columns[_MARK + key] = pa.array(values.tolist(), kinds.pop())
        else:
            for row in rows.tolist():
                others[row][key] = values[row]
    columns["other"] = pa.array([json.dumps(one) if one else None for one in others], pa.string())
    table = pa.table(columns).replace_schema_metadata({_KEY: VERSION})
    with whole_file(path) as stream:
        pq.write_table(table, stream.buffer, compression="zstd", row_group_size=_AT_ONCE)


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


def read_parquet(path: Path) -> Iterator[pd.DataFrame]:
    """Yield the spans of a file that `write_parquet` wrote, some at a time. Raises InputError for any other."""
    try:
        schema = pq.read_metadata(path).schema
        texts = [one.path for one in map(schema.column, range(len(schema))) if one.physical_type == "BYTE_ARRAY"]
        file = pq.ParquetFile(path, read_dictionary=texts)
        version = (file.schema_arrow.metadata or {}).get(_KEY)
        if version != VERSION:
            told = "spans of another version" if version else "something else than spans"
            raise InputError(f"{path} is a Parquet file of {told}: expected one that whywait convert wrote")
        for table in map(file.read_row_group, range(file.num_row_groups)):
            yield spans_of([*(_values(table[name]) for name in _PLAIN), _attributes(table), _values(table["links"])])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a whole Parquet file of spans: {str(error)[:200]}") from error


def _attributes(table: pa.Table) -> Attributes:
    """The spans' attributes, by what each of them has; few of a kind, and those that have others, as dicts."""
    names = [name for name in table.column_names if name.startswith(_MARK) and name != _MARK]
    is_there = {name: _is_there(table[name]) for name in names}
    keys = np.zeros(len(table), dtype=np.int64)  # a number for which of the keys a span has
    for there, number in zip(is_there.values(), np.random.default_rng(0).integers(2**63, size=len(names)), strict=True):
        keys[there] += number
    _, kind, count = np.unique(keys, return_inverse=True, return_counts=True)
    other = _values(table["other"])
    kind[(count < FEW)[kind] | _is_there(table["other"])] = len(count)
    sizes = np.bincount(kind, minlength=len(count) + 1)
    *rows_of, alone = np.split(np.argsort(kind, kind="stable"), np.cumsum(sizes[:-1]))
    dicts: list[dict[str, Any]] = [json.loads(one) if one else {} for one in other[alone]]
    blocks: list[Block] = [{} for _ in rows_of]
    for name, there in is_there.items():
        key = name[len(_MARK) :]
        at, values = np.cumsum(there) - 1, _values(table[name].drop_null())
        for block, rows in zip(blocks, rows_of, strict=True):
            if len(rows) and there[rows[0]]:
                block[key] = values[at[rows]]
        mine = np.flatnonzero(there[alone])
        for one, value in zip(mine.tolist(), values[at[alone[mine]]].tolist(), strict=True):
            dicts[one][key] = value
    return Attributes.placed([*blocks, {DICTS: objects(dicts)}], [*rows_of, alone], len(table))


def _is_there(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(pc.is_valid(column), dtype=bool)


def _values(column: pa.ChunkedArray | pa.Array) -> NDArray[Any]:
    """The values of a column, each text once however often it stands there: much faster than pyarrow's own list."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_list(array.type):
        ends = np.cumsum(pc.fill_null(pc.list_value_length(array), 0).to_numpy()).tolist()
        flat = _values(array.flatten()).tolist()
        return objects([flat[start:end] for start, end in zip([0, *ends], ends, strict=False)])
    if pa.types.is_struct(array.type):
        return objects(list(zip(*map(_values, array.flatten()), strict=True)))
    if pa.types.is_dictionary(array.type):
        texts = objects([*array.dictionary.to_pylist(), None])
        return np.asarray(texts[array.indices.fill_null(len(texts) - 1).to_numpy()])
    if pa.types.is_int64(array.type) and not array.null_count:
        return np.array(array)
    return objects(array.to_pylist())
