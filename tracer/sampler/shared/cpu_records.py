"""The layout of CPU records, which have what used the CPUs: one ring of records of one size.

Part of the sampler's process, and of this one, which reads them.
"""

import struct

# kind, FLAG_*, id, two numbers, bit mask of the CPUs (none: not known), name
CPU_RECORD = struct.Struct("<HHIQQ56s48s")
CPU_RECORDS = 4_096

# an interval ends with its INTERVAL record; what belongs to it comes before
INTERVAL, THREAD, PROCESS, THROTTLED, LIBRARY, BUSY = range(1, 7)
# INTERVAL: start, end; the CPUs of the process; name = quota, period (2 Q)
# THREAD: its native id, 0: threads that were too short-lived to be seen one by one; ns used, ns in the run queue
# PROCESS: its id, 0: all processes that are not listed, together; ns used
# THROTTLED: start, end; LIBRARY: of a thread, the name of what it was seen asleep in, in place of the CPUs
# BUSY: ns that these CPUs worked, for anybody, seen or not
FLAG_PYTHON = 1  # a thread that was seen waiting for the GIL
FLAG_SIBLING = 2  # a sibling of the sampled process
FLAG_ENDED = 4  # a process that is no more: what it used is not known, but what it would have, had it gone on
QUOTA = struct.Struct("<QQ")
