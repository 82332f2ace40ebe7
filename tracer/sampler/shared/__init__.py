"""The layout of the memory that the sampler's process and the sampled one share."""
