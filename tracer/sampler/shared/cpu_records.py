"""How the sampler's process writes down who used the CPUs: one ring of records of one size.

Part of the sampler's process, and of this one, which reads them.
"""

import struct

# kind, CPU it ran on last, id, start, end, ns used, ns waited, number of its CPUS, FLAG_*, name
CPU_RECORD = struct.Struct("<HHIQQQQHHI16s")
CPU_TEXT = struct.Struct("<HHI56s")  # the same size: kind, -, id, text
CPU_RECORDS = 4_096
assert CPU_RECORD.size == CPU_TEXT.size

# an interval ends with its INTERVAL record; what it tells of comes before
INTERVAL, THREAD, PROCESS, THROTTLED, CPUS, LIBRARY, BUSY = range(1, 8)
# INTERVAL: cpus = of the process; name = quota, period (2 Q)
# BUSY: used = by anybody, seen or not, on the set of CPUs `cpus`
# THREAD: id = its native id, 0: threads that were too short-lived to be seen one by one
# THROTTLED: all of the stretch; CPUS: id = number of the set, text = bit mask
# LIBRARY: id = thread, text = what the thread was seen asleep in; PROCESS: id = its process id, 0: all
# processes that are not listed, together
FLAG_PYTHON = 1  # it was seen waiting for the GIL
FLAG_SIBLING = 2  # a process that works beside the sampled one
FLAG_ENDED = 4  # a process that is no more: what it used is not known, but what it would have, had it gone on
QUOTA = struct.Struct("<QQ")
