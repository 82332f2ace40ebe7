"""Times and durations as people's logs write them."""

from datetime import date

import pytest

from whywait.analysis.logs.clock_text import duration, line_moment, moment

DAY = date(2025, 5, 14)
NOON_NS = 1_747_224_000 * 10**9  # 2025-05-14 12:00:00 UTC


@pytest.mark.parametrize(
    ("text", "ns", "step_ns"),
    [
        ("2025-05-14 12:00:00,826 - INFO", NOON_NS + 826 * 10**6, 10**6),
        ("2025-05-14T12:00:00.000001Z", NOON_NS + 1_000, 1_000),
        ("[2025/05/14 14:00:00 +02:00] x", NOON_NS, 10**9),
        ("2025-05-14T14:00:00.5+0200", NOON_NS + 5 * 10**8, 10**8),
        ("I0514 12:00:00.662052       1 file.go:620] x", NOON_NS + 662_052_000, 1_000),
        ("12:00:00.25 hello", NOON_NS + 25 * 10**7, 10**7),
        ("1747224000.826060 x", NOON_NS + 826_060_000, 1_000),
        ("1747224000826 x", NOON_NS + 826 * 10**6, 10**6),
        ("1747224000826060123", NOON_NS + 826_060_123, 1),
    ],
)
def test_moments(text: str, ns: int, step_ns: int) -> None:
    assert moment(text, DAY) == (ns, step_ns)


@pytest.mark.parametrize("text", ["no time here", "25:00:00", "2025-02-31 00:00:00 is none", "x" * 200 + "12:00:00"])
def test_no_moment(text: str) -> None:
    assert line_moment(text, DAY) is None


@pytest.mark.parametrize(
    ("text", "ns"),
    [("0.66ms", 660_000), ("5 s", 5 * 10**9), ("12", 12 * 10**6), ("3 us", 3_000), ("7µs", 7_000), ("9ns", 9),
     ("1.5 seconds", 1_500_000_000), ("2 Milliseconds", 2 * 10**6), ("4 microseconds", 4_000)],
)  # fmt: skip
def test_durations(text: str, ns: int) -> None:
    found = duration(text)
    assert found is not None
    assert found[0] == ns


@pytest.mark.parametrize("text", ["", "fast", "1e3ms", "-4ms", "1" * 40, "3 months"])
def test_no_duration(text: str) -> None:
    assert duration(text) is None
