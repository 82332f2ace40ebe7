"""The notebooks run from a clean clone, offline, and show what they promise; they have no logic of their own."""

import ast
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from testbed.notebooks import NOTEBOOKS, executed, figures_of
from tests.analysis.load.test_load_jaeger import answer, serving

RECORDING = NOTEBOOKS / "recording"
ALL = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))


def cells(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((NOTEBOOKS / name).read_text())["cells"]
    return found


def test_both_are_there_and_short() -> None:
    assert ALL == ["from_jaeger.ipynb", "gap_analysis.ipynb"]
    assert len(cells("gap_analysis.ipynb")) < 15
    assert len(cells("from_jaeger.ipynb")) < len(cells("gap_analysis.ipynb"))


@pytest.mark.parametrize("name", ALL)
def test_no_logic_of_its_own(name: str) -> None:
    for cell in cells(name):
        if cell["cell_type"] == "code":
            tree = ast.parse("".join(cell["source"]))
            logic = (ast.FunctionDef, ast.ClassDef, ast.If, ast.For, ast.While, ast.Lambda, ast.BinOp, ast.Compare)
            assert not [node for node in ast.walk(tree) if isinstance(node, logic)], cell["source"]


@pytest.mark.parametrize(
    ("name", "table_in", "answers"),
    [
        ("gap_analysis.ipynb", -1, ("Predictor._predict", "demo_service/predictor.py:42")),
        ("from_jaeger.ipynb", 0, ("Predictor.predict_many", "demo_service/predictor.py:40")),
    ],
)
def test_it_is_read_without_running_it(name: str, table_in: int, answers: tuple[str, str]) -> None:
    """Each cell but the one that loads shows something that needs no script, and the answer stands under the title."""
    path = NOTEBOOKS / name
    assert path.stat().st_size < 450_000
    assert not [
        word for word in (str(NOTEBOOKS.parent), "/tmp/", "/root/", "/home/", "/usr/") if word in path.read_text()
    ]
    title, *others = cells(path.name)
    _load, *shown = (one for one in others if one["cell_type"] == "code")
    for cell in shown:
        (output,) = cell["outputs"]
        assert {"text/html", "image/png"} & output["data"].keys(), cell["source"]
        assert cell["execution_count"] is not None
    answer = "".join(title["source"]).split("\n\n")[1]
    table = "".join("".join(one) for one in shown[table_in]["outputs"][0]["data"]["text/html"])
    assert answer.startswith("**The answer")
    for named in answers:
        assert named in answer
        assert named in table
    figures = json.dumps([one["outputs"][0]["data"] for one in shown])
    assert "<br><sup>".join(answers) in figures  # as in the table


def test_the_recording_is_small_and_names_no_machine() -> None:
    files = list(RECORDING.iterdir())
    assert sum(file.stat().st_size for file in files) < 1_000_000
    for file in files:
        text = gzip.decompress(file.read_bytes()).decode()
        for word in ("/work", "/tmp", "/root", "/home", "/usr"):
            assert f'"{word}/' not in text


def test_gap_analysis_goes_from_load_to_answer(tmp_path: Path) -> None:
    result = executed("gap_analysis.ipynb", tmp_path)
    assert result.error is None, result.error
    figures = figures_of(result)
    titles = [figure["layout"]["title"]["text"] for figure in figures]
    assert len(titles) == 6
    assert any("not yet collected" in title for title in titles)
    (timeline,) = [figure for figure in figures if "what ran meanwhile" in figure["layout"]["title"]["text"]]
    lanes = {str(lane) for trace in timeline["data"] for lane in trace.get("y", []) if isinstance(lane, str)}
    assert {"critical path", "event loop"} < lanes
    assert len(lanes) > 3
    tables = [
        output.data["text/html"]
        for cell in result.nb.cells if cell.cell_type == "code"
        for output in cell.outputs if "text/html" in output.get("data", {})
    ]  # fmt: skip
    assert any("finished, not collected" in table for table in tables)
    assert any("what to change" in table and "Loop busy" in table for table in tables)


def test_from_jaeger_starts_from_an_address_and_a_name(tmp_path: Path) -> None:
    exports = [json.loads(line) for line in gzip.decompress((RECORDING / "batched.jsonl.gz").read_bytes()).splitlines()]
    asked: list[dict[str, list[str]]] = []

    def traces(query: dict[str, list[str]]) -> tuple[int, str]:
        asked.append(query)
        return 200, "\n".join(json.dumps({"result": export}) for export in exports)

    pages = {"/api/v3/services": answer({"services": ["predictor", "other"]}), "/api/v3/traces": traces}
    with serving(pages) as url:
        result = executed("from_jaeger.ipynb", tmp_path, {"JAEGER_URL": url, "SERVICE": "predictor"})
    assert result.error is None, result.error
    assert len(figures_of(result)) == 4
    assert asked[0]["query.serviceName"] == ["predictor"]


def test_from_jaeger_says_what_is_wrong_when_nobody_answers(tmp_path: Path) -> None:
    result = executed("from_jaeger.ipynb", tmp_path, {"JAEGER_URL": "http://127.0.0.1:9", "SERVICE": "predictor"})
    assert result.error is not None
    assert "Is it running" in result.error.trace
