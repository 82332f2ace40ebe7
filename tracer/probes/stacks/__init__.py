"""Samples stacks and thread states from outside: the watchdog and the sampler."""
