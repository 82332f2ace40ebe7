"""Samples thread states from outside: a child process reads the states of this process's threads.

A thread inside the process would need the GIL to sample, and would see itself; the child has a GIL of its own.
"""
