"""What the sampler's process writes down of the use of CPUs, on machines made of files."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from whywait.tracer.sampler.child.cpu_usage import CpuUse
from whywait.tracer.sampler.child.mapped_library import Libraries, code_ranges, library_name
from whywait.tracer.sampler.child.proc_stat import (
    Process,
    Processes,
    busy_of,
    is_sibling,
    script_of,
    stat_of,
    used_ticks,
)
from whywait.tracer.sampler.cpu_history import CpuPast, Interval
from whywait.tracer.sampler.process import Header
from whywait.tracer.sampler.shared.thread_records import MESSAGES

PID = os.getpid()  # of a live process, for its affinity is asked of the system
MS = 1_000_000
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass
class Thread:
    tid: int
    cpu_ns: int = 0
    run_queue_ns: int = 0
    python: bool = False


class Machine:
    """A /proc of files, and the ring that the child would write into."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.records: list[bytes] = []
        self.id = 99
        self.affinities: dict[int, set[int]] = {}  # of those that may not run everywhere
        self.ended: set[int] = set()
        (root / "proc").mkdir()
        self.cpus(0)

    def process(self, number: int, name: str, ticks: int, cpu: int = 0, started: int = 777) -> None:
        folder = self.root / "proc" / str(number)
        folder.mkdir(exist_ok=True)
        (folder / "stat").write_bytes(stat_line(number, name, ticks, cpu, started))

    def cpus(self, ticks: int) -> None:
        lines = ["cpu  1 2 3 4 5 6 7 8 0 0"]
        lines += [f"cpu{number} {ticks} 0 0 700 0 0 0 55 0 0" for number in sorted(os.sched_getaffinity(0))]
        (self.root / "proc/stat").write_text("\n".join([*lines, "intr 1 2", ""]))

    def gone(self, number: int) -> None:
        (self.root / "proc" / str(number) / "stat").unlink()
        self.ended.add(number)

    def affinity(self, number: int) -> set[int]:
        if number in self.ended:
            raise ProcessLookupError
        return self.affinities.get(number, os.sched_getaffinity(0))

    def use(self) -> CpuUse:
        return CpuUse(PID, self.records.append, str(self.root), self.affinity)

    # what CpuPast asks of the sampler's process
    def header(self) -> Header:
        return Header(0, 0, 0, 0, 0, 0, 0, len(self.records))

    def cpu_message(self, number: int) -> bytes:
        return self.records[number]

    def intervals(self) -> list[Interval]:
        past = CpuPast(self)  # type: ignore[arg-type]
        past.read()
        return list(past.during(0, 2**62))[::-1]


def stat_line(number: int, name: str, ticks: int, cpu: int, started: int = 777) -> bytes:
    fields = ["R", "1", "1", "1", "0", "-1", "4194304", "0", "0", "0", "0", str(ticks), "0", "0", "0", "20", "0", "3"]
    fields += ["0", str(started), "1", "1"] + ["0"] * 14 + [str(cpu)] + ["0"] * 12
    return f"{number} ({name}) {' '.join(fields)}\n".encode()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_an_interval_has_those_who_used_the_cpus(machine: Machine) -> None:
    use, cpu = machine.use(), max(os.sched_getaffinity(0))
    machine.process(7, "crunch (v2)", 100, cpu)
    machine.process(8, "sleepy", 500, cpu)
    ours = [Thread(11, 5 * MS, 3 * MS, python=True), Thread(12)]
    use.account(1_000 * MS, ours)
    machine.process(7, "crunch (v2)", 109, cpu)
    ours[0].cpu_ns, ours[0].run_queue_ns, ours[1].cpu_ns = 35 * MS, 63 * MS, 40 * MS
    use.account(1_100 * MS, ours)
    use.throttling.close()
    (one,) = machine.intervals()
    assert (one.start_ns, one.end_ns) == (1_000 * MS, 1_100 * MS)
    assert [(it.process_id, it.name, it.used_ns) for it in one.processes] == [(7, "crunch (v2)", 9 * TICK_NS)]
    assert [(it.thread_id, it.used_ns, it.waited_ns, it.python) for it in one.threads] == [
        (11, 30 * MS, 60 * MS, True), (12, 40 * MS, 0, False),
    ]  # fmt: skip
    assert one.cpus == os.sched_getaffinity(0)
    assert one.processes[0].cpus == one.threads[0].cpus == one.cpus
    assert (one.busy_ns, one.quota_ns) == ({one.cpus: 0}, 0)


