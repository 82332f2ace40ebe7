"""Samples thread states from outside: a thread in the process would need the GIL to sample; the child has its own."""
