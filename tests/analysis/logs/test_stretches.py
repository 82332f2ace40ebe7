"""What lies between a request's lines: stretches tile its time, phases nest, silences are the longest."""

from hypothesis import given
from hypothesis import strategies as st

from whywait.analysis.logs.model import BETWEEN, NAMED, SINCE, LoggedRequest, Sighting
from whywait.analysis.logs.stretches import edge, requests_of

MS = 10**6


def lines(text: str, request: str = "r") -> list[Sighting]:
    """`0 START  5 BEFORE_X  -` : a time in ms and a marker, "-" for a plain line."""
    words = text.split()
    return [
        Sighting(request, int(float(at) * MS), number, f"{at} {marker}", "" if marker == "-" else marker, step_ns=1)
        for number, (at, marker) in enumerate(zip(words[::2], words[1::2], strict=True), start=1)
    ]


def only(sightings: list[Sighting], *codes: str) -> LoggedRequest:
    requests, findings = requests_of(sightings)
    assert {one.code for one in findings} == set(codes)
    (request,) = requests
    return request


def told(request: LoggedRequest) -> list[tuple[str, str, float]]:
    return [(one.label, one.kind, one.ns / MS) for one in request.stretches]


def test_names_of_markers() -> None:
    assert (edge("BEFORE_DF").label, edge("BEFORE_DF").begins) == ("DF", True)
    assert (edge("predict.done").label, edge("predict.done").ends) == ("predict", True)
    assert (edge("start-rank").label, edge("rank_started").label) == ("rank", "rank")
    assert not edge("SUBMIT").begins
    assert not edge("SUBMIT").ends


def test_a_pair_a_since_and_what_lies_between() -> None:
    request = only(lines("0 START 1 BEFORE_DF 3 AFTER_DF 8 AFTER_TARGET 10 END"))
    assert told(request) == [
        ("START → BEFORE_DF", BETWEEN, 1), ("DF", NAMED, 2), ("TARGET", SINCE, 5), ("AFTER_TARGET → END", BETWEEN, 2),
    ]  # fmt: skip
    assert [(one.label, one.start_ns // MS, one.end_ns // MS) for one in request.phases] == [("DF", 1, 3)]


def test_time_in_an_inner_phase_is_the_inner_phases() -> None:
    request = only(lines("0 BEFORE_A 2 BEFORE_B 5 AFTER_B 9 AFTER_A"))
    assert told(request) == [("A", NAMED, 2), ("B", NAMED, 3), ("A", NAMED, 4)]


def test_overlapping_phases_are_told_and_counted_once() -> None:
    request = only(lines("0 BEFORE_A 2 BEFORE_B 5 AFTER_A 9 AFTER_B 9.5 END"), "overlapping")
    assert told(request) == [("A", NAMED, 2), ("B", NAMED, 3), ("B", NAMED, 4), ("AFTER_B → END", BETWEEN, 0.5)]


def test_a_phase_without_an_end_is_no_phase() -> None:
    assert told(only(lines("0 START 1 BEFORE_X 9 END"), "unended"))[1] == ("BEFORE_X → END", BETWEEN, 8)


def test_lines_out_of_order_are_put_in_order() -> None:
    assert told(only(lines("0 START 7 END 4 SUBMIT"), "backwards")) == [
        ("START → SUBMIT", BETWEEN, 4), ("SUBMIT → END", BETWEEN, 3),
    ]  # fmt: skip


def test_an_id_that_starts_again_is_another_request() -> None:
    requests, findings = requests_of(lines("0 START 5 END 10 START 30 END"))
    assert [(one.request, one.clocked_ns // MS) for one in requests] == [("r", 5), ("r (2)", 20)]
    assert [one.code for one in findings] == ["again"]


def test_a_single_marker_clocks_nothing() -> None:
    requests, findings = requests_of(lines("0 START"))
    assert requests == []
    assert [one.code for one in findings] == ["no-marker-pair"]


def test_a_delta_that_the_clock_does_not_show_is_told() -> None:
    start, end = lines("0 START 911 END")
    wrong = Sighting("r", end.time_ns, 2, "", "END", delta=(988 * MS, MS))
    assert only([start, wrong], "delta-differs").clocked_ns == 911 * MS
    right = Sighting("r", end.time_ns, 2, "", "END", delta=(911 * MS, MS))
    only([start, right])


def test_a_stated_total_beyond_the_timers_is_under_no_timer() -> None:
    start, end = lines("0 START 2831 END")

    def stated(ns: int) -> LoggedRequest:
        return only([start, Sighting("r", end.time_ns, 2, "", "END", total=(ns, MS))])

    assert stated(3_087 * MS).untimed_ns == 256 * MS
    assert stated(3_087 * MS).wall_ns == 3_087 * MS
    assert stated(2_831 * MS).untimed_ns == 0
    assert stated(2_800 * MS).wall_ns == 2_831 * MS


def test_silences_name_the_lines_around_them_and_the_phase() -> None:
    request = only(lines("0 BEFORE_COLLECT 0.1 - 481 - 911 - 1647 AFTER_COLLECT"))
    assert [(round(one.ns / MS), one.before_line, one.within) for one in request.silences][:3] == [
        (736, 4, "COLLECT"), (481, 2, "COLLECT"), (430, 3, "COLLECT"),
    ]  # fmt: skip


def test_plain_lines_of_another_time_zone_are_brought_home() -> None:
    marked = lines("0 BEFORE_X 100 AFTER_X")
    plain = Sighting("r", (2 * 3600 * 1000 + 40) * MS, 1, "two hours ahead", step_ns=MS)
    request = only([marked[0], Sighting("r", plain.time_ns, 2, "x", step_ns=MS), marked[1]])
    assert [round(one.ns / MS) for one in request.silences] == [60, 40]


def test_how_many_others_were_in_flight() -> None:
    both = lines("0 START 10 END", "a") + lines("5 START 15 END", "b") + lines("15 START 20 END", "c")
    requests, _ = requests_of(both)
    assert {one.request: one.others for one in requests} == {"a": 1, "b": 1, "c": 0}


MARKERS = st.sampled_from(
    ["START", "END", "SUBMIT", "BEFORE_A", "AFTER_A", "BEFORE_B", "AFTER_B", "A_start", "A_done", "AFTER_C", ""]
)


@given(st.lists(st.tuples(st.integers(0, 50), MARKERS, st.sampled_from("rs")), max_size=30))
def test_stretches_tile_the_time_of_every_request(drawn: list[tuple[int, str, str]]) -> None:
    sightings = [
        Sighting(request, at * MS, number, "", marker) for number, (at, marker, request) in enumerate(drawn, start=1)
    ]
    for request in requests_of(sightings)[0]:
        at = request.start_ns
        for one in request.stretches:
            assert one.start_ns == at
            assert one.end_ns >= at
            at = one.end_ns
        assert at == request.end_ns
        assert request.of_kind_ns(NAMED, SINCE, BETWEEN) + request.untimed_ns == request.wall_ns
        assert 0 <= request.others <= 30
