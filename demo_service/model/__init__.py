"""The model: its features, training, cache and devices."""
