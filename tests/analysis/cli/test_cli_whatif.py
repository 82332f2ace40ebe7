"""`whywait whatif` as a user meets it: what it refuses, and why."""

import pytest

from tests.analysis.cli.test_cli import GOOD, whywait


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("whatif") / "traces.jsonl"
    path.write_text(GOOD + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing to predict"),
        (("--clients", "8"), "cannot predict"),
        (("--batch", "score"), "cannot predict"),
        (("--window", "5"), "expected functions whose jobs are to be batched, and either a p95 over 0 or a window"),
        (("--batch", "score", "--window", "5", "--p95-under", "9"), "either a p95 over 0 or a window"),
        (("--batch", "score", "--size", "5"), "either a p95 over 0 or a window (with a size)"),
        (("--shared", "own"), "--shared own: expected a name and a number"),
        (("--pool", "default"), "--pool default: expected a name and a number"),
    ],
)
def test_it_refuses_what_it_cannot_tell_with_exit_code_2(good: str, words: tuple[str, ...], said: str) -> None:
    done = whywait("whatif", good, *words)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
