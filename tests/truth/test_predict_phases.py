"""A slow step of a pipeline, in a service that names no phase of its own, is found by its name."""

from itertools import pairwise

import pytest

from testbed.service import get, traced_service
from whywait import analysis
from whywait.analysis.measure.phase_times import phase_times
from whywait.analysis.model import Analysis

MS = 1_000_000
SLOW_MS, TIMES = 40, 5
truth_ns: list[int] = []


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    output = tmp_path_factory.mktemp("phases")
    truth_ns.clear()
    with traced_service(output, app="tests.truth.predict_app:app") as url:
        truth_ns.extend(int(get(f"{url}/predict?ms={SLOW_MS}")) for _ in range(TIMES))
    return analysis.analyze(output)


def test_the_slow_step_is_found_with_its_milliseconds(found: Analysis) -> None:
    rows = found.causes[found.causes["endpoint"] == "GET /predict"]
    by_name = rows.groupby("span_name")["amount_ns"].sum()
    assert by_name.idxmax() == "transform: Embed (embed)"
    assert by_name.max() == pytest.approx(sum(truth_ns), rel=0.05)
    slow = rows[(rows["span_name"] == "transform: Embed (embed)") & (rows["cause"] == "compute")]
    assert slow["amount_ns"].sum() == pytest.approx(SLOW_MS * TIMES * MS, rel=0.05)
    assert slow["detail"].str.contains("Embed").all()


def test_each_request_is_conserved(found: Analysis) -> None:
    for request in found.requests.itertuples():
        rows = found.causes[found.causes["request_id"] == request.request_id].sort_values("start_ns")
        edges = list(zip(rows["start_ns"], rows["end_ns"], strict=True))
        assert (edges[0][0], edges[-1][1]) == (request.start_ns, request.end_ns)
        assert all(left[1] == right[0] for left, right in pairwise(edges))


def test_computing_is_told_by_phase(found: Analysis) -> None:
    times = phase_times(found, analysis.Cause.COMPUTE)
    own = times[times["endpoint"] == "GET /predict"]
    means_ms = own.groupby("phase")["amount_ns"].sum() / TIMES / MS
    assert means_ms["transform"] == pytest.approx(SLOW_MS, rel=0.05)
    computed = found.causes[(found.causes["endpoint"] == "GET /predict") & (found.causes["cause"] == "compute")]
    assert own["amount_ns"].sum() == computed["amount_ns"].sum()
    (said,) = [one for one in analysis.verdict(found) if one.endpoint == "GET /predict"]
    assert f"{means_ms['transform']:.1f} ms transform" in said.headline
