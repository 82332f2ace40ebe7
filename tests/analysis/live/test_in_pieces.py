"""Followed in pieces or analysed at once: the same sums. And weights stand for all requests."""

from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest

from tests.analysis.live.traces import BUSY, QUEUED, TURN, Total, lines_of, one, totals_of
from tests.analysis.measure.test_weights import drawn, kept_of
from whywait import analysis
from whywait.analysis.live.counting import Counted
from whywait.analysis.live.follower import Follower
from whywait.analysis.live.reader import EVERYTHING, Reader

MS = 1_000_000


def sums_at_once(path: Path) -> dict[tuple[str, str], float]:
    causes = analysis.analyze(path).causes
    return dict((causes["amount_ns"] * causes["weight"]).groupby([causes["endpoint"], causes["cause"]]).sum())


def sums_of(totals: dict[str, Total]) -> dict[tuple[str, str], float]:
    return {(label, cause): ns for label, total in totals.items() for cause, ns in total.by_cause.items() if ns}


def spans_of(seed: int, count: int) -> list[list[bytes]]:
    """The lines of each of `count` traces, some of which stand for many requests."""
    draw = Random(seed)
    return [
        lines_of(one(draw.choice((QUEUED, BUSY, TURN)), f"GET /{draw.randint(1, 3)}", number,
                     draw.choice((1.0, 1.0, 12.5))))
        for number in range(1, count + 1)
    ]  # fmt: skip


def shuffled_within(groups: list[list[bytes]], draw: Random, reach: int) -> list[bytes]:
    """All lines, each moved by up to about `reach` groups: as exporters interleave them."""
    placed = [(number + draw.random() * reach, line) for number, group in enumerate(groups) for line in group]
    return [line for _, line in sorted(placed, key=lambda item: item[0])]


@pytest.mark.parametrize("seed", range(4))
def test_pieces_of_any_size_give_the_sums_of_the_whole(tmp_path: Path, seed: int) -> None:
    draw = Random(seed)
    lines = shuffled_within(spans_of(seed, 120), draw, 6)
    data = b"".join(lines)
    path, whole = tmp_path / "traces.jsonl", tmp_path / "whole.jsonl"
    whole.write_bytes(data)
    reader, requests, now_s, at = Reader(path), list[Counted](), 0.0, 0
    while at < len(data):
        piece = draw.choice((1, 700, 5_000, 20_000))
        with path.open("ab") as file:
            file.write(data[at : at + piece])
        at += piece
        now_s += draw.choice((0.01, 0.05))  # spans of one trace come within a settling time
        requests += reader.turn(now_s).requests
    for _ in range(30):
        now_s += 1.0
        requests += reader.turn(now_s).requests
    reader.close()
    assert reader.lost == {}
    assert sums_of(totals_of(requests)) == pytest.approx(sums_at_once(whole), rel=1e-12)
    assert len({one.trace_id for one in requests}) == len(requests)


def test_several_files_give_the_sums_of_the_directory(tmp_path: Path) -> None:
    folder = tmp_path / "traces"
    reader = Reader(folder)
    folder.mkdir()
    for number, lines in enumerate(spans_of(9, 40)):
        with (folder / f"traces-{number % 3}.jsonl").open("ab") as file:
            file.writelines(lines)
    requests = [*reader.turn(1.0).requests, *reader.turn(3.0).requests, *reader.turn(9.0).requests]
    reader.close()
    assert sums_of(totals_of(requests)) == pytest.approx(sums_at_once(folder), rel=1e-12)


def test_what_a_rotation_moves_away_is_not_lost_nor_counted_twice(tmp_path: Path) -> None:
    path, whole = tmp_path / "traces.jsonl", tmp_path / "whole.jsonl"
    groups = spans_of(3, 60)
    whole.write_bytes(b"".join(line for group in groups for line in group))
    reader, requests, now_s = Reader(path), list[Counted](), 0.0
    for number, group in enumerate(groups):
        half = len(group) // 2
        for lines in (group[:half], group[half:]):
            with path.open("ab") as file:
                file.writelines(lines)
            now_s += 0.1
            requests += reader.turn(now_s).requests
            if number % 7 == 6:
                path.rename(tmp_path / f"old-{now_s}")
    requests += reader.turn(now_s + 9).requests
    reader.close()
    assert reader.lost == {}
    assert sums_of(totals_of(requests)) == pytest.approx(sums_at_once(whole), rel=1e-12)


def test_bad_lines_and_a_trace_that_cannot_be_analysed_cost_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    good = spans_of(1, 10)
    foreign = one(QUEUED, "GET /", 77)
    foreign["attributes"] = [
        {**own, "whywait.contract": 99} if "whywait.root" in own else own for own in foreign["attributes"]
    ]
    lines = [line for group in good for line in group]
    path.write_bytes(
        b"not json\n" + b"".join(lines[:20]) + b'{"resourceSpans": 3}\n' + b"".join(lines[20:])
        + b"".join(lines_of(foreign)) + b"\xff\xfe\n"
    )  # fmt: skip
    reader = Reader(path, back=EVERYTHING)
    requests = reader.turn(0.0, final=True).requests
    reader.close()
    path.write_bytes(b"".join(lines))
    assert sums_of(totals_of(list(requests))) == pytest.approx(sums_at_once(path), rel=1e-12)
    assert reader.lost == {"line": 3, "trace not analysed": 1}


def test_only_the_chosen_service_counts(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    mine, theirs = one(QUEUED, "GET /mine", 1), one(QUEUED, "GET /theirs", 2).assign(service="other")
    path.write_bytes(b"".join(lines_of(pd.concat([mine, theirs]))))
    reader = Reader(path, back=EVERYTHING, service="shop")
    assert [one.endpoint for one in reader.turn(0.0, final=True).requests] == ["GET /mine"]
    reader.close()


def test_the_sums_of_the_kept_are_unbiased_for_all() -> None:
    """The decisions are the tracer's own; what all requests waited for is known."""
    everything = drawn(1, 3000)
    truth = {cause: sum(one.get(cause, 0.0) for one in everything) * MS for cause in ("compute", "pool_queue")}
    estimates: dict[str, list[float]] = {"compute": [], "pool_queue": [], "requests": []}
    for seed in range(20):
        kept, weights = kept_of(everything, seed)
        assert len(kept) < 600
        totals = totals_of(
            [
                Counted("GET /", "t", 0, 0, 0, weight, {cause: round(ms * MS) for cause, ms in one.items()}, {})
                for one, weight in zip(kept, weights, strict=True)
            ]
        )
        total = totals["GET /"]
        assert total.traced == len(kept)
        estimates["requests"].append(total.requests)
        for cause in truth:
            estimates[cause].append(total.by_cause[cause])
    for name, wanted in {**truth, "requests": 3000.0}.items():
        found = np.array(estimates[name])
        error = found.std(ddof=1) / len(found) ** 0.5
        assert abs(found.mean() - wanted) < 4 * error + 100  # ns: rounding
        assert found.mean() == pytest.approx(wanted, rel=0.05)


def test_a_follower_costs_the_writer_no_descriptor_and_leaves_none(tmp_path: Path) -> None:
    import os

    before = len(os.listdir("/proc/self/fd"))
    for number in range(5):
        (tmp_path / f"traces-{number}.jsonl").write_text("{}\n")
    follower = Follower(tmp_path)
    list(follower.poll(1000))
    follower.close()
    assert len(os.listdir("/proc/self/fd")) == before
