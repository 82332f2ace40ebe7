"""The ring of messages on what used the CPUs, one line of JSON each: what was measured in an interval (or null),
stretches without quota, libraries in which threads slept."""

MESSAGES = 64
MESSAGE_SIZE = 32_768
CPU_SIZE = MESSAGES * MESSAGE_SIZE
