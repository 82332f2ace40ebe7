"""The driver counts what it saw, stops where told, and says when nothing answers."""

import asyncio
import json

import httpx
import pytest

from demo_service.load import LoadError, LoadResult, bodies, drive, main
from demo_service.plan import Bounds, parse_clients, parse_modes
from demo_service.web.schemas import PredictRequest


def result(*latencies_ns: int) -> LoadResult:
    return LoadResult("batch", 1, 0, 2_000_000_000, latencies_ns, 0, "", tuple(map(str, latencies_ns)))


@pytest.mark.parametrize(
    ("latencies", "share", "expected"),
    [((), 0.5, 0), ((7,), 0.99, 7), ((3, 1, 2), 0.5, 2), ((4, 3, 2, 1), 0.5, 2), (tuple(range(1, 101)), 0.99, 99)],
)
def test_percentiles_are_latencies_that_happened(latencies: tuple[int, ...], share: float, expected: int) -> None:
    assert result(*latencies).percentile_ns(share) == expected


def test_rate() -> None:
    assert result(1, 2, 3).requests_per_s == 1.5


def test_bodies_are_valid_seeded_and_different() -> None:
    assert bodies(1) == bodies(1) != bodies(2)
    parsed = [PredictRequest.model_validate(json.loads(body)) for body in bodies(1)]
    assert {len(one.pods) for one in parsed} == {7}
    assert len({one.request_id for one in parsed}) == len(parsed)


def test_a_cell_ends_at_its_number_of_requests(service: httpx.Client) -> None:
    answered = []
    seen = asyncio.run(drive(str(service.base_url), "batch", 3, Bounds(60, 10), on_answer=lambda: answered.append(1)))
    assert len(seen.latencies_ns) == len(answered) == 10
    assert (seen.mode, seen.clients, seen.failures) == ("batch", 3, 0)
    assert len(set(seen.ids)) == 10
    assert all(0 < one <= seen.ended_ns - seen.started_ns for one in seen.latencies_ns)


def test_a_cell_ends_at_its_time(service: httpx.Client) -> None:
    seen = asyncio.run(drive(str(service.base_url), "batch", 1, Bounds(0.2, 10**9)))
    assert 0 < len(seen.latencies_ns) < 10**6
    assert seen.ended_ns - seen.started_ns >= 200_000_000


def test_refusals_are_told(service: httpx.Client) -> None:
    with pytest.raises(LoadError, match=r"answered no request \(2 sent\): HTTP 404"):
        asyncio.run(drive(str(service.base_url), "no-such-mode", 1, Bounds(60, 2)))


def test_an_absent_service_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "http://127.0.0.1:9", "--seconds", "0.1"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "http://127.0.0.1:9/predict/sequential" in said.err


def test_the_command_line_drives_cells(service: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--modes", "batch,microbatch", "--clients", "1,2", "--requests", "4"]
    assert main(["--url", str(service.base_url), *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["batch", "1"], ["batch", "2"], ["microbatch", "1"], ["microbatch", "2"],
    ]  # fmt: skip
    assert all("4 answers" in line for line in lines)


@pytest.mark.parametrize("wrong", [["--clients", "0"], ["--clients", "x"], ["--modes", "magic"], ["--seconds", "0"]])
def test_wrong_arguments_are_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(wrong)
    assert left.value.code == 2


def test_lists() -> None:
    assert parse_modes("batch, to_thread") == ("batch", "to_thread")
    assert parse_clients("1,16") == (1, 16)
