"""Samples of stacks and thread states, taken from outside: the watchdog and the sampler."""
