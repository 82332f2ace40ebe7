"""A real service under load: an injected cause stands on top of `top` within seconds, and the sums are right."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.service import ROOT, get, traced_service
from tests.analysis.live.test_metrics_command import ended, receiver, sidecar
from tests.analysis.live.traces import Total, totals_of
from whywait import analysis
from whywait.analysis.live.counting import Counted
from whywait.analysis.live.reader import Reader

WITHIN_S = 30  # a loaded machine's, not what it takes


@contextmanager
def load(*urls: str) -> Iterator[None]:
    """Asks for these URLs in turn, each in a thread of its own, until the block ends."""
    ended = threading.Event()

    def ask(url: str) -> None:
        while not ended.is_set():
            get(url)

    threads = [threading.Thread(target=ask, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def follow(reader: Reader, seconds: float) -> Iterator[list[Counted]]:
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        time.sleep(0.5)
        yield list(reader.turn(time.monotonic()).requests)


def chief(totals: dict[str, Total], endpoint: str) -> str:
    total = totals.get(endpoint)
    return max(total.by_cause, key=lambda one: total.by_cause[one]) if total and total.by_cause else ""


def test_an_injected_cause_is_on_top_within_seconds(tmp_path: Path) -> None:
    output = tmp_path / "traces"
    with traced_service(output) as url:
        reader = Reader(output)
        seen: list[Counted] = []
        with load(*[f"{url}/pool/2?jobs=6&ms=20"] * 3):
            for requests in follow(reader, WITHIN_S):
                seen += requests
                if chief(totals_of(seen), "GET /pool/{size}") == "pool_queue" and len(seen) > 5:
                    break
            else:
                raise AssertionError(totals_of(seen))
        culprits = {
            culprit.name
            for one in seen
            for culprit in one.culprits
            if one.endpoint == "GET /pool/{size}" and culprit.cause == "pool_queue"
        }
        assert "nap" in culprits
        # the cause changes: what is new shows in what comes now
        now: list[Counted] = []
        with load(f"{url}/blocker?ms=150", f"{url}/victim?ms=5"):
            for requests in follow(reader, WITHIN_S):
                now += [one for one in requests if one.endpoint == "GET /victim"]
                if len(now) > 3 and chief(totals_of(now), "GET /victim") == "loop_busy":
                    break
            else:
                raise AssertionError(totals_of(now))
        reader.close()
        assert not reader.lost


def test_following_a_service_gives_what_analysing_its_traces_gives(tmp_path: Path) -> None:
    output = tmp_path / "traces"
    output.mkdir()
    reader, seen = Reader(output), list[Counted]()
    with (
        traced_service(output) as url,
        load(f"{url}/pool/2?jobs=6&ms=5", f"{url}/threaded?jobs=4&ms=5", f"{url}/sleep?ms=5"),
    ):
        for requests in follow(reader, 6):
            seen += requests
    seen += reader.turn(time.monotonic(), final=True).requests
    reader.close()
    assert reader.lost == {}
    causes = analysis.analyze(output).causes
    whole = dict(causes["amount_ns"].groupby([causes["endpoint"], causes["cause"]]).sum())
    found = {
        (label, cause): ns for label, total in totals_of(seen).items() for cause, ns in total.by_cause.items() if ns
    }
    assert {one for one, _ in found} >= {"GET /pool/{size}", "GET /threaded", "GET /sleep"}
    assert found == whole


def test_top_tells_it_in_words(tmp_path: Path) -> None:
    output = tmp_path / "traces"
    with traced_service(output) as url:
        command = [sys.executable, "-m", "whywait", "top", str(output), "--seconds", "3"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            with load(*[f"{url}/pool/2?jobs=6&ms=20"] * 3):
                deadline_s = time.monotonic() + WITHIN_S
                for line in process.stdout:
                    if "pool_queue" in line and "nap" in line:
                        break
                    assert time.monotonic() < deadline_s
        finally:
            process.terminate()
            process.communicate(timeout=20)
        assert process.returncode == 0


def test_what_few_kept_traces_stand_for_is_what_was_asked(tmp_path: Path) -> None:
    """Exact is what the client counted; the sidecar estimates it from one trace in five."""
    asked = 400
    settings = {
        "WHYWAIT_KEEP": "slow",
        "WHYWAIT_SLOW_MS": "10000",
        "WHYWAIT_KEEP_SHARE": "0.2",
        "WHYWAIT_KEEP_PER_S": "0",
    }
    output = tmp_path / "traces"
    with receiver() as (found, url_of), sidecar(str(output), "--send", url_of, "--from-start") as process:
        with traced_service(output, environment=settings) as url:
            for _ in range(asked):
                get(f"{url}/sleep?ms=2")
        assert ended(process)[0] == 0
    traced = found.value("whywait.traces.analysed", endpoint="GET /sleep")
    assert 30 <= traced <= 140  # 80 expected, with a standard deviation of 8
    estimate = found.value("whywait.requests.analysed", endpoint="GET /sleep")
    assert estimate == traced * 5
    slept_s = found.value("whywait.cause.time", endpoint="GET /sleep", cause="await_io")
    assert slept_s >= estimate * 0.0019
    count, total_s, _ = found.value("whywait.wall.time", endpoint="GET /sleep")
    assert count == estimate
    causes = sum(
        seconds for labels, seconds in found.values["whywait.cause.time"].items()
        if dict(labels)["endpoint"] == "GET /sleep"
    )  # fmt: skip
    assert abs(causes - total_s) < 1e-6 * total_s
