"""The sampler's process: reads the states of another process's threads. Standard library only."""
