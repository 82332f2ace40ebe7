"""Patterns over many requests, as numbers. A new one is a kind in situation.py, a detector in a file of these rooms, which
verdicts/judgement.py lists, and a sentence or a remedy in verdicts/; `python -m benchmarks.derived` tells the schema of it.
"""
