"""Which process pools the sampler reads, too: a text in the shared memory, written by the sampled process.

Part of the sampler's process, and of the sampled one. The number of changes is odd while the text is
written. A line for each pool that has a job of a request: the key of its pipe of calls, the pipe of results has the
next one; of both pipes the descriptor in the sampled process, and the inode; its workers.
"""

import struct

WATCH = struct.Struct("<QI")  # changes, length of the text
WATCH_SIZE = 16_384
# records of the bytes in a pool's pipes have a key for a thread id, from this on
PIPE = 0x8000_0000
