"""Broken inputs through every reader and renderer; `python -m benchmarks.fuzz` goes on for as long as it is let."""

import json
from pathlib import Path

import pytest

from testbed.fuzz import inputs
from testbed.fuzz.trial import trial
from whywait import analysis


@pytest.mark.parametrize("first", range(1, 41, 20))
def test_broken_inputs_are_shown_or_refused_in_words(tmp_path: Path, first: int) -> None:
    ended = [trial(number, tmp_path) for number in range(first, first + 20)]
    assert {"shown", "refused"} == set(ended)


@pytest.mark.parametrize("version", [{"arrayValue": {"values": [{"intValue": "1"}]}}, {"kvlistValue": {"values": []}}])
def test_a_version_of_the_contract_that_is_no_number_is_another_version(tmp_path: Path, version: object) -> None:
    value = json.loads(inputs.traces()[0])
    value["scopeSpans"][0]["spans"][0].setdefault("attributes", []).append(
        {"key": "whywait.contract", "value": version}
    )
    (tmp_path / "odd.jsonl").write_text(json.dumps(inputs.otlp([value])))
    with pytest.raises(analysis.InputError, match="follow version"):
        analysis.analyze(str(tmp_path / "odd.jsonl"))
