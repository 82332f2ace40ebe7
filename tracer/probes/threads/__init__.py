"""Thread pools, their futures, and threads as they begin."""
