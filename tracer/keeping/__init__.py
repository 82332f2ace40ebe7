"""Tail sampling: which requests become spans, with which weight; and counts of all requests."""
