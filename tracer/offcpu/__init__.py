"""Pure: what a thread did while it did not run, from what the sampler saw, and who was in its way."""
