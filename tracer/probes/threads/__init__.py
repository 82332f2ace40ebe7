"""Thread pools, their futures, and starts of threads."""
