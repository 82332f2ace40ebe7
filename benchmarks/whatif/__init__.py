"""Changes made for real: recorded first, predicted second, measured third (`python -m benchmarks.whatif [CASE ...]`)."""
