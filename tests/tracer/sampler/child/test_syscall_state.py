"""What a line of `/proc/PID/task/TID/syscall` says of a thread."""

import pytest

from whywait.tracer.sampler.child.syscall_state import CallStates
from whywait.tracer.sampler.shared.thread_records import CALL, FUTEX, GIL, POLL, RUNNING, SLEEP, STOPPED


@pytest.mark.parametrize(
    ("machine", "line", "expected"),
    [
        ("x86_64", "running", (RUNNING, 0)),
        ("x86_64", "", (RUNNING, 0)),
        ("x86_64", "-1 0x7ffe 0x7f00", (STOPPED, -1)),
        ("x86_64", "202 0x1000 0x80 0x0", (GIL, 202)),
        ("x86_64", "202 0x1fff 0x80 0x0", (GIL, 202)),
        ("x86_64", "202 0x2000 0x80 0x0", (FUTEX, 202)),
        ("x86_64", "202 0xfff 0x80 0x0", (FUTEX, 202)),
        ("x86_64", "202", (FUTEX, 202)),
        ("x86_64", "230 0x1000 0x0", (SLEEP, 230)),
        ("x86_64", "232 0x5 0x0", (POLL, 232)),
        ("x86_64", "45 0x5 0x0", (CALL, 45)),
        ("aarch64", "98 0x1000 0x80", (GIL, 98)),
        ("aarch64", "115 0x0 0x0", (SLEEP, 115)),
        ("aarch64", "22 0x5 0x0", (POLL, 22)),
        ("aarch64", "202 0x1000 0x0", (CALL, 202)),
        ("riscv64", "98 0x1000 0x80", (CALL, 98)),  # whose numbers nobody has told us
    ],
)
def test_what_a_thread_does(machine: str, line: str, expected: tuple[int, int]) -> None:
    assert CallStates(0x1000, 0x2000, machine).of(line.encode().split(None, 2)) == expected
