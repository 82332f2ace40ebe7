"""Explains a thread's time off CPU, from samples: what it waited for, and what blocked it. Pure."""
