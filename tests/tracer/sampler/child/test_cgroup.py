"""Quotas and throttling, read from files as machines of several kinds have them, below a root of our own.

The files have the format of kernel 6.18. No machine with a quota of version 2 was at hand: its layouts, in a
container, in a service of systemd and beside version 1, follow the kernel's documentation. A real quota of
version 1 is in tests/truth/test_cpu_rivals.py.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from whywait.tracer.sampler.child.cgroup import CpuGroups, Hierarchy, Quota, Throttled, hierarchy, quota_v2, stat_of

PID = 4242
STAT_V1 = "nr_periods 812\nnr_throttled 201\nthrottled_time 15230485112\nnr_bursts 0\nburst_time 0\n"
STAT_V2 = (
    "usage_usec 92210044\nuser_usec 80010321\nsystem_usec 12199723\nnice_usec 0\ncore_sched.force_idle_usec 0\n"
    "nr_periods 1204\nnr_throttled 388\nthrottled_usec 21500033\nnr_bursts 0\nburst_usec 0\n"
)
STAT_V2_WITHOUT = "usage_usec 92210044\nuser_usec 80010321\nsystem_usec 12199723\n"
MOUNTS_V1 = (
    "24 30 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw\n"
    "31 24 0:28 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755\n"
    "33 31 0:30 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw\n"
    "36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev shared:14 - cgroup cgroup rw,cpu,cpuacct\n"
    "37 31 0:34 / /sys/fs/cgroup/cpuset rw,nosuid,nodev shared:15 - cgroup cgroup rw,cpuset\n"
)
GROUPS_V1 = (
    "9:cpuset:/\n4:cpu,cpuacct:/system.slice/predictor.service\n1:name=systemd:/system.slice\n0::/system.slice\n"
)
MOUNTS_DOCKER_V1 = (
    "812 800 0:30 /docker/9f2c /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:14 - cgroup cgroup rw,cpu,cpuacct\n"
)
GROUPS_DOCKER_V1 = "4:cpu,cpuacct:/docker/9f2c\n"
MOUNTS_V2 = "31 24 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def machine(root: Path, groups: str, mounts: str, files: Mapping[str, str]) -> CpuGroups:
    """The groups of a process on a machine that has these files."""
    of_process = {f"proc/{PID}/cgroup": groups, f"proc/{PID}/mountinfo": mounts}
    for name, content in {**of_process, **{f"sys/fs/cgroup/{name}": text for name, text in files.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    found = CpuGroups(PID, str(root))
    found.find()
    return found


def test_version_1_in_a_service(tmp_path: Path) -> None:
    service = "cpu,cpuacct/system.slice/predictor.service"
    groups = machine(tmp_path, GROUPS_V1, MOUNTS_V1, {
        f"{service}/cpu.stat": STAT_V1, f"{service}/cpu.cfs_quota_us": "150000\n",
        f"{service}/cpu.cfs_period_us": "100000\n",
        "cpu,cpuacct/system.slice/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/system.slice/cpu.cfs_period_us": "100000\n",
        "cpu,cpuacct/cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
    })  # fmt: skip
    assert groups.quota == Quota(150_000_000, 100_000_000)
    assert groups.throttled() == Throttled(201, 15_230_485_112)
    groups.close()


def test_version_1_in_a_container_that_sees_its_own_group_as_the_whole(tmp_path: Path) -> None:
    groups = machine(tmp_path, GROUPS_DOCKER_V1, MOUNTS_DOCKER_V1, {
        "cpu,cpuacct/cpu.stat": STAT_V1, "cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    })  # fmt: skip
    assert groups.quota == Quota(50_000_000, 100_000_000)
    assert groups.throttled().periods == 201
    groups.close()


def test_version_2_in_a_container(tmp_path: Path) -> None:
    groups = machine(tmp_path, "0::/\n", MOUNTS_V2, {"cpu.max": "200000 100000\n", "cpu.stat": STAT_V2})
    assert groups.quota == Quota(200_000_000, 100_000_000)
    assert groups.throttled() == Throttled(388, 21_500_033_000)
    groups.close()


def test_version_2_the_tightest_quota_counts_and_every_levels_throttling(tmp_path: Path) -> None:
    groups = machine(tmp_path, "0::/shop.slice/predictor.service\n", MOUNTS_V2, {
        "cpu.stat": STAT_V2_WITHOUT,
        "shop.slice/cpu.max": "50000 100000\n", "shop.slice/cpu.stat": STAT_V2,
        "shop.slice/predictor.service/cpu.max": "max 100000\n",
        "shop.slice/predictor.service/cpu.stat": STAT_V2_WITHOUT + "nr_throttled 2\nthrottled_usec 30\n",
    })  # fmt: skip
    assert groups.quota == Quota(50_000_000, 100_000_000)
    assert groups.throttled() == Throttled(390, 21_500_063_000)
    groups.close()


def test_version_1_goes_before_a_version_2_without_the_controller() -> None:
    found = hierarchy(GROUPS_V1, MOUNTS_V1)
    assert found.version == 1
    assert found.folders[0] == "/sys/fs/cgroup/cpu,cpuacct/system.slice/predictor.service"
    assert found.folders[-1] == "/sys/fs/cgroup/cpu,cpuacct"


def test_a_group_outside_of_what_is_seen_is_looked_for_at_the_mount() -> None:
    assert hierarchy("0::/../../other\n", MOUNTS_V2) == Hierarchy(2, ("/sys/fs/cgroup",))


def test_counters_are_read_anew(tmp_path: Path) -> None:
    groups = machine(tmp_path, "0::/\n", MOUNTS_V2, {"cpu.max": "200000 100000\n", "cpu.stat": STAT_V2})
    (tmp_path / "sys/fs/cgroup/cpu.stat").write_text("nr_throttled 389\nthrottled_usec 21500034\n")
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("max 100000\n")
    assert groups.throttled() == Throttled(389, 21_500_034_000)
    groups.find()
    assert groups.quota == Quota(0, 0)
    groups.close()


def test_a_group_that_was_made_anew_is_read_anew(tmp_path: Path) -> None:
    groups = machine(tmp_path, "0::/\n", MOUNTS_V2, {"cpu.stat": STAT_V2})
    assert groups.throttled().periods == 388
    (fd,) = groups._stats
    read_end, write_end = os.pipe()
    os.dup2(write_end, fd)  # as the file of a group that was removed, it cannot be read any more
    assert groups.throttled() == Throttled(0, 0)
    groups.find()
    assert groups.throttled().periods == 388
    groups.close()
    os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize("groups", ["", "0::/\n", "nonsense", "4:cpu:/a\n"])
def test_a_machine_without_groups_has_no_quota(tmp_path: Path, groups: str) -> None:
    found = machine(tmp_path, groups, "a broken line\n", {})
    assert found.quota == Quota(0, 0)
    assert found.throttled() == Throttled(0, 0)
    found.close()


def test_a_machine_without_proc_has_none_either(tmp_path: Path) -> None:
    found = CpuGroups(PID, str(tmp_path / "nowhere"))
    found.find()
    assert (found.quota, found.throttled()) == (Quota(0, 0), Throttled(0, 0))
    found.close()


@pytest.mark.parametrize("text", ["", "max", "x y", "-5 100000", "1 2 3"])
def test_what_is_no_quota_is_none(text: str) -> None:
    assert quota_v2(text) == Quota(0, 0)
    assert stat_of(text) == Throttled(0, 0)


@pytest.mark.skipif(not Path("/proc/self/cgroup").exists(), reason="no control groups")
def test_the_machine_we_are_on_can_be_read() -> None:
    found = CpuGroups(os.getpid())
    found.find()
    assert found.throttled().ns >= 0
    assert found.quota.quota_ns >= 0
    found.close()