def test_while_nobody_waits_nothing_is_written(machine: Machine) -> None:
    use, ours = machine.use(), [Thread(11)]
    for number in range(50):
        ours[0].cpu_ns += 90 * MS
        use.account((1_000 + 100 * number) * MS, ours)
    use.throttling.close()
    assert machine.records == []


def test_a_reading_from_before_the_interval_gives_its_part(machine: Machine) -> None:
    use, ours = machine.use(), [Thread(11)]
    machine.process(7, "crunch", 0)
    use.account(1_000 * MS, ours)
    for number in range(1, 5):  # quiet: the processes are not read
        use.account((1_000 + 100 * number) * MS, ours)
    machine.process(7, "crunch", 50)
    ours[0].run_queue_ns = 20 * MS
    use.account(1_500 * MS, ours)
    use.throttling.close()
    (one,) = machine.intervals()
    assert one.start_ns == 1_400 * MS
    assert one.processes[0].used_ns == pytest.approx(10 * TICK_NS, rel=0.01)


def test_all_that_a_process_used_it_used_since_it_began(machine: Machine) -> None:
    """Though nobody looked for a second: neither is its use spread over that, nor is that of who ended before."""
    use, ours = machine.use(), [Thread(11)]
    cpus = len(os.sched_getaffinity(0))
    use.account(1_000 * MS, ours)
    machine.cpus(40)  # of somebody who has ended
    for number in range(1, 5):
        use.account((1_000 + 100 * number) * MS, ours)
    began_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - 120 * MS
    machine.process(7, "crunch", 12, started=began_ns // TICK_NS)
    machine.cpus(50)
    ours[0].run_queue_ns = 20 * MS
    use.account(1_500 * MS, ours)
    use.throttling.close()
    (one,) = machine.intervals()
    assert one.processes[0].used_ns == pytest.approx(10 * TICK_NS, rel=0.1)
    assert one.busy_ns == {one.cpus: pytest.approx(10 * TICK_NS * cpus)}


def test_who_ended_within_the_interval_has_its_part(machine: Machine) -> None:
    use, first, second = machine.use(), Thread(11), Thread(12, 10 * MS)
    machine.process(7, "old", 900)
    use.account(1_000 * MS, [first, second])
    machine.gone(7)  # its number may come again
    machine.process(9, "new", 8)
    second.cpu_ns, first.run_queue_ns = 60 * MS, 40 * MS
    use.ended(second)
    use.account(1_100 * MS, [first])
    use.throttling.close()
    (one,) = machine.intervals()
    assert {it.thread_id: it.used_ns for it in one.threads} == {11: 0, 12: 50 * MS}
    assert {it.name: it.used_ns for it in one.processes} == {"new": 8 * TICK_NS}


def test_of_a_process_that_ended_its_wont_is_written_down(machine: Machine) -> None:
    use, ours = machine.use(), [Thread(11)]
    machine.process(7, "crunch", 0)
    machine.process(8, "idle for long", 900)
    use.account(1_000 * MS, ours)
    for number, ticks in enumerate((3, 6), 1):
        machine.process(7, "crunch", ticks)
        ours[0].run_queue_ns += 20 * MS
        use.account((1_000 + 100 * number) * MS, ours)
    machine.gone(7)
    machine.gone(8)
    ours[0].run_queue_ns += 20 * MS
    use.account(1_350 * MS, ours)
    ours[0].run_queue_ns += 20 * MS
    use.account(1_450 * MS, ours)
    use.throttling.close()
    listed = [[(it.name, it.used_ns, it.ended) for it in one.processes] for one in machine.intervals()]
    went_on = [("crunch", 3 * TICK_NS, False)]
    assert listed == [went_on, went_on, [("crunch", int(4.5 * TICK_NS), True)], []]


def test_a_process_that_ended_was_where_it_might_run_and_not_where_its_heir_may(machine: Machine) -> None:
    use, ours = machine.use(), [Thread(11)]
    machine.affinities = {7: {3}, 8: {3}}
    for number in (7, 8):
        machine.process(number, "tied", 0)
    use.account(1_000 * MS, ours)
    for number in (7, 8):
        machine.process(number, "tied", 3)
    ours[0].run_queue_ns += 20 * MS
    use.account(1_100 * MS, ours)
    machine.gone(7)
    machine.process(8, "heir", 0, started=999)
    machine.affinities = {8: {4}}
    ours[0].run_queue_ns += 20 * MS
    use.account(1_200 * MS, ours)
    use.throttling.close()
    last = machine.intervals()[-1]
    assert {(it.process_id, it.name, it.ended, it.cpus) for it in last.processes} == {
        (7, "tied", True, frozenset({3})), (8, "tied", True, frozenset({3})),
    }  # fmt: skip


def test_a_thread_waits_where_it_may_run(machine: Machine) -> None:
    use, known, ended = machine.use(), Thread(11), Thread(12)
    machine.affinities = {PID: {2, 4}, 11: {3}}
    use.account(1_000 * MS, [known, ended])
    known.run_queue_ns = ended.run_queue_ns = 40 * MS
    machine.ended |= {12}
    use.ended(ended)
    use.account(1_100 * MS, [known])
    use.throttling.close()
    (one,) = machine.intervals()
    # a thread that is no more cannot be asked: it is taken to have waited where the process may run
    assert {it.thread_id: it.cpus for it in one.threads} == {11: {3}, 12: {2, 4}}


def test_who_may_have_ended_before_the_interval_is_not_in_it(machine: Machine) -> None:
    use, ours = machine.use(), [Thread(11)]
    use.account(1_000 * MS, ours)
    machine.process(7, "crunch", 3)
    ours[0].run_queue_ns = 20 * MS
    use.account(1_100 * MS, ours)
    machine.gone(7)
    for number in range(2, 5):  # quiet: the processes are not read
        use.account((1_000 + 100 * number) * MS, ours)
    ours[0].run_queue_ns = 40 * MS
    use.account(1_500 * MS, ours)
    use.throttling.close()
    first, second = machine.intervals()
    assert [it.name for it in first.processes] == ["crunch"]
    assert second.processes == ()


def test_threads_too_short_lived_to_be_seen_are_the_rest_of_the_process(machine: Machine) -> None:
    use, ours = machine.use(), [Thread(11)]
    machine.process(PID, "me", 10)
    use.account(1_000 * MS, ours)
    machine.process(PID, "me", 20)
    ours[0].cpu_ns, ours[0].run_queue_ns = 20 * MS, 40 * MS
    use.account(1_100 * MS, ours)
    use.throttling.close()
    (one,) = machine.intervals()
    assert {it.thread_id: it.used_ns for it in one.threads} == {11: 20 * MS, 0: 10 * TICK_NS - 20 * MS}
    assert one.processes == ()


def test_the_cpus_tell_how_long_they_were_busy(machine: Machine) -> None:
    use, ours = machine.use(), [Thread(11)]
    use.account(1_000 * MS, ours)
    machine.cpus(10)
    ours[0].run_queue_ns = 40 * MS
    use.account(1_100 * MS, ours)
    use.throttling.close()
    (one,) = machine.intervals()
    assert one.busy_ns == {one.cpus: 10 * TICK_NS * len(one.cpus)}


def test_processes_that_are_too_many_are_one(machine: Machine) -> None:
    use, ours = machine.use(), [Thread(11)]
    use.account(1_000 * MS, ours)
    for number in range(20):
        machine.process(100 + number, "cc1", 1 + (number == 3))
    ours[0].run_queue_ns = 40 * MS
    use.account(1_100 * MS, ours)
    use.throttling.close()
    (one,) = machine.intervals()
    assert len(one.processes) == 13
    assert one.processes[0].process_id == 103
    assert (one.processes[-1].process_id, one.processes[-1].used_ns) == (0, 8 * TICK_NS)


def test_what_was_throttled_is_written_down_with_the_quota(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    folder = tmp_path / f"proc/{PID}"
    folder.mkdir()
    (folder / "cgroup").write_text("0::/\n")
    (folder / "mountinfo").write_text("31 24 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    (group / "cpu.max").write_text("50000 100000\n")
    (group / "cpu.stat").write_text("nr_throttled 3\nthrottled_usec 100\n")
    use, ours = machine.use(), [Thread(11)]
    use.account(1_000 * MS, ours)
    (group / "cpu.stat").write_text("nr_throttled 4\nthrottled_usec 50100\n")
    use.throttling.look(1_050 * MS, 1_100 * MS)
    ours[0].run_queue_ns = 50 * MS
    use.account(1_100 * MS, ours)
    use.throttling.close()
    past = CpuPast(machine)  # type: ignore[arg-type]
    past.read()
    assert past.throttled(0, 2**62) == [(1_050 * MS, 1_100 * MS)]
    (one,) = past.during(0, 2**62)
    assert (one.quota_ns, one.period_ns) == (50 * MS, 100 * MS)


def test_a_new_group_is_seen_before_anybody_waits_in_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    use, ours = machine.use(), [Thread(11)]
    use.account(1_000 * MS, ours)
    group, folder = tmp_path / "sys/fs/cgroup", tmp_path / f"proc/{PID}"
    group.mkdir(parents=True)
    folder.mkdir()
    (folder / "cgroup").write_text("0::/\n")
    (folder / "mountinfo").write_text("31 24 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    (group / "cpu.max").write_text("50000 100000\n")
    (group / "cpu.stat").write_text("nr_throttled 3\nthrottled_usec 100\n")
    for number in range(1, 12):  # quiet
        use.account((1_000 + 100 * number) * MS, ours)
    (group / "cpu.stat").write_text("nr_throttled 4\nthrottled_usec 50100\n")
    use.throttling.look(2_150 * MS, 2_190 * MS)
    use.account(2_200 * MS, ours, last=True)
    use.throttling.close()
    past = CpuPast(machine)  # type: ignore[arg-type]
    past.read()
    assert past.throttled(0, 2**62) == [(2_140 * MS, 2_190 * MS)]


def test_a_machine_without_proc_says_nothing(tmp_path: Path) -> None:
    records: list[bytes] = []
    use = CpuUse(PID, records.append, str(tmp_path / "nowhere"))
    use.account(1_000 * MS, [Thread(11, 0, 2**64 - 1)])
    use.throttling.look(0, 100 * MS)
    use.account(1_200 * MS, [Thread(11, 0, 2**64 - 1)])
    use.throttling.close()
    assert records == []


def test_messages_that_were_overwritten_are_counted(machine: Machine) -> None:
    machine.records = [b"[null, [[1, 2]], []]\n"] * MESSAGES
    machine.records[-1] = b'[null, [[1, 2]], [[7, "lib'  # torn: another was written over it
    past = CpuPast(machine)  # type: ignore[arg-type]
    past.read()
    assert past.missed == MESSAGES // 2 + 1
    assert len(past.throttled(0, 9)) == MESSAGES // 2 - 1


def test_a_name_may_look_like_the_rest_of_the_line() -> None:
    assert stat_of(stat_line(5, "a) R 1 (b", 17, 3)) == Process(b"a) R 1 (b", 17, 777, 1, 1)
    assert stat_of(b"5 (short) R 1") is None
    assert stat_of(b"") is None
    assert busy_of(b"") == {}


def test_a_number_that_came_again_is_another_process() -> None:
    before = {5: Process(b"old", 900, 100)}
    assert used_ticks(before, {5: Process(b"new", 4, 200)}) == {5: 4}
    assert used_ticks(before, {5: Process(b"old", 903, 100)}) == {5: 3}
    assert used_ticks(before, {}) == {}


def test_the_workers_of_a_service_know_one_another() -> None:
    own = Process(b"gunicorn", 0, 0, parent=40, group=40)
    assert is_sibling(own, 41, own)
    assert is_sibling(own._replace(parent=41), 41, own)  # of a pool of processes
    for other in (own._replace(name=b"sh"), own._replace(parent=50), own._replace(group=50)):
        assert not is_sibling(other, 41, own)
    orphan = own._replace(parent=1)
    assert not is_sibling(orphan, 41, orphan)


def test_all_processes_are_read() -> None:
    assert {os.getppid(), PID} <= Processes().read().keys()
    assert Processes("/nowhere").read() == {}


@pytest.mark.parametrize(("path", "name"), [
    ("/venv/xgboost.libs/libgomp-e985bcbb.so.1.0.0", "libgomp"), ("/usr/lib/libopenblas.so.0", "libopenblas"),
    ("/usr/lib/x86_64-linux-gnu/libc.so.6", ""), ("/usr/lib/libpython3.11.so.1.0", ""), ("[vdso]", ""),
    ("/usr/bin/python3.11", ""),
])  # fmt: skip
def test_libraries_have_short_names(path: str, name: str) -> None:
    assert library_name(path) == name


def test_an_address_belongs_to_the_code_around_it(tmp_path: Path) -> None:
    maps = tmp_path / f"proc/{PID}/maps"
    maps.parent.mkdir(parents=True)
    maps.write_text(
        "7f10-7f20 r-xp 00000000 00:2f 99  /lib/libgomp.so.1\n7f20-7f30 rw-p 0 00:2f 99 /lib/libgomp.so.1\n"
        "7f30-7f40 r-xp 00000000 00:2f 98                         /a path/libomp.so\n7f50-7f60 rw-p 0 00:00 0\n"
    )
    assert code_ranges(maps.read_text()) == [(0x7F10, 0x7F20, "libgomp"), (0x7F30, 0x7F40, "libomp")]
    libraries = Libraries(PID, str(tmp_path))
    found = [libraries.at(address, 1) for address in (0x7F10, 0x7F1F, 0x7F20, 0x7F35, 0x10)]
    assert found == ["libgomp", "libgomp", "", "libomp", ""]
    assert Libraries(PID, str(tmp_path / "nowhere")).at(1, 1) == ""


@pytest.mark.parametrize(
    ("arguments", "script"),
    [
        (["python", "/srv/app/worker.py", "--token=hunter2"], "worker.py"),
        (["python3", "-u", "-m", "celery", "-A", "shop"], "-m celery"),
        (["python", "/srv/.venv/bin/uvicorn", "app:app"], "uvicorn"),
        (["java", "-Xmx1g", "-jar", "/srv/shop.jar"], "shop.jar"),
        (["python", "-c", "print('hunter2.py')"], ""),
        (["python", "-m", "hunter2=3"], ""),
        (["python", "-X", "hunter2"], ""),
        (["python"], ""),
        ([""], ""),
    ],
)
def test_of_an_interpreter_s_arguments_only_the_script_is_told(arguments: list[str], script: str) -> None:
    assert script_of([one.encode() for one in arguments]).decode() == script


def test_a_process_of_an_interpreter_is_named_by_its_script(machine: Machine) -> None:
    use, ours = machine.use(), [Thread(11)]
    for number, name in ((7, "python"), (8, "crunch")):
        machine.process(number, name, 0)
        (machine.root / f"proc/{number}/cmdline").write_bytes(b"python\0/srv/worker.py\0--key\0hunter2\0")
    use.account(1_000 * MS, ours)
    ours[0].run_queue_ns += 60 * MS
    for number, name in ((7, "python"), (8, "crunch")):
        machine.process(number, name, 20 - number)
    use.account(1_100 * MS, ours)
    use.throttling.close()
    (one,) = machine.intervals()
    assert [it.name for it in one.processes] == ["python worker.py", "crunch"]
