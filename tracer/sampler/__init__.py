"""What each thread waited in, seen from outside: a child process reads this process's thread states.

A thread inside the process would need the GIL to sample, and would see itself; the child has its own.
"""
