"""The shared memory: one ring of records of what threads did. Part of the sampler's process and the sampled one."""

import struct

from whywait.tracer.sampler.shared.pool_table import WATCH_SIZE

# header: records written, sweeps, time of the latest sweep, own CPU ns, holder of the GIL that others
# wait for (thread id, 0 when nobody waits), threads seen, sweep period ns, CPU messages written, until when
# they tell all
HEADER = struct.Struct("<9Q")
HEADER_SIZE = 144
# behind it what the sampled process says: when it last had work (perf_counter ns), and how many threads began to work
# after a rest so far, and the latest of them
BUSY_AT, WOKEN_AT, WOKEN_MOST = 72, 80, 11
# and since when no request is open (perf_counter ns), 0 while one is, or where nobody tells
IDLE_AT = 128
# and what the sampler says: whether it sleeps until a byte on its standard input says that one is open
ASLEEP_AT = 136
BUSY = struct.Struct("<Q")
# this long after the latest work the sampler sweeps seldom, until a byte on its standard input says that work begins
REST_NS = 2_000_000_000
REST_S = 5.0  # between two sweeps then
WOKEN = struct.Struct(f"<I{WOKEN_MOST}I")
WOKEN_NUMBER = struct.Struct("<I")
# one thread in one state: first and last sweep (perf_counter ns), run-queue ns at the last, thread id,
# who held the GIL (0: not known or not waited for), number of sweeps, state, number of the system call; of a wait
# for the GIL instead what was known of its beginning as it was first seen, see `pack_round`
RECORD = struct.Struct("<QQQIIHHi")
RECORDS = 65_536
# what used the CPUs, a line of JSON each: what was measured in an interval (or null), stretches without quota, libraries
# in which threads slept
MESSAGES, MESSAGE_SIZE = 64, 32_768
CPU_AT = HEADER_SIZE + RECORDS * RECORD.size
WATCH_AT = CPU_AT + MESSAGES * MESSAGE_SIZE  # which process pools to sample: see pool_table.py
SIZE = WATCH_AT + WATCH_SIZE

RUNNING, GIL, FUTEX, SLEEP, POLL, CALL, STOPPED = range(7)
ASLEEP = (FUTEX, SLEEP, POLL, CALL)  # in what is not the GIL
UNKNOWN_RUN_QUEUE = 2**64 - 1

LONGEST_RECORD_NS = 50_000_000
_MOST_TURNS, _MOST_AGO_US = 1_000, (1 << 20) - 2


def pack_round(ago_ns: int, turns: int) -> int:
    """Pure: how long before its first sample the round of a wait for the GIL began, and how often the thread was put on
    a CPU since the sample before, in one number; 0 is left for what is not known."""
    return (min(turns, _MOST_TURNS) << 20) | (min(ago_ns // 1_000, _MOST_AGO_US) + 1)


def unpack_round(number: int) -> tuple[int, int] | None:
    """Pure: the inverse of `pack_round`, None for 0."""
    return ((number & 0xFFFFF) * 1_000 - 1_000, number >> 20) if number > 0 else None
