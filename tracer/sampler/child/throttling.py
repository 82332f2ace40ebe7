"""When a quota withheld the CPUs, by the counters of the control groups: the kernel counts exactly, as it lets a CPU
go on (`unthrottle_cfs_rq`), so what was counted between two readings ended between them."""

from collections.abc import Callable

from whywait.tracer.sampler.child.cgroup import CpuGroups, Quota, Throttled

_LATE_NS = 2_000_000  # a sweep that comes so late may have been held back with those it samples


class Throttling:
    """Calls `tell` with the beginning and the end of each stretch in which the quota had run out; they come in order of
    time and do not overlap. Never raises OSError."""

    def __init__(self, groups: CpuGroups, tell: Callable[[int, int], None]) -> None:
        self.groups = groups
        self._tell = tell
        self._told_ns = self._looked_ns = 0
        self._seen = Throttled(0, 0)
        self.find()

    def find(self) -> None:
        """Looks where the process is now; to be called again now and then."""
        if self.groups.find():
            self._seen = self.groups.throttled()

    def look(self, due_ns: int, now_ns: int) -> None:
        """Called as a sweep begins that was due at `due_ns`. Costs nothing where there is no quota."""
        late = now_ns - due_ns >= _LATE_NS
        if not late and not self.groups.quota.period_ns:
            return
        now, before = self.groups.throttled(), self._seen
        self._seen = now
        if now.ns > before.ns:
            # who is held back in the same group goes on at the same moment as those it samples
            end_ns = now_ns if late or not self._looked_ns else (self._looked_ns + now_ns) // 2
            length_ns = withheld_ns(self.groups.quota, now.periods - before.periods, now.ns - before.ns)
            start_ns = max(end_ns - length_ns, self._told_ns)
            if start_ns < end_ns:
                self._tell(start_ns, end_ns)
                self._told_ns = end_ns
        self._looked_ns = now_ns

    def close(self) -> None:
        self.groups.close()


def withheld_ns(quota: Quota, periods: int, cpu_ns: int) -> int:
    """Pure: for how long all was held back that added up to `cpu_ns`: in each period in which the quota ran out, as
    many at once used it up or were held back, all of the time."""
    if not quota.period_ns:
        return cpu_ns
    at_once = (cpu_ns / max(periods, 1) + quota.quota_ns) / quota.period_ns
    return int(cpu_ns / max(at_once, 1.0))
