"""Samples stacks from outside: the watchdog."""
