"""Traces as Parquet: what was read from JSON is read back, smaller, and what is no such file is told."""

import gzip
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from testbed.fuzz.inputs import RECORDING
from tests.analysis.cli.test_cli import refused, whywait
from tests.analysis.otlp_writer import otlp_lines
from tests.analysis.spans.test_clean import GOOD, drawn
from whywait import analysis
from whywait.analysis.load.parquet import write_parquet

RECORDED = RECORDING / "batched.jsonl.gz"


def test_a_recording_is_read_back_as_it_was_and_smaller(tmp_path: Path) -> None:
    done = whywait("convert", str(RECORDED), str(tmp_path / "kept.parquet"))
    assert done.returncode == 0, done.stderr
    before, after = analysis.load_traces(RECORDED), analysis.load_traces(tmp_path)
    pd.testing.assert_frame_equal(before.spans, after.spans)
    assert [type(value) for one in before.spans["attributes"] for _, value in sorted(one.items())] == [
        type(value) for one in after.spans["attributes"] for _, value in sorted(one.items())
    ]
    # 16 MB of several modes shrink 24 times; this is one of 2 MB, and each column has its price
    assert (tmp_path / "kept.parquet").stat().st_size * 12 < len(gzip.decompress(RECORDED.read_bytes()))
    assert whywait("report", str(tmp_path / "kept.parquet")).returncode == 0


def test_odd_attributes_are_kept(tmp_path: Path) -> None:
    spans = analysis.load_traces(drawn(GOOD)).spans
    odd = {
        "mixed": [1, "a", None],
        "big": 2**70,
        "none": None,
        "empty": [],
        "inner": {"a": [1]},
        "@": "at",
        "bool": True,
    }
    spans["attributes"] = [{**one, **odd, "either": number if number % 2 else "x"}
                           for number, one in enumerate(spans["attributes"])]  # fmt: skip
    write_parquet(spans, tmp_path / "odd.parquet")
    assert list(analysis.load_traces(tmp_path / "odd.parquet").spans["attributes"]) == list(spans["attributes"])


def test_what_is_no_such_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(analysis.InputError, match="something else than spans"):
        analysis.load_traces(path)
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({b"whywait.spans": b"9"}), path)
    with pytest.raises(analysis.InputError, match="another version"):
        analysis.load_traces(path)
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({b"whywait.spans": b"1"}), path)
    with pytest.raises(analysis.InputError, match="not a whole Parquet file"):
        analysis.load_traces(path)
    for content in (b"", b"PAR1" + bytes(50), json.dumps({"resourceSpans": []}).encode()):
        path.write_bytes(content)
        with pytest.raises(analysis.InputError, match="not a whole Parquet file"):
            analysis.load_traces(path)
    with pytest.raises(analysis.InputError, match="does the folder exist"):
        write_parquet(analysis.load_traces(drawn(GOOD)).spans, tmp_path / "nowhere" / "x.parquet")


def test_annotate_says_that_it_does_not_copy_them(tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_text(otlp_lines(drawn(GOOD)))
    write_parquet(analysis.load_traces(tmp_path).spans, tmp_path / "good.parquet")
    refused(whywait("annotate", str(tmp_path), "--output", "-"), "Parquet", "--only-causes")
