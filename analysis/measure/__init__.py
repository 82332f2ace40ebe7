"""Sums, percentiles and tables over many requests."""
