"""Reads a pprof profile (profile.proto of google/pprof): the part of protobuf that it uses."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from benchmarks.street.peers.evidence import Frame

_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# field numbers of Profile, Sample, Label, Location, Line and Function
_SAMPLE_TYPE, _SAMPLE, _LOCATION, _FUNCTION, _STRINGS = 1, 2, 4, 5, 6
Fields = dict[int, list[int | bytes]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One stack, outermost frame first."""

    frames: tuple[Frame, ...]
    values: dict[str, int]
    """By the sample type's name, as "wall-time" in nanoseconds."""
    labels: dict[str, str]


def read(path: Path) -> list[Sample]:
    """The samples of a profile, compressed or not."""
    raw = path.read_bytes()
    if raw.startswith(_ZSTD):
        import zstandard  # of the extra `peers`, which the street itself does without

        raw = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(raw)).read()
    profile = _fields(raw)
    texts = [cast(bytes, one).decode(errors="replace") for one in profile[_STRINGS]]
    types = [texts[_number(_fields(one), 1)] for one in profile.get(_SAMPLE_TYPE, [])]
    functions = {_number(one, 1): one for one in map(_fields, profile.get(_FUNCTION, []))}
    places = {_number(one, 1): _frames(one, functions, texts) for one in map(_fields, profile.get(_LOCATION, []))}
    return [
        Sample(
            tuple(frame for place in reversed(_numbers(sample, 1)) for frame in places[place]),
            dict(zip(types, _numbers(sample, 2), strict=True)),
            dict(_label(_fields(one), texts) for one in sample.get(3, [])),
        )
        for sample in map(_fields, profile.get(_SAMPLE, []))
    ]


def _frames(location: Fields, functions: dict[int, Fields], texts: list[str]) -> tuple[Frame, ...]:
    """Inlined calls stand innermost first."""
    lines = [_fields(one) for one in location.get(4, [])]
    found = [(functions[_number(line, 1)], _number(line, 2)) for line in reversed(lines)]
    return tuple(Frame(texts[_number(one, 4)], texts[_number(one, 2)], line) for one, line in found)


def _label(label: Fields, texts: list[str]) -> tuple[str, str]:
    text = _number(label, 2)
    return texts[_number(label, 1)], texts[text] if text else str(_number(label, 3))


def _number(fields: Fields, field: int) -> int:
    return cast(int, fields.get(field, [0])[-1])


def _numbers(fields: Fields, field: int) -> list[int]:
    """Of a repeated field, packed or not."""
    found: list[int] = []
    for one in fields.get(field, []):
        found.extend(_varints(one) if isinstance(one, bytes) else [one])
    return found


def _varints(raw: bytes) -> Iterator[int]:
    at = 0
    while at < len(raw):
        value, at = _varint(raw, at)
        yield value


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _fields(raw: int | bytes) -> Fields:
    """The fields of a message by number; numbers of fixed width, which pprof does not use, are passed over."""
    raw, at, found = cast(bytes, raw), 0, Fields()
    while at < len(raw):
        key, at = _varint(raw, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(raw, at)
            found.setdefault(key >> 3, []).append(value)
        elif kind == _BYTES:
            size, at = _varint(raw, at)
            found.setdefault(key >> 3, []).append(raw[at : at + size])
            at += size
        else:
            at += {_FIXED64: 8, _FIXED32: 4}[kind]
    return found
