"""The ring of messages that say what used the CPUs. Part of the sampler's process, and of the sampled one.

A message is one line of JSON in a slot of its own: what was measured in an interval (none: null), the stretches in
which a quota had run out, and the libraries in which threads were seen asleep.
"""

MESSAGES = 64
MESSAGE_SIZE = 32_768
CPU_SIZE = MESSAGES * MESSAGE_SIZE
