"""The recording: only predictions after the warm-up, nothing that names the machine, the same bytes each time."""

import gzip
import json
from sysconfig import get_path

from benchmarks.recording import PLAN, ROOT, anonymous, compressed, kept


def line(*spans: tuple[str, str, int], host: str = "secret") -> str:
    return json.dumps(
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": [{"key": "host.name", "value": {"stringValue": host}}]},
                    "scopeSpans": [
                        {"spans": [{"traceId": trace, "name": name, "startTimeUnixNano": str(ns)} for trace, name, ns in spans]}
                    ],
                }
            ]
        }
    )  # fmt: skip


def test_whole_traces_of_predictions_are_kept_and_no_others() -> None:
    warm = ("1", "POST /predict/batch", 5)
    late, child = ("2", "POST /predict/batch", 15), ("2", "job", 16)
    health = ("3", "GET /healthz", 20)
    found = list(kept([line(warm, late), line(child, health), line(health), ""], begun_ns=10))
    names = [
        (span["traceId"], span["name"])
        for one in found
        for span in json.loads(one)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    ]
    assert names == [("2", "POST /predict/batch"), ("2", "job")]
    assert not any("secret" in one for one in found)


def test_paths_say_where_in_the_code_and_not_on_which_machine() -> None:
    paths = [f"{ROOT}/demo_service/modes.py", f"{get_path('purelib')}/uvicorn/main.py", f"{get_path('stdlib')}/ast.py"]
    cut = json.loads(anonymous(json.dumps(paths)))
    assert cut[0] == "demo_service/modes.py"
    assert cut[1] == "site-packages/uvicorn/main.py"
    assert cut[2].startswith("python3")


def test_the_same_lines_give_the_same_bytes() -> None:
    assert compressed(["a", "b"]) == compressed(["a", "b"])
    assert gzip.decompress(compressed(["a", "b"])) == b"a\nb\n"


def test_the_plan_drives_threads_and_a_batch() -> None:
    modes = {name: {cell.mode for group in groups for cell in group} for name, groups in PLAN.items()}
    assert modes == {"threaded": {"to_thread"}, "batched": {"batch"}, "collected": {"to_thread", "sequential"}}
