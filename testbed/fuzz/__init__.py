"""Broken inputs for every reader and renderer: no traceback, no hang, bounded memory. `python -m benchmarks.fuzz`."""
